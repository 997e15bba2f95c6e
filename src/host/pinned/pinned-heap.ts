/**
 * `PinnedHeap`: memory that the GPU copies from or to. A block is a mappable GPU buffer of its own,
 * pooled by size class; while it is mapped, the host sees it as real typed arrays.
 *
 *               alloc                unmap (a transfer is recorded)
 *     [pooled] ───────▶ (mapped) ─────────────────▶ (in-flight)
 *         ▲                ▲                             │ submitted: mapAsync
 *         │ dispose        │ GPU done                    ▼
 *         └────────────────┴───────────────────────(mapping)
 *
 * A block that is disposed in flight is deferred: it goes back to the pool when the GPU is done.
 */

import { Alignment, alignUp } from "../alignment.ts";
import type { Duties } from "../diagnostics/duties.ts";
import { dtypeInfo } from "../dtype.ts";
import type { DType } from "../dtype.ts";
import { LifetimeError, MoorageError, OutOfMemoryError } from "../errors.ts";
import { byteSize, contiguousLayout } from "../layout.ts";
import { checkRequest, doubleFree, foreignHandle, Region } from "../region.ts";
import type { Result } from "../region.ts";
import { settled } from "../settled.ts";
import { RegionLedger } from "../statistics.ts";
import type { RegionStats } from "../statistics.ts";
import { PinnedBlock, PinnedSlot } from "./pinned-block.ts";
import type {
  MappableBuffer,
  MappableSource,
  PinnedDirection,
  PinnedRequest,
} from "./pinned-block.ts";
import { hasFailed, PinnedPool } from "./pinned-pool.ts";
import { PinnedTensor } from "./pinned-tensor.ts";
import type { PinnedTensorOptions } from "./pinned-tensor.ts";

// GPUMapMode by value: `host` knows no GPU globals.
const mapMode: { readonly [D in PinnedDirection]: number } = { readback: 1, upload: 2 };

export interface PinnedHeapOptions {
  /** All buffers together never pass this. */
  readonly budgetBytes: number;
  /** A new buffer past this first costs what is pooled, and is told of. Default: the budget. */
  readonly softBytes?: number;
}

/** Pinned memory is short: `soft` past the soft budget; `refused` unless something is freed. */
export interface PinnedPressure {
  readonly requestedBytes: number;
  readonly availableBytes: number;
  readonly reservedBytes: number;
  readonly budgetBytes: number;
  readonly level: "soft" | "refused";
}

export class PinnedHeap extends Region<PinnedBlock> {
  readonly kind = "pinned";
  readonly label = "pinned heap";
  readonly #source: MappableSource;
  /** Live, pooled and in flight together never pass this. */
  readonly budgetBytes: number;
  readonly #ledger = new RegionLedger("pinned");
  readonly #pool = new PinnedPool((slot) => this.#destroy(slot));
  readonly #live = new Set<PinnedBlock>();
  readonly #deferred = new Set<Promise<void>>();
  readonly #waiting: (() => void)[] = [];
  #closed = false;
  /** @internal Told of tensors that somebody has to dispose, where anybody keeps count. */
  duties: Duties | null = null;
  /** @internal Told of memory that is short, and may free some. */
  onPressure: (event: PinnedPressure) => void = () => {};
  /** @internal Told of a buffer that is kept for later. */
  onPooled: () => void = () => {};
  readonly #softBytes: number;
  /** Who only tries has another way: nobody is troubled for it. */
  #isTrying = false;

  constructor(source: MappableSource, options: PinnedHeapOptions) {
    super();
    this.#source = source;
    this.budgetBytes = options.budgetBytes;
    this.#softBytes = options.softBytes ?? options.budgetBytes;
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
    const size = sizeClass(byteLength);
    const slot = this.#pool.take(size, direction) ?? this.#create(size, direction, label);
    this.#ledger.allocated(byteLength, size - byteLength);
    const block = new PinnedBlock(this, slot, byteLength, label);
    block.isInternal = request.isInternal ?? false;
    this.#live.add(block);
    this.observer?.allocated(this, block, label, byteLength);
    return block;
  }

