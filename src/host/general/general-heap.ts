/**
 * `GeneralHeap`: everything else on the host. Blocks end when nobody can reach them, or when they are
 * disposed; at safe points they move together, so that no memory is lost between them.
 *
 *     alloc ─▶ nursery ─full─▶ young ─evacuated─▶ survivors ─again─▶ old ─emptiest first─▶ old
 *                 └───────────── all ended: the whole region is empty at once ──────────────┘
 */

import { Alignment } from "../alignment.ts";
import type { Duties } from "../diagnostics/duties.ts";
import type { ViewWatch } from "../diagnostics/view-watch.ts";
import { arrayOver, hostDtypeInfo } from "../dtype.ts";
import type { ArrayOf, HostDType } from "../dtype.ts";
import { OutOfMemoryError } from "../errors.ts";
import { checkRequest, doubleFree, foreignHandle, Region } from "../region.ts";
import type { AllocationRequest } from "../region.ts";
import { settled } from "../settled.ts";
import type { RegionStats } from "../statistics.ts";
import { RegionLedger } from "../statistics.ts";
import { Collector } from "./collector.ts";
import type { CollectionStats } from "./collector.ts";
import { closeRegion, Evacuator } from "./evacuator.ts";
import { GeneralBlock, Pin } from "./general-block.ts";
import type { PinOptions } from "./general-block.ts";
import { settingsOf } from "./general-heap-options.ts";
import type { Finalizers, GeneralHeapOptions } from "./general-heap-options.ts";
import { HandleTable } from "./handle-table.ts";
import type { HeapRegion } from "./heap-region.ts";
import { PinnedBlocks } from "./pinned-blocks.ts";
import { PressureGauge } from "./pressure.ts";
import type { PressureListener } from "./pressure.ts";
import { RegionSet } from "./region-set.ts";

export class GeneralHeap extends Region<GeneralBlock> {
  readonly kind = "general";
  readonly label: string;
  /** @internal */
  readonly table = new HandleTable();
  readonly #settings: ReturnType<typeof settingsOf>;
  readonly #ledger = new RegionLedger("general");
  readonly #regions: RegionSet;
  readonly #evacuator: Evacuator;
  readonly #collector: Collector;
  readonly #pinned: PinnedBlocks;
  readonly #pressure: PressureGauge;
  readonly #finalizers: Finalizers;
  /** A view keeps its block alive; the block may still end by `dispose`. */
  readonly #owners = new WeakMap<ArrayBufferView, GeneralBlock>();
  #nursery: HeapRegion | null = null;
  #reclaimedCount = 0;
  #reclaimedBytes = 0;

  /** @internal Told of pins that somebody has to dispose, where anybody keeps count. */
  duties: Duties | null = null;
  /** @internal Watches raw views, in debug mode; none of them is kept for the next call then. */
  views: ViewWatch | null = null;

