/**
 * Staging for what is produced in place: chunks of mapped memory that many small uploads share, front
 * to back. One submission unmaps a chunk with everything in it, and the pinned heap maps it again when
 * the device is done:
 *
 *     [ a │ b │ c │ free ]  ── submit ──▶  in flight  ── mapped again ──▶  the pinned heap's pool
 */

import { alignUp } from "../host/alignment.ts";
import type { PinnedBlock } from "../host/pinned-block.ts";
import type { PinnedHeap } from "../host/pinned-heap.ts";
import { MiB } from "../host/units.ts";

/** A range of mapped memory that is to be filled. */
export interface BeltRange {
  readonly chunk: PinnedBlock;
  readonly byteOffset: number;
}

const chunkBytes = MiB;

/** Chunks on their way: who produces more in one go is served without the belt. */
const mostInFlight = 8;

/** Copies and mapped ranges start at multiples of this. */
const rangeAlignment = 16;

export class UploadBelt {
  readonly #pinned: PinnedHeap;
  #open: PinnedBlock | null = null;
  #used = 0;
  /** Full, with copies that are not submitted yet. */
  #full: PinnedBlock[] = [];
  #inFlight = 0;

  constructor(pinned: PinnedHeap) {
    this.#pinned = pinned;
  }

  /** The most that one range can have. */
  static readonly largestBytes = chunkBytes;

  /** Mapped memory, or `null` where none is to be had without waiting. O(1). */
  take(byteLength: number): BeltRange | null {
    if (byteLength > chunkBytes) return null;
    if (this.#open !== null && this.#used + byteLength > chunkBytes) {
      this.#full.push(this.#open);
      this.#open = null;
    }
    if (this.#open === null) {
      if (this.#inFlight + this.#full.length >= mostInFlight) return null;
      const taken = this.#pinned.tryAlloc({ byteLength: chunkBytes, label: "upload belt" });
      if (!taken.ok) return null;
      this.#open = taken.value;
      this.#used = 0;
    }
    const byteOffset = this.#used;
    this.#used = alignUp(byteOffset + byteLength, rangeAlignment);
    return { chunk: this.#open, byteOffset };
  }

  /** Gives the latest range back, which nothing was recorded for. */
  undo({ chunk, byteOffset }: BeltRange): void {
    if (chunk !== this.#open) return;
    this.#used = byteOffset;
    if (byteOffset > 0) return;
    // Nothing else would submit it, and give it back.
    this.#open = null;
    this.#pinned.free(chunk);
  }

  /** Before what is recorded is submitted: nobody writes these chunks any more. */
  seal(): void {
    if (this.#open !== null && this.#used > 0) {
      this.#full.push(this.#open);
      this.#open = null;
    }
    if (this.#full.length === 0) return;
    const full = this.#full;
    this.#full = [];
    for (const chunk of full) {
      chunk.unmap();
      this.#inFlight++;
      void this.#arrival(chunk);
      this.#pinned.free(chunk);
    }
  }

  async #arrival(chunk: PinnedBlock): Promise<void> {
    try {
      await chunk.map(false);
    } catch {
      // Lost with its device: the pinned heap knows.
    } finally {
      this.#inFlight--;
    }
  }

  /** Gives back what is open, used or not: what was recorded from it is lost with the device. */
  close(): void {
    const chunks = this.#open === null ? this.#full : [...this.#full, this.#open];
    this.#open = null;
    this.#full = [];
    for (const chunk of chunks) this.#pinned.free(chunk);
  }
}
