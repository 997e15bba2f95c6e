/**
 * A slab: one large GPU buffer that many blocks share.
 *
 *     create ─▶ (provisional) ─ the error scope resolves ─▶ (ready) ─▶ destroyed
 *                     └──────── out of memory ───────────▶ (failed)
 */

import type { MoorageError } from "../../host/errors.ts";
import type { ManagedBuffer } from "./gpu-memory.ts";
import { OffsetAllocator } from "./offset-allocator.ts";
import { looseness } from "./slab-size.ts";

/** Pieces of a slab whose last use is tracked apart. */
const pieces = 64;

export class Slab {
  readonly buffer: GPUBuffer;
  readonly byteLength: number;
  /** Its place in the pool; used again once the slab is gone. It is the slab's colour. */
  readonly index: number;
  /** Unlike that of every other slab, ever: what caches are keyed by. */
  readonly serial: number;
  /** Counts in granules of {@link granuleBytes}. */
  readonly allocator: OffsetAllocator;
  readonly granuleBytes: number;
  /** Whether it is too large to be bound whole: it holds one block, and dispatches bind parts of it. */
  isWide = false;
  /** Whether it has been empty since the last look at what may go back. */
  isIdle = false;
  /** Bytes leased to arenas. */
  leasedBytes = 0;
  /** Whether the platform has said that it is there. */
  isReady = false;
  /** Why the platform refused this slab, once it has. */
  failure: MoorageError | null = null;
  readonly #managed: ManagedBuffer;
  readonly #pieceScale: number;
  /** The serial of what last read or wrote each piece. */
  readonly #lastUse = new Float64Array(pieces);
  /** The serial of what last read or wrote any of them. */
  #latest = 0;

  /** Whether somebody else owns the buffer: nothing is placed in it, and it is not destroyed here. */
  readonly isForeign: boolean;

  constructor(
    managed: ManagedBuffer,
    index: number,
    serial: number,
    granuleBytes: number,
    isForeign = false,
  ) {
    this.#managed = managed;
    this.buffer = managed.buffer;
    this.byteLength = managed.byteLength;
    this.index = index;
    this.serial = serial;
    this.granuleBytes = granuleBytes;
    this.isForeign = isForeign;
    const units = Math.max(1, Math.floor(this.byteLength / granuleBytes));
    this.allocator = new OffsetAllocator(units);
    if (isForeign) this.allocator.allocate(units);
    this.#pieceScale = 2 ** -Math.max(0, Math.ceil(Math.log2(this.byteLength / pieces)));
  }

  get isEmpty(): boolean {
    return this.allocator.blockCount === 0;
  }

  /** Whether a block that is too large to be bound may have this wide slab: alone, and most of it. */
  suits(units: number, isThorough: boolean): boolean {
    const capacity = this.byteLength / this.granuleBytes;
    return this.isEmpty && (isThorough || capacity <= looseness * units);
  }

  /** Whether a block of so many units would be placed here. */
  hasRoom(units: number): boolean {
    return this.isWide ? this.suits(units, false) : this.allocator.largestFree >= units;
  }

  /** Notes that recorded work with this serial touches a range: see {@link Recorder.batch}. O(pieces touched). */
  use(byteOffset: number, byteLength: number, serial: number): void {
    if (serial > this.#latest) this.#latest = serial;
    const scale = this.#pieceScale;
    const last = Math.floor((byteOffset + byteLength - 1) * scale);
    for (let piece = Math.floor(byteOffset * scale); piece <= last; piece++) {
      if (serial > this.#lastUse[piece]!) this.#lastUse[piece] = serial;
    }
  }

  /**
   * Whether work with this serial, or recorded later, may touch the range: what overtakes it must not then.
   * May say yes for a neighbour in the same piece, never no for the range itself.
   */
  isUsedSince(byteOffset: number, byteLength: number, serial: number): boolean {
    if (this.#latest < serial) return false;
    const scale = this.#pieceScale;
    const last = Math.floor((byteOffset + byteLength - 1) * scale);
    for (let piece = Math.floor(byteOffset * scale); piece <= last; piece++) {
      if (this.#lastUse[piece]! >= serial) return true;
    }
    return false;
  }

  destroy(): void {
    this.#managed.destroy();
  }
}
