/**
 * `PinnedHeap`: memory that the GPU copies from or to. A block is a mappable GPU buffer of its own; while
 * it is mapped, the host sees it as real typed arrays. What the buffers go through is in pinned-slots.ts.
 */

import { Alignment } from "../alignment.ts";
import type { Duties } from "../diagnostics/duties.ts";
import type { RegionObserver } from "../diagnostics/observer.ts";
import { dtypeInfo } from "../dtype.ts";
import type { DType } from "../dtype.ts";
import { byteSize, contiguousLayout } from "../layout.ts";
import { checkRequest, doubleFree, foreignHandle, Region } from "../region.ts";
import type { Result } from "../region.ts";
import { settled } from "../settled.ts";
import type { RegionStats } from "../statistics.ts";
import { PinnedBlock } from "./pinned-block.ts";
import type { MappableSource, PinnedRequest, PinnedSlot } from "./pinned-block.ts";
import { PinnedSlots } from "./pinned-slots.ts";
import type { PinnedHeapOptions } from "./pinned-slots.ts";
import { PinnedTensor } from "./pinned-tensor.ts";
import type { PinnedTensorOptions } from "./pinned-tensor.ts";

export class PinnedHeap extends Region<PinnedBlock> {
  readonly kind = "pinned";
  readonly label = "pinned heap";
  /** @internal The buffers, for who needs no handles. */
  readonly slots: PinnedSlots;
  readonly #live = new Set<PinnedBlock>();
  readonly #waiting: (() => void)[] = [];
  /** @internal Told of tensors that somebody has to dispose, where anybody keeps count. */
  duties: Duties | null = null;

  constructor(source: MappableSource, options: PinnedHeapOptions) {
    super();
    this.slots = new PinnedSlots(source, this, options);
  }

  /** Live, pooled and in flight together never pass this. */
  get budgetBytes(): number {
    return this.slots.budgetBytes;
  }

  /** @internal Watches handles, and what is used without one. */
  observe(observer: RegionObserver | null): void {
    this.observer = observer;
    this.slots.observer = observer;
  }

  /** A tensor over a new block, mapped and ready to be written. Old bytes may show through. */
  tensor<D extends DType>(options: PinnedTensorOptions<D>): PinnedTensor<D> {
    const { dtype, label = "pinned tensor", direction = "upload" } = options;
    const layout = contiguousLayout(options.shape, label);
    const byteLength = byteSize(layout.count, dtypeInfo(dtype).bytes, layout.shape, label);
    const block = this.alloc({ byteLength, direction, label });
    const tensor = new PinnedTensor(block, layout, dtype, label);
    this.duties?.owe(tensor, "pinned", label);
    return tensor;
  }

  /** Every live block, for reports. */
  blocks(): Iterable<PinnedBlock> {
    return this.#live;
  }

  /**
   * A mapped block (`upload`), or one for the GPU to copy into (`readback`, in flight until it is
   * mapped). O(1) from the pool; else one buffer is created. Throws `OUT_OF_MEMORY` past the budget.
   */
  alloc(request: PinnedRequest): PinnedBlock {
    const { byteLength, direction = "upload", label = "pinned" } = request;
    // A block starts at the start of its buffer, which is mapped at page granularity.
    checkRequest(request, this.label, Alignment.page);
    const slot = this.slots.take(byteLength, direction, label);
    const block = new PinnedBlock(this, slot, byteLength, label);
    block.isInternal = request.isInternal ?? false;
    this.#live.add(block);
    this.observer?.allocated(this, block, label, byteLength);
    return block;
  }

  /** Like `alloc`, but tells no program that memory is short. */
  override tryAlloc(request: PinnedRequest): Result<PinnedBlock> {
    return this.slots.trying(() => super.tryAlloc(request));
  }

  /** @internal When memory that transfers hold will be back; `null` where none will. */
  comingBack: () => Promise<void> | null = () => null;

  /** Waits for memory in flight, and for what transfers hold, where the budget would otherwise refuse. */
  override async allocAsync(request: PinnedRequest): Promise<PinnedBlock> {
    for (;;) {
      const result = this.tryAlloc(request);
      if (result.ok) return result.value;
      if (result.error.code !== "OUT_OF_MEMORY") throw result.error;
      const back = this.slots.nextBack() ?? this.comingBack();
      if (back === null) throw result.error;
      await back;
      this.slots.ledger.retried();
    }
  }

  free(block: PinnedBlock): void {
    if (block.heap !== this) throw foreignHandle(block.label, this.label);
    if (!block.isAlive) throw doubleFree(block.label, this.label);
    if (block.references === 1) block.requireUnused("freed");
    block.references--;
    if (block.references > 0) return;
    this.#live.delete(block);
    this.observer?.freed(this, block);
    this.slots.return(block.slot, block.byteLength);
  }

  /** @internal Maps a block's slot once its transfer has been submitted. */
  map(slot: PinnedSlot, urgent: boolean): Promise<void> {
    return this.slots.map(slot, urgent);
  }

  /** Destroys pooled buffers until at most `keepBytes` of them are left. */
  trim(keepBytes: number): void {
    this.slots.trim(keepBytes);
  }

  /** Destroys as many pooled buffers as nobody has used since the call before. Whether some are left. */
  decay(): boolean {
    return this.slots.decay();
  }

  /** Bytes of buffers that are kept for later. */
  get pooledBytes(): number {
    return this.slots.pooledBytes;
  }

  /** Settles when nothing that was disposed is still in flight, and nobody reads or writes any memory. */
  async settled(): Promise<void> {
    for (;;) {
      await this.slots.settled();
      if (!Array.from(this.#live).some(({ useCount }) => useCount > 0)) return;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** @internal A use of the block's memory has ended. */
  released(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Whether `value` lies in this heap, and so never moves: one of its blocks or tensors, alive. */
  isPinned(value: PinnedBlock | PinnedTensor): boolean {
    const block = value instanceof PinnedTensor ? value.blockOrNull : value;
    return block !== null && block.heap === this && block.isAlive;
  }

  /**
   * Runs `action` with the mapped bytes, which stay where they are until it ends, or until the promise
   * that it returns has settled. Freeing the tensor or uploading it meanwhile throws `IN_USE`.
   */
  withPinned<R>(tensor: PinnedTensor, action: (bytes: Uint8Array<ArrayBuffer>) => R): R {
    const use = tensor.block.use();
    return settled(
      () => action(use.bytes()),
      () => use.dispose(),
    );
  }

  /** Destroys every buffer; blocks that are still alive become `lost`. */
  close(): void {
    this.slots.lose(this.#held(), true);
  }

  /** @internal The device is gone, and every buffer with it; new blocks come from another. */
  lose(): void {
    this.slots.lose(this.#held(), false);
  }

  #held(): [PinnedSlot, number][] {
    return Array.from(this.#live, ({ slot, byteLength }) => [slot, byteLength]);
  }

  stats(): RegionStats {
    return this.slots.ledger.stats();
  }

  protected owns(block: PinnedBlock): boolean {
    return block.heap === this;
  }

  protected copyContents(from: PinnedBlock, to: PinnedBlock, byteLength: number): void {
    new Uint8Array(to.memory(), 0, byteLength).set(new Uint8Array(from.memory(), 0, byteLength));
  }

  protected requestLike(block: PinnedBlock, byteLength: number): PinnedRequest {
    return { byteLength, direction: block.direction, label: block.label };
  }
}
