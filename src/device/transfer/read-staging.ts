/** Staging of reads: taken where there is some, waited for where other reads will give it back. */

import type { PinnedBlock, PinnedRequest } from "../../host/pinned-block.ts";
import type { PinnedHeap } from "../../host/pinned-heap.ts";
import { unlessAborted } from "./transfer.ts";

export class ReadStaging {
  readonly pinned: PinnedHeap;
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

  /** Settles when a read gives staging back; `null` where none holds any. */
  nextRelease(): Promise<void> | null {
    if (this.#held === 0) return null;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The read is done with its staging; who waits may have it. */
  release(block: PinnedBlock): void {
    this.#held--;
    this.pinned.free(block);
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** What is lent ends by its borrower's doing: nobody waits for it. */
  lend(): void {
    this.#held--;
  }
}

function requestOf(byteLength: number, label: string): PinnedRequest {
  return { byteLength, direction: "readback", label: `read ${label}`, isInternal: true };
}
