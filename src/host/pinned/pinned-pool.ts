/** Buffers of the pinned heap that nobody has: kept for later by direction and size, the latest first. */

import type { PinnedDirection, PinnedSlot } from "./pinned-block.ts";

export class PinnedPool {
  readonly #destroy: (slot: PinnedSlot) => void;
  /** Free slots by size. */
  readonly #free = {
    upload: new Map<number, PinnedSlot[]>(),
    readback: new Map<number, PinnedSlot[]>(),
  };
  #bytes = 0;
  /** The least that was in it since the last {@link decay}: so much nobody has wanted. */
  #leastBytes = 0;

  /** @param destroy - told of what goes for good */
  constructor(destroy: (slot: PinnedSlot) => void) {
    this.#destroy = destroy;
  }

  get byteLength(): number {
    return this.#bytes;
  }

  /** A buffer of exactly this size, the one that was used last. O(1). */
  take(size: number, direction: PinnedDirection): PinnedSlot | undefined {
    for (;;) {
      const slot = this.#free[direction].get(size)?.pop();
      if (slot === undefined) return undefined;
      this.#removed(size);
      if (!hasFailed(slot)) return slot;
      this.#destroy(slot);
    }
  }

  /** Whether there is one to be taken. O(1). */
  has(size: number, direction: PinnedDirection): boolean {
    const list = this.#free[direction].get(size);
    return list !== undefined && list.length > 0;
  }

  /** Keeps a buffer that its holder has given back. O(1). */
  put(slot: PinnedSlot): void {
    const { size } = slot.buffer;
    const free = this.#free[slot.direction];
    const list = free.get(size);
    if (list === undefined) free.set(size, [slot]);
    else list.push(slot);
    slot.idle = true;
    this.#bytes += size;
  }

  #removed(size: number): void {
    this.#bytes -= size;
    if (this.#bytes < this.#leastBytes) this.#leastBytes = this.#bytes;
  }

  /** Destroys buffers until at most `keepBytes` of them are left. */
  trim(keepBytes: number): void {
    for (const free of [this.#free.readback, this.#free.upload]) {
      for (const list of free.values()) {
        while (this.#bytes > keepBytes) {
          const slot = list.pop();
          if (slot === undefined) break;
          this.#removed(slot.buffer.size);
          this.#destroy(slot);
        }
      }
    }
  }

  /** Destroys as many buffers as nobody has used since the call before. Whether some are left. */
  decay(): boolean {
    this.trim(this.#bytes - Math.min(this.#leastBytes, this.#bytes));
    this.#leastBytes = this.#bytes;
    return this.#bytes > 0;
  }
}

/** Whether the platform had no memory for the buffer, and said so later. */
export function hasFailed({ buffer }: PinnedSlot): boolean {
  return buffer.failure !== undefined && buffer.failure !== null;
}
