/**
 * The slabs of a device, and where in them a block is put.
 *
 * Colour: WebGPU refuses a buffer that one dispatch both reads and writes, even in disjoint ranges.
 * So the outputs of a dispatch are placed in slabs that none of its inputs live in, where that does
 * not cost a new slab beyond the first three; else the dispatch binds exact ranges.
 */

import { alignUp } from "../../host/alignment.ts";
import type { MemoryShare, MoorageError, OutOfMemoryError } from "../../host/errors.ts";
import type { GpuMemory } from "./gpu-memory.ts";
import { Ladder } from "./ladder.ts";
import type { DevicePressureEvent } from "./ladder.ts";
import { provisionalSlab } from "./provisional-slab.ts";
import { refusal } from "./refusal.ts";
import { requirePossible, slabLimits } from "./slab-limits.ts";
import { looseness, slabSize, spareBytes } from "./slab-size.ts";
import { Slab } from "./slab.ts";

/** Slabs that may be made for the sake of colour: two inputs and an output differ with three. */
const colourCount = 3;

export interface SlabPoolOptions {
  /** All slabs together never pass this. */
  readonly budgetBytes: number;
  /** Passing this, listeners are told and caches go; default the budget. */
  readonly softBytes?: number;
  /** Bytes of an ordinary slab; default 4 MiB. */
  readonly slabBytes?: number;
}

/** A range of a slab: `node` names it in the slab's allocator. */
export interface Place {
  readonly slab: Slab;
  readonly node: number;
}

export class SlabPool {
  /** Every block starts and ends at a multiple of this: the device's binding alignment. */
  granuleBytes = 16;
  /** Told of every new slab, and when the platform has said whether it exists. */
  onCreate: (slab: Slab, settled: Promise<void>) => void = () => {};
  /** Told of every slab that is there to be used, before {@link onCreate}. */
  onReserve: (slab: Slab) => void = () => {};
  /** Asked before a slab is destroyed: recorded work must have been submitted by then. */
  settle: () => boolean = () => true;
  /** Told when a buffer of somebody else's is forgotten. */
  onDrop: () => void = () => {};
  /** Who has what, for an error. */
  describe: () => MemoryShare[] = () => [];
  /** What is tried before a request is refused. */
  readonly ladder = new Ladder();
  /** Told of every slab that is gone. */
  onDestroy: (slab: Slab) => void = () => {};
  /** The largest range that a dispatch can bind; a slab that many blocks share is not larger. */
  maxBindingBytes = 0;
  /** The largest buffer. What is larger than a binding has one of its own: see {@link Slab.isWide}. */
  maxBufferBytes = 0;
  readonly #memory: GpuMemory;
  readonly #budgetBytes: number;
  readonly #softBytes: number;
  #slabBytes = 0;
  readonly #wantedSlabBytes: number;
  readonly #slabs: (Slab | null)[] = [];
  #serial = 0;
  /** Bytes asked for so far, and how many of them must have been before blocks are moved again. */
  #placedBytes = 0;
  #tightenAt = 0;
  #reservedBytes = 0;
  #peakReservedBytes = 0;

  constructor(memory: GpuMemory, options: SlabPoolOptions) {
    this.#memory = memory;
    this.#budgetBytes = options.budgetBytes;
    this.#softBytes = options.softBytes ?? options.budgetBytes;
    this.#wantedSlabBytes = options.slabBytes ?? 4 * 1024 ** 2;
    this.measure();
  }