  #create(size: number, direction: PinnedDirection, label: string): PinnedSlot {
    if (this.#ledger.reserved + size > this.budgetBytes) {
      this.trim(Math.max(0, this.pooledBytes - (this.#ledger.reserved + size - this.budgetBytes)));
    }
    if (this.#ledger.reserved + size > this.#softBytes) this.#press(size);
    if (this.#ledger.reserved + size > this.budgetBytes) throw this.#refused(size, label);
    let buffer: MappableBuffer;
    try {
      buffer = this.#source.create(size, direction, `moorage pinned ${direction} ${size}`);
    } catch (cause) {
      if (cause instanceof MoorageError && !(cause instanceof OutOfMemoryError)) throw cause;
      throw this.#refused(size, label, cause);
    }
    this.#ledger.reserve(size);
    return new PinnedSlot(buffer, direction);
  }

  /** What is pooled goes, and the program is told, who may dispose. */
  #press(requestedBytes: number): void {
    if (this.#isTrying) return;
    const { budgetBytes } = this;
    const reservedBytes = this.#ledger.reserved;
    const isRefused = reservedBytes + requestedBytes > budgetBytes;
    this.onPressure({
      requestedBytes,
      availableBytes: Math.max(0, budgetBytes - reservedBytes),
      reservedBytes,
      budgetBytes,
      level: isRefused ? "refused" : "soft",
    });
    this.trim(0);
  }

  /** Like `alloc`, but tells no program that memory is short. */
  override tryAlloc(request: PinnedRequest): Result<PinnedBlock> {
    const before = this.#isTrying;
    this.#isTrying = true;
    try {
      return super.tryAlloc(request);
    } finally {
      this.#isTrying = before;
    }
  }

  #refused(requestedBytes: number, label: string, cause?: unknown): OutOfMemoryError {
    this.#ledger.failed();
    const availableBytes = Math.max(0, this.budgetBytes - this.#ledger.reserved);
    return new OutOfMemoryError(
      `"${label}" needs ${requestedBytes} bytes of pinned memory, and ${availableBytes} are left of the budget of ` +
        `${this.budgetBytes}; dispose pinned tensors, await transfers in flight (allocAsync waits), or raise budget.pinnedBytes`,
      { requestedBytes, availableBytes },
      { label, cause },
    );
  }

  /** Waits for memory in flight where the budget would otherwise refuse. */
  override async allocAsync(request: PinnedRequest): Promise<PinnedBlock> {
    for (;;) {
      const result = this.tryAlloc(request);
      if (result.ok) return result.value;
      if (result.error.code !== "OUT_OF_MEMORY" || this.#deferred.size === 0) throw result.error;
      // Looked at now: while this waits, all of it may come back, and a race of nothing has no end.
      const deferred = [...this.#deferred];
      // It may still have to be submitted, and nobody else may ask for it.
      await this.#source.whenSubmitted(true);
      await Promise.race(deferred);
      this.#ledger.retried();
    }
  }

  free(block: PinnedBlock): void {
    if (block.heap !== this) throw foreignHandle(block.label, this.label);
    if (!block.isAlive) throw doubleFree(block.label, this.label);
    if (block.references === 1) block.requireUnused("freed");
    block.references--;
    if (block.references > 0) return;
    const { slot } = block;
    const size = slot.buffer.size;
    this.#live.delete(block);
    this.observer?.freed(this, block);
    if (slot.isDestroyed) return;
    this.#ledger.freed(block.byteLength, size - block.byteLength);
    if (slot.state === "lost" || hasFailed(slot)) {
      this.#destroy(slot);
    } else if (slot.state === "mapped" || slot.idle) {
      this.#recycle(slot);
    } else {
      this.#defer(slot, size);
    }
  }

  /**
   * @internal A readback buffer without a handle, for who takes and returns it by himself: a pooled one, or
   * a new one named by `label` where that is told. `null` where there is none, and then nobody is troubled
   * for it. O(1), and a buffer is created.
   */
  lend(byteLength: number, label: string | null): PinnedSlot | null {
    const size = sizeClass(byteLength);
    let slot = this.#pool.take(size, "readback");
    if (slot === undefined && label !== null) slot = this.#tryCreate(size, "readback", label);
    if (slot === undefined) return null;
    this.#ledger.allocated(byteLength, size - byteLength);
    this.observer?.allocated(this, slot, label ?? "read", byteLength);
    return slot;
  }

  #tryCreate(size: number, direction: PinnedDirection, label: string): PinnedSlot | undefined {
    const before = this.#isTrying;
    this.#isTrying = true;
    try {
      return this.#create(size, direction, label);
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      this.#ledger.retried();
      return undefined;
    } finally {
      this.#isTrying = before;
    }
  }

  /** @internal The end of {@link lend}: the slot is unmapped, or lost. O(1). */
  takeBack(slot: PinnedSlot, byteLength: number): void {
    this.observer?.freed(this, slot);
    this.#ledger.freed(byteLength, slot.buffer.size - byteLength);
    if (slot.state === "lost" || this.#closed || hasFailed(slot)) this.#destroy(slot);
    else this.#recycle(slot);
  }

  #defer(slot: PinnedSlot, size: number): void {
    this.#ledger.defer(size);
    const done: Promise<void> = this.map(slot, false).then(
      () => this.#undefer(slot, size, done),
      () => this.#undefer(slot, size, done),
    );
    this.#deferred.add(done);
  }

  #undefer(slot: PinnedSlot, size: number, done: Promise<void>): void {
    this.#ledger.defer(-size);
    this.#deferred.delete(done);
    if (this.#closed || slot.state === "lost") this.#destroy(slot);
    else this.#recycle(slot);
  }

  #recycle(slot: PinnedSlot): void {
    if (slot.direction === "readback" && slot.state === "mapped") {
      slot.buffer.unmap();
      slot.range = null;
      slot.state = "in-flight";
    }
    this.#pool.put(slot);
    this.onPooled();
  }

  #destroy(slot: PinnedSlot): void {
    if (slot.isDestroyed) return;
    slot.isDestroyed = true;
    slot.state = "lost";
    slot.range = null;
    slot.buffer.destroy();
    this.#ledger.reserve(-slot.buffer.size);
  }

  /** @internal Maps a slot once its transfer has been submitted. */
  map(slot: PinnedSlot, urgent: boolean): Promise<void> {
    if (slot.state === "mapped") return Promise.resolve();
    const submitted = this.#source.whenSubmitted(urgent);
    slot.mapping ??= this.#map(slot, submitted);
    return slot.mapping;
  }

  async #map(slot: PinnedSlot, submitted: Promise<void>): Promise<void> {
    try {
      await submitted;
      slot.state = "mapping";
      await slot.buffer.mapAsync(mapMode[slot.direction]);
      if (slot.state === "mapping") slot.state = "mapped";
    } catch (cause) {
      slot.state = "lost";
      throw new LifetimeError(
        "NOT_MAPPED",
        "a pinned buffer could not be mapped again: the device is lost or the runtime was disposed",
        { cause },
      );
    } finally {
      slot.mapping = null;
    }
  }

  /** Destroys pooled buffers until at most `keepBytes` of them are left. */
  trim(keepBytes: number): void {
    this.#pool.trim(keepBytes);
  }

  /** Destroys as many pooled buffers as nobody has used since the call before. Whether some are left. */
  decay(): boolean {
    return this.#pool.decay();
  }

  /** Bytes of buffers that are kept for later. */
  get pooledBytes(): number {
    return this.#pool.byteLength;
  }

  /** Settles when nothing that was disposed is still in flight, and nobody reads or writes any block. */
  async settled(): Promise<void> {
    for (;;) {
      if (this.#deferred.size > 0) await Promise.all(this.#deferred);
      else if (Array.from(this.#live).some(({ useCount }) => useCount > 0)) {
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      } else return;
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
    this.#closed = true;
    this.lose();
  }

  /** @internal The device is gone, and every buffer with it; new blocks come from another. */
  lose(): void {
    this.trim(0);
    for (const { slot, byteLength } of this.#live) {
      if (slot.isDestroyed) continue;
      this.#ledger.freed(byteLength, slot.buffer.size - byteLength);
      this.#destroy(slot);
    }
  }

  stats(): RegionStats {
    return this.#ledger.stats();
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

/**
 * The size of the buffer for a request: four classes in each doubling, so at most a quarter more
 * than asked, and multiples of 256 so that every mapping and copy alignment holds.
 */
function sizeClass(byteLength: number): number {
  if (byteLength <= 2048) return (byteLength + 255) & -256;
  const step = 2 ** (Math.ceil(Math.log2(byteLength)) - 3);
  return alignUp(byteLength, step);
}
