/**
 * Where each block of a general heap is. A handle knows its entry and the entry's generation; what
 * moves is only the entry's contents. Typed arrays: a million entries are no work for the engine's
 * collector.
 */

import { OutOfMemoryError } from "../errors.ts";

/** Entries that a table can have: an entry and its generation share one exact integer. */
export const mostEntries = 2 ** 24;

export class HandleTable {
  /** Grows when an entry ends: a handle of an older generation is dead. */
  generation = new Uint32Array(0);
  /** The id of the region that holds the block; -1 where the entry is free. */
  region = new Int32Array(0);
  /** Bytes from the start of the region. */
  offset = new Uint32Array(0);
  /** Bytes that were asked for. */
  byteLength = new Float64Array(0);
  /** Bytes that the block's alignment, or its size class, takes beside them. */
  padding = new Float64Array(0);
  alignment = new Uint16Array(0);
  /** Owners: handles and pins. */
  references = new Uint32Array(0);
  pins = new Uint32Array(0);
  /** Evacuations survived while young. */
  age = new Uint8Array(0);
  /** Told of an entry that there was no room for. */
  onRefused: () => void = () => {};
  /** Free entries, as a stack. */
  #free = new Int32Array(0);
  #freeCount = 0;

  get capacity(): number {
    return this.generation.length;
  }

  /** Bytes of the table itself. */
  get metadataBytes(): number {
    return this.capacity * (6 * 4 + 2 * 8 + 2 + 1);
  }

  /**
   * An entry with one owner, at a place that is set by the caller. Throws `OUT_OF_MEMORY` where there can
   * be no more. Amortised O(1).
   */
  take(label: string): number {
    if (this.#freeCount === 0) this.#grow(label);
    const index = this.#free[--this.#freeCount]!;
    this.references[index] = 1;
    this.pins[index] = 0;
    this.age[index] = 0;
    return index;
  }

  /** Ends an entry and every handle to it. */
  release(index: number): void {
    // Zero is no generation, so that a packed pair is never confused with an index.
    this.generation[index] = this.generation[index]! + 1 || 1;
    this.region[index] = -1;
    this.#free[this.#freeCount++] = index;
  }

  #grow(label: string): void {
    const before = this.capacity;
    if (before === mostEntries) {
      this.onRefused();
      throw new OutOfMemoryError(
        `"${label}" is one more than the ${mostEntries} blocks that a general heap can have; free some, or allocate larger ones`,
        { requestedBytes: 1, availableBytes: 0 },
        { label },
      );
    }
    const after = Math.max(1024, before * 2);
    this.generation = grown(this.generation, after);
    this.generation.fill(1, before);
    this.region = grown(this.region, after);
    this.region.fill(-1, before);
    this.offset = grown(this.offset, after);
    this.byteLength = grown(this.byteLength, after);
    this.padding = grown(this.padding, after);
    this.alignment = grown(this.alignment, after);
    this.references = grown(this.references, after);
    this.pins = grown(this.pins, after);
    this.age = grown(this.age, after);
    this.#free = new Int32Array(after);
    // The lowest come first: a small heap stays in few cache lines.
    for (let index = after - 1; index >= before; index--) this.#free[this.#freeCount++] = index;
  }

  /** Handle and generation as one number, for a finalizer that must not hold the handle. */
  pack(index: number): number {
    return this.generation[index]! * mostEntries + index;
  }

  /** The entry of a packed handle, or -1 where it has ended since. */
  unpack(packed: number): number {
    const index = packed % mostEntries;
    return this.generation[index] === Math.floor(packed / mostEntries) ? index : -1;
  }
}

type Column = Uint32Array | Int32Array | Float64Array | Uint16Array | Uint8Array;

function grown<C extends Column>(column: C, capacity: number): C {
  const larger = new (column.constructor as new (count: number) => C)(capacity);
  larger.set(column);
  return larger;
}