  /** Reads the limits of the device. There is no slab then. */
  measure(): void {
    const limits = slabLimits(this.#memory.device);
    this.granuleBytes = limits.granuleBytes;
    this.maxBufferBytes = limits.maxBufferBytes;
    this.maxBindingBytes = limits.maxBindingBytes;
    this.#slabBytes = Math.min(this.#wantedSlabBytes, this.maxBindingBytes);
  }

  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  get peakReservedBytes(): number {
    return this.#peakReservedBytes;
  }

  get metadataBytes(): number {
    let bytes = 0;
    for (const slab of this.#slabs) bytes += slab?.allocator.metadataBytes ?? 0;
    return bytes;
  }

  /** The slab with a colour. A block whose slab was refused has a failure instead: ask that first. */
  slab(index: number): Slab {
    return this.#slabs[index]!;
  }

  /** Bytes that could still be handed out: free ones in slabs, and slabs not yet made. */
  get availableBytes(): number {
    return this.freeBytes + this.growableBytes;
  }

  get freeBytes(): number {
    let bytes = 0;
    for (const slab of this.#slabs) {
      if (slab !== null) bytes += slab.allocator.freeUnits * this.granuleBytes;
    }
    return bytes;
  }

  /** What slabs could still be made of. */
  get growableBytes(): number {
    return Math.max(
      0,
      Math.min(this.#budgetBytes - this.#reservedBytes, this.#memory.availableBytes),
    );
  }

  /**
   * A range of at least `byteLength` bytes, preferably in none of the slabs whose bit is set in
   * `avoid`. O(slabs). Throws `OUT_OF_MEMORY`, and `LIMIT_EXCEEDED` past the largest buffer.
   */
  place(byteLength: number, avoid: number, label: string): Place {
    const units = Math.ceil(byteLength / this.granuleBytes);
    requirePossible(byteLength, this.maxBufferBytes, label);
    this.#placedBytes += byteLength;
    return (
      this.placeApart(byteLength, avoid, label) ??
      this.#fit(units, avoid, true) ??
      this.#tighten(units) ??
      this.#placeInNewSlab(byteLength, label)
    );
  }

  /**
   * A range in a slab whose bit is not set in `avoid`, or `null` where that would take a slab more
   * than colour is worth. O(slabs).
   */
  placeApart(byteLength: number, avoid: number, label: string): Place | null {
    requirePossible(byteLength, this.maxBufferBytes, label);
    const place = this.#fit(Math.ceil(byteLength / this.granuleBytes), avoid, false);
    if (place !== null) return place;
    if (this.#slabs.length >= colourCount || this.growableBytes < byteLength) return null;
    return this.#placeInNewSlab(byteLength, label);
  }

  #placeInNewSlab(byteLength: number, label: string): Place {
    const units = Math.ceil(byteLength / this.granuleBytes);
    const needed = units * this.granuleBytes;
    const inNewSlab = (): Place => {
      const slab = this.#create(byteLength, label);
      return { slab, node: slab.allocator.allocate(units) };
    };
    // Near the end of the budget an empty slab is worth more as room for one of another size.
    if (
      needed > this.growableBytes - spareBytes(this.#budgetBytes, this.#slabBytes) &&
      this.emptyBytes > 0
    )
      this.trim();
    if (needed <= this.growableBytes) {
      if (this.#reservedBytes + needed > this.#softBytes) {
        this.ladder.soften(this.#pressure(needed, "soft"));
        const place = this.#fit(units, 0, false, true);
        if (place !== null) return place;
      }
      if (needed <= this.growableBytes) return inNewSlab(); // Unless a listener has taken it.
    }
    const place = this.ladder.climb(
      this.#pressure(needed, "refused"),
      () =>
        // Before anything is refused the search is thorough.
        this.#fit(units, 0, false, true) ?? (needed <= this.growableBytes ? inNewSlab() : null),
    );
    if (place !== null) return place;
    this.ladder.refused();
    throw this.#refused(needed, label);
  }

  /**
   * Before a slab is added to memory that is mostly free but in pieces: empty slabs go, and blocks are
   * moved together. No more is moved than was placed since the last time, so that it costs a copy for
   * each allocation at most. A place, if that made one.
   */
  #tighten(units: number): Place | null {
    const needed = units * this.granuleBytes;
    const used = this.#reservedBytes - this.freeBytes;
    const isLoose = (): boolean => this.#reservedBytes + needed > looseness * (used + needed);
    if (!isLoose() || this.#placedBytes < this.#tightenAt) return null;
    this.#tightenAt = this.#placedBytes + used;
    this.trim();
    if (!isLoose()) return null;
    this.ladder.tighten(needed);
    return this.#fit(units, 0, false, true);
  }

  #pressure(requestedBytes: number, level: DevicePressureEvent["level"]): DevicePressureEvent {
    return {
      region: "device",
      requestedBytes,
      availableBytes: this.availableBytes,
      reservedBytes: this.#reservedBytes,
      budgetBytes: this.#budgetBytes,
      level,
    };
  }

  /** A range in one of some slabs, in their order, or `null`. O(slabs), and thorough in each. */
  placeIn(slabs: readonly Slab[], byteLength: number): Place | null {
    const units = Math.ceil(byteLength / this.granuleBytes);
    for (const slab of slabs) {
      const node = slab.allocator.allocate(units, true);
      if (node >= 0) return { slab, node };
    }
    return null;
  }

  #fit(units: number, avoid: number, avoided: boolean, isThorough = false): Place | null {
    const isWide = units * this.granuleBytes > this.maxBindingBytes;
    const slabs = this.#slabs;
    for (let index = 0; index < slabs.length; index++) {
      const slab = slabs[index]!;
      if (slab === null || slab.failure !== null || slab.isWide !== isWide) continue;
      // Slabs past the 31st have no bit: they are placed in freely, and bound by exact ranges.
      const isAvoided = index < 31 && (avoid & (1 << index)) !== 0;
      if (isWide && !slab.suits(units, isThorough)) continue;
      if (isAvoided !== avoided) continue;
      const node = slab.allocator.allocate(units, isThorough);
      if (node < 0) continue;
      slab.isIdle = false;
      return { slab, node };
    }
    return null;
  }

  /**
   * Makes sure that `byteLength` bytes more can be placed at once. Settles when that is certain. Throws
   * `LIMIT_EXCEEDED` past the largest buffer.
   */
  async reserve(byteLength: number): Promise<void> {
    const units = Math.ceil(byteLength / this.granuleBytes);
    const isWide = units * this.granuleBytes > this.maxBindingBytes;
    requirePossible(byteLength, this.maxBufferBytes, `reserve(${byteLength})`);
    for (;;) {
      const found = this.#slabs.find((slab) => slab?.isWide === isWide && slab.hasRoom(units));
      const slab = found ?? this.#create(byteLength, `reserve(${byteLength})`, byteLength);
      await this.#settled.get(slab);
      if (slab.failure === null) return;
      if (found === undefined) throw slab.failure;
    }
  }

  readonly #settled = new WeakMap<Slab, Promise<void>>();

  #create(byteLength: number, label: string, preferredBytes?: number): Slab {
    const needed = alignUp(byteLength, this.granuleBytes);
    if (needed > this.growableBytes) this.#memory.reclaim();
    if (needed > this.growableBytes) throw this.#refused(needed, label);
    const size = slabSize({
      needed,
      preferredBytes,
      slabBytes: this.#slabBytes,
      usedBytes: this.#reservedBytes - this.freeBytes,
      reservedBytes: this.#reservedBytes,
      growableBytes: this.growableBytes,
      budgetBytes: this.#budgetBytes,
      maxSlabBytes: this.maxBindingBytes,
      granuleBytes: this.granuleBytes,
    });
    const slab = this.#createProvisional(size, label);
    this.#reservedBytes += slab.byteLength;
    this.#peakReservedBytes = Math.max(this.#peakReservedBytes, this.#reservedBytes);
    return slab;
  }

  #createProvisional(size: number, label: string): Slab {
    const hole = this.#slabs.indexOf(null);
    const index = hole === -1 ? this.#slabs.length : hole;
    const { slab, settled } = provisionalSlab(this.#memory, {
      size,
      index,
      serial: ++this.#serial,
      granuleBytes: this.granuleBytes,
      label,
      onRefused: (refused) => this.#destroy(refused),
    });
    this.#settled.set(slab, settled);
    this.#enter(slab);
    this.onReserve(slab);
    this.onCreate(slab, settled);
    return slab;
  }

