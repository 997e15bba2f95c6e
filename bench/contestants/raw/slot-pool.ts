/**
 * A pool of slots in one address space: free lists by size class, linked through arrays beside the
 * memory. How many slots of each class a run of allocations needs is counted beforehand.
 */

import { inputOf, valueOf } from "../../core/contract.ts";
import type { Numbers, Problem } from "../../core/contract.ts";

export const none = -1;
export const classCount = 32;

/** The power of two that a block is rounded up to. */
function classOf(bytes: number): number {
  return 32 - Math.clz32(bytes - 1);
}

/** Slots of a size class in a list each, linked through arrays beside the memory. */
export class SlotPool {
  readonly bytes: number;
  /** Byte offset of each slot. */
  readonly offsets: Uint32Array;
  readonly #classes: Uint8Array;
  readonly #next: Int32Array;
  readonly #heads = new Int32Array(classCount).fill(none);

  /** @param counts - how many slots there are of each class */
  constructor(counts: readonly number[]) {
    const slots = counts.reduce((sum, count) => sum + count, 0);
    this.offsets = new Uint32Array(slots);
    this.#classes = new Uint8Array(slots);
    this.#next = new Int32Array(slots);
    let offset = 0;
    let slot = 0;
    // The largest first: every slot is aligned to its own size.
    for (let size = classCount - 1; size >= 0; size--) {
      for (let index = 0; index < counts[size]!; index++) {
        this.offsets[slot] = offset;
        this.#classes[slot] = size;
        this.free(slot++);
        offset += 2 ** size;
      }
    }
    this.bytes = offset;
  }

  /** A slot of at least `bytes`, or -1 where all of its class are taken. */
  allocate(bytes: number): number {
    const size = classOf(bytes);
    const slot = this.#heads[size]!;
    if (slot !== none) this.#heads[size] = this.#next[slot]!;
    return slot;
  }

  free(slot: number): void {
    const size = this.#classes[slot]!;
    this.#next[slot] = this.#heads[size]!;
    this.#heads[size] = slot;
  }
}

interface Trace {
  readonly bytes: Numbers;
  readonly places: Numbers;
  readonly window: number;
}

export function traceOf({ inputs, values }: Problem): Trace {
  return {
    bytes: inputOf(inputs, "bytes").data,
    places: inputOf(inputs, "places").data,
    window: valueOf(values, "window"),
  };
}

/** Of each class, the most that are live at once, and how many there are in all. */
export function countClasses({ bytes, places, window }: Trace): {
  readonly mostLive: number[];
  readonly total: number[];
} {
  const zeros = (): number[] => Array.from({ length: classCount }, () => 0);
  const [live, mostLive, total] = [zeros(), zeros(), zeros()];
  const held = Array.from({ length: window }, () => none);
  for (let index = 0; index < bytes.length; index++) {
    const place = places[index]!;
    if (held[place] !== none) live[held[place]!]!--;
    const size = classOf(bytes[index]!);
    held[place] = size;
    live[size]!++;
    total[size]!++;
    mostLive[size] = Math.max(mostLive[size]!, live[size]!);
  }
  return { mostLive, total };
}
