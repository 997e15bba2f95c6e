/** Staging of reads: taken where there is some, waited for where other reads will give it back. */

import type { PinnedBlock, PinnedRequest, PinnedSlot } from "../../host/pinned/pinned-block.ts";
import type { PinnedHeap } from "../../host/pinned/pinned-heap.ts";
import { unlessAborted } from "./transfer-control.ts";

export class ReadStaging {
  readonly pinned: PinnedHeap;
  /** Reads under way, however they go, and who waits for the end of the last. */
  readingCount = 0;
  readonly #idle: (() => void)[] = [];
  /** Reads that hold staging, and those that wait for it. */
  #held = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(pinned: PinnedHeap) {
    this.pinned = pinned;
  }

  /** Staging, or `null` where there is none now. Throws what is no lack of memory. */
  take(byteLength: number, label: string): PinnedBlock | null {
    const taken = this.pinned.tryAlloc(requestOf(byteLength, label));
    if (!taken.ok) {
      if (taken.error.code !== "OUT_OF_MEMORY") throw taken.error;
      return null;
    }
    this.#held++;
    return taken.value;
  }

  /** A read that {@link readingCount} counted has ended. */
  ended(): void {
    this.readingCount--;
    if (this.readingCount === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Settles when nothing is being read. */
  async settled(): Promise<void> {
    while (this.readingCount > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /**
   * Staging without a handle: pooled, or a new buffer that is named by `label` where that is told. `null`
   * where there is none now. O(1).
   */
  lendSlot(byteLength: number, label: string | null = null): PinnedSlot | null {
    const slot = this.pinned.slots.lend(byteLength, "readback", label);
    if (slot !== null) this.#held++;
    return slot;
  }

  /** Whether a new buffer for so many bytes costs none that is there. */
  hasRoomFor(byteLength: number): boolean {
    return this.pinned.slots.hasRoomFor(byteLength);
  }

  /** The end of {@link lendSlot}; who waits may have it. */
  takeSlotBack(slot: PinnedSlot): void {
    this.#held--;
    void this.pinned.slots.takeBack(slot);
    if (this.#waiting.length > 0) this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Staging that other reads give back, or what is in flight. */
  async room(byteLength: number, label: string, signal?: AbortSignal): Promise<PinnedBlock> {
    for (;;) {
      // Counted in the same breath: another that waits must see that somebody will give it back.
      const taken = this.take(byteLength, label);
      if (taken !== null) return taken;
      const released = this.nextRelease();
      if (released !== null) {
        await (signal === undefined ? released : unlessAborted(signal, released));
        continue;
      }
      const block = await this.pinned.allocAsync(requestOf(byteLength, label));
      this.#held++;
      return block;
    }
  }

  /** Settles when there may be a slot to be lent; rejects where nobody will give one back. */
  async nextSlot(byteLength: number, label: string): Promise<void> {
    const released = this.nextRelease();
    if (released !== null) return await released;
    this.pinned.free(await this.pinned.allocAsync(requestOf(byteLength, label)));
  }

  /** Settles when a read gives staging back; `null` where none holds any. */
  nextRelease(): Promise<void> | null {
    if (this.#held === 0) return null;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The read is done with its staging; who waits may have it. */
  release(block: PinnedBlock): void {
    this.#held--;
    this.pinned.free(block);
    this.#wake();
  }

  /** What is lent ends by its borrower's doing: who waits looks for something else. */
  lend(): void {
    this.#held--;
    this.#wake();
  }
}

function requestOf(byteLength: number, label: string): PinnedRequest {
  return { byteLength, direction: "readback", label: `read ${label}`, isInternal: true };
}