  #refused(requestedBytes: number, label: string): OutOfMemoryError {
    const { availableBytes, freeBytes } = this;
    const largest = this.#slabs.reduce(
      (most, slab) => Math.max(most, slab?.allocator.largestFree ?? 0),
      0,
    );
    return refusal(label, {
      requestedBytes,
      availableBytes,
      freeBytes,
      largestFreeBytes: largest * this.granuleBytes,
      reservedBytes: this.#reservedBytes,
      budgetBytes: this.#budgetBytes,
      totalLeftBytes: this.#memory.availableBytes,
      breakdown: this.describe(),
    });
  }

  /** Destroys slabs without a live block; returns their bytes. Submits recorded work. O(slabs). */
  trim(): number {
    let bytes = 0;
    if (!this.settle()) return 0;
    for (const slab of this.#slabs) {
      if (slab === null || !slab.isEmpty) continue;
      bytes += slab.byteLength;
      this.#destroy(slab);
    }
    return bytes;
  }

  /** Destroys slabs that have been empty since the call before. Whether empty ones are left. O(slabs). */
  decay(): boolean {
    const empty = this.slabs.filter(({ isEmpty }) => isEmpty);
    if (empty.length === 0 || !this.settle()) return empty.length > 0;
    let left = 0;
    for (const slab of empty) {
      if (slab.isIdle) {
        this.#destroy(slab);
      } else {
        slab.isIdle = true;
        left++;
      }
    }
    return left > 0;
  }

  /** Bytes of slabs that nothing is in. O(slabs). */
  get emptyBytes(): number {
    let bytes = 0;
    for (const slab of this.#slabs) if (slab?.isEmpty === true) bytes += slab.byteLength;
    return bytes;
  }

  #destroy(slab: Slab): void {
    if (this.#slabs[slab.index] !== slab) return;
    this.#slabs[slab.index] = null;
    if (!slab.isForeign) this.#reservedBytes -= slab.byteLength;
    slab.destroy();
    this.onDestroy(slab);
  }

  /** A buffer of somebody else's among the slabs: it has an index and a serial, and no room. */
  adopt(buffer: GPUBuffer): Slab {
    const hole = this.#slabs.indexOf(null);
    const index = hole === -1 ? this.#slabs.length : hole;
    const owned = { buffer, byteLength: buffer.size, destroy: () => {} };
    const slab = new Slab(owned, index, ++this.#serial, this.granuleBytes, true);
    this.#enter(slab);
    return slab;
  }

  #enter(slab: Slab): void {
    slab.isWide = slab.byteLength > this.maxBindingBytes;
    this.#slabs[slab.index] = slab;
  }

  /** Forgets a buffer of somebody else's, who may destroy it then: what is recorded is submitted. */
  drop(slab: Slab): void {
    if (this.#slabs[slab.index] !== slab) return;
    this.settle();
    this.#slabs[slab.index] = null;
    this.onDrop();
  }

  /** Every slab goes: with its device, where there is a failure to tell. */
  close(failure: MoorageError | null = null): void {
    for (const slab of this.#slabs) {
      if (slab === null) continue;
      slab.failure ??= failure;
      this.#destroy(slab);
    }
  }

  /** Live slabs, those of others left out. */
  get slabs(): readonly Slab[] {
    return this.#slabs.filter((slab) => slab !== null && !slab.isForeign) as Slab[];
  }
}