  constructor(options: GeneralHeapOptions = {}) {
    super();
    this.#settings = settingsOf(options);
    const { label, budgetBytes, watermarks, hooks, onIgnoredPressure } = this.#settings;
    this.label = label;
    this.table.onRefused = () => this.#ledger.failed();
    this.#regions = new RegionSet(this.#ledger, this.#settings);
    this.#evacuator = new Evacuator(
      this.table,
      this.#regions,
      this.#ledger,
      this.#settings,
      (index, byteLength) => {
        this.views?.moved(this.table.pack(index));
        hooks?.onMove?.({ region: "general", byteLength });
      },
    );
    this.#pinned = new PinnedBlocks(this.table, this.#regions, this.#evacuator, this.#ledger);
    this.#collector = new Collector(
      this.#evacuator,
      (block) => this.#register(block),
      this.#settings,
    );
    this.#pressure = new PressureGauge(label, budgetBytes, {
      ...watermarks,
      onIgnored: onIgnoredPressure,
    });
    if (hooks?.onPressure !== undefined) this.#pressure.listen(hooks.onPressure.bind(hooks));
    this.#finalizers = this.#settings.finalizers((held) => this.#reclaim(held));
  }

  /**
   * A block of old bytes. O(1) in the nursery; when that is full, a slice of a collection. Throws
   * `OUT_OF_MEMORY` past the budget, after a full collection and after all pressure listeners were told.
   */
  alloc(request: AllocationRequest): GeneralBlock {
    const { byteLength, label = "block" } = request;
    checkRequest(request, this.label, Alignment.page);
    // Never less than the default: a block can be seen as elements of any dtype.
    const alignment = Math.max(request.alignment ?? 0, Alignment.default);
    if (byteLength > this.#settings.largeBytes)
      return this.#allocLarge(byteLength, alignment, label);
    let region = this.#nursery;
    let start = region === null ? 0 : region.used;
    let offset = (start + alignment - 1) & -alignment;
    if (region === null || offset + byteLength > region.size) {
      region = this.#nextNursery(byteLength, label);
      start = 0;
      offset = 0;
    }
    const block = this.#place(region, start, offset, byteLength, alignment, label);
    region.handles!.push(block);
    return block;
  }

  #place(
    region: HeapRegion,
    start: number,
    offset: number,
    byteLength: number,
    alignment: number,
    label: string,
  ): GeneralBlock {
    const { table } = this;
    const index = table.take(label);
    const padding = offset - start;
    table.region[index] = region.id;
    table.offset[index] = offset;
    table.byteLength[index] = byteLength;
    table.padding[index] = padding;
    table.alignment[index] = alignment;
    region.place(index, offset + byteLength, padding + byteLength);
    this.#ledger.allocated(byteLength, padding);
    this.observer?.allocated(this, table.pack(index), label, byteLength);
    return new GeneralBlock(this, index, byteLength, label);
  }

  #allocLarge(byteLength: number, alignment: number, label: string): GeneralBlock {
    const region = this.#withRescue(byteLength, label, () =>
      this.#regions.takeLarge(byteLength, label),
    );
    let block: GeneralBlock;
    try {
      block = this.#place(region, 0, 0, byteLength, alignment, label);
    } catch (error) {
      this.#regions.recycle(region);
      throw error;
    }
    const padding = region.size - byteLength;
    this.table.padding[block.index] = padding;
    this.#ledger.padding += padding;
    region.liveBytes = region.size;
    this.#register(block);
    this.#updatePressure(byteLength);
    return block;
  }

  #nextNursery(byteLength: number, label: string): HeapRegion {
    this.#retireNursery();
    this.#collector.slice();
    this.#updatePressure(byteLength);
    const region = this.#withRescue(byteLength, label, () => this.#regions.take("nursery", label));
    // Listeners, who are told before it is taken, may have allocated, and begun one themselves.
    this.#retireNursery();
    this.#nursery = region;
    return region;
  }

  #retireNursery(): void {
    const region = this.#nursery;
    if (region === null) return;
    this.#nursery = null;
    region.role = "young";
    closeRegion(region, this.#ledger);
    if (region.handles !== null && region.liveBytes > 0) this.#collector.retire(region.handles);
    region.handles = null;
    if (region.liveBytes === 0) this.#regions.recycle(region);
  }

  /** Takes memory; where there is none, listeners may free some, and a full collection finds the rest. */
  #withRescue<T>(byteLength: number, label: string, take: () => T): T {
    let refusal: OutOfMemoryError;
    try {
      return take();
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      refusal = error;
    }
    // What the whole budget could not hold, nobody needs to be asked for.
    if (byteLength > this.#settings.budgetBytes - this.#settings.regionBytes) {
      this.#ledger.failed();
      throw refusal;
    }
    this.#pressure.update(() => this.#usedBytes, byteLength, true);
    this.collect();
    try {
      return take();
    } catch (error) {
      this.#ledger.failed();
      if (!(error instanceof OutOfMemoryError) || !this.#collector.isHeld) throw error;
      throw new OutOfMemoryError(
        `${refusal.message}; nothing may move now: withNoGC holds collections off`,
        { requestedBytes: refusal.requestedBytes, availableBytes: refusal.availableBytes },
        { label, cause: refusal.cause },
      );
    }
  }

  /** Ends a handle; the block ends with its last owner. O(1). */
  free(block: GeneralBlock): void {
    if (block.heap !== this) throw foreignHandle(block.label, this.label);
    if (!block.isAlive) throw doubleFree(block.label, this.label);
    block.isDisposed = true;
    block.view = null;
    if (block.isRegistered) this.#finalizers.unregister(block);
    this.#release(block.index);
  }

  /** One owner less. */
  #release(index: number): void {
    const { table } = this;
    if (--table.references[index]! > 0) return;
    const byteLength = table.byteLength[index]!;
    const padding = table.padding[index]!;
    const region = this.#regions.region(table.region[index]!);
    this.observer?.freed(this, table.pack(index));
    this.views?.ended(table.pack(index));
    table.release(index);
    this.#ledger.freed(byteLength, padding);
    if (region.role === "large") {
      this.#regions.recycle(region);
      return;
    }
    const taken = byteLength + padding;
    region.liveBytes -= taken;
    region.deadBytes += taken;
    this.#ledger.defer(taken);
    if (region.liveBytes > 0 || region === this.#nursery || region === this.#pinned.region) return;
    if (this.#evacuator.isOpen(region)) return;
    this.#evacuator.forget(region);
    this.#regions.recycle(region);
  }

  /** What the engine says of a handle that nobody can reach. */
  #reclaim(held: number): void {
    const index = this.table.unpack(held);
    if (index < 0) return;
    if (this.table.references[index] === 1) {
      this.#reclaimedCount++;
      this.#reclaimedBytes += this.table.byteLength[index]!;
    }
    this.#release(index);
  }

  #register(block: GeneralBlock): void {
    block.isRegistered = true;
    this.#finalizers.register(block, this.table.pack(block.index), block);
    if (block.view !== null) this.#owners.set(block.view, block);
  }

  /** @internal */
  arrayOf<D extends HostDType>(block: GeneralBlock, dtype: D): ArrayOf[D] {
    const { index, view } = block;
    const { memory } = this.#regions.region(this.table.region[index]!);
    const offset = this.table.offset[index]!;
    if (view !== null) {
      if (block.viewDtype === dtype && view.buffer === memory && view.byteOffset === offset) {
        return view as ArrayOf[D];
      }
      this.#owners.set(view, block);
    }
    // Blocks start at multiples of what every dtype needs.
    const count = Math.floor(block.byteLength / hostDtypeInfo(dtype).bytes);
    const made = arrayOver(dtype, memory, offset, count);
    if (this.views !== null) {
      this.views.handed(this.table.pack(index), made, block.label);
    } else if (!block.isDisposed) {
      block.view = made;
      block.viewDtype = dtype;
    }
    if (block.isRegistered) this.#owners.set(made, block);
    return made;
  }

  /** @internal */
  retain(block: GeneralBlock): GeneralBlock {
    this.table.references[block.index]!++;
    const other = new GeneralBlock(this, block.index, block.byteLength, block.label);
    this.#register(other);
    return other;
  }

  isPinned(block: GeneralBlock): boolean {
    if (block.heap !== this) throw foreignHandle(block.label, this.label);
    return block.isPinned;
  }

  /** @internal A pin is an owner, too. */
  pin(block: GeneralBlock, options: PinOptions): Pin {
    // Nothing moves while collections are held off, nor into memory that is not there: a long pin is a
    // pin in place then.
    if (options.long === true && !this.#collector.isHeld) {
      try {
        this.#pinned.moveIn(block.index);
      } catch (error) {
        if (!(error instanceof OutOfMemoryError)) throw error;
      }
    }
    this.#pinned.pin(block.index);
    this.table.references[block.index]!++;
    return new Pin(block);
  }

  /** @internal */
  unpin(block: GeneralBlock): void {
    this.#pinned.unpin(block.index);
    this.#release(block.index);
  }

  /** Runs `action` with the block's bytes in a place that they keep until it ends, or its promise settles. */
  withPinned<R>(block: GeneralBlock, action: (bytes: Uint8Array<ArrayBuffer>) => R): R {
    const pin = block.pin();
    return settled(
      () => action(pin.bytes()),
      () => pin.dispose(),
    );
  }

  /** Runs `action` while nothing moves, until it ends, or its promise settles. May be nested. */
  withNoGC<R>(action: () => R): R {
    return this.#collector.hold(action);
  }

  /**
   * A point at which blocks may move: a slice of a collection, of about `pauseMs`. Returns whether there
   * is more to do. Does nothing inside `withNoGC`.
   */
  safePoint(): boolean {
    return this.#collector.slice();
  }

  /**
   * Collects until nothing is gained any more, however long it takes: every region that is not full of
   * live blocks is emptied. Returns false inside `withNoGC`, where it does nothing. What is unreachable
   * is known only after the engine has said so, in a later task.
   */
  collect(): boolean {
    if (this.#collector.isHeld) return false;
    this.#retireNursery();
    this.#pinned.close();
    this.#collector.full();
    this.#updatePressure(0);
    return true;
  }

  get #usedBytes(): number {
    return this.#ledger.live + this.#ledger.padding;
  }

  #updatePressure(requestedBytes: number): void {
    this.#pressure.update(() => this.#usedBytes, requestedBytes);
  }

  /** Tells `listener` when a watermark is passed, and before an allocation fails. Returns its end. */
  onPressure(listener: PressureListener): () => void {
    return this.#pressure.listen(listener);
  }

  /** Gives empty regions beyond `keepBytes` back to the engine. */
  trim(keepBytes = 0): void {
    this.#regions.trim(keepBytes);
  }

  stats(): RegionStats {
    this.#ledger.metadata = this.table.metadataBytes;
    return this.#ledger.stats();
  }

  collectionStats(): CollectionStats {
    return {
      ...this.#evacuator.counts,
      fullCollections: this.#collector.fullCollections,
      reclaimedCount: this.#reclaimedCount,
      reclaimedBytes: this.#reclaimedBytes,
      pauses: this.#collector.pauses,
      pressure: this.#pressure.level,
    };
  }

  protected owns(block: GeneralBlock): boolean {
    return block.heap === this;
  }

  protected copyContents(from: GeneralBlock, to: GeneralBlock, byteLength: number): void {
    to.bytes().set(from.bytes().subarray(0, byteLength));
  }

  protected requestLike(block: GeneralBlock, byteLength: number): AllocationRequest {
    return { byteLength, alignment: this.table.alignment[block.index]!, label: block.label };
  }
}
