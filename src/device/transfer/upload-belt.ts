/**
 * Staging for what is produced in place: chunks of mapped memory that many uploads share, front to
 * back. One submission unmaps a chunk with everything in it, and the pinned heap maps it again when the
 * device is done:
 *
 *     [ a │ b │ c │ free ]  ── submit ──▶  in flight  ── mapped again ──▶  the pinned heap's pool
 *
 * Chunks come in two classes: small ones, and large ones once a small one has not held what was
 * produced between two submissions.
 */

import { alignUp } from "../../host/alignment.ts";
import type { PinnedBlock, PinnedRequest } from "../../host/pinned/pinned-block.ts";
import type { PinnedHeap } from "../../host/pinned/pinned-heap.ts";
import { MiB } from "../../host/units.ts";

/** A range of mapped memory that is to be filled. */
export interface BeltRange {
  readonly chunk: PinnedBlock;
  readonly byteOffset: number;
}

const smallBytes = MiB;
const largeBytes = 4 * MiB;

/** Bytes of chunks on their way: who produces more in one go is served without the belt. */
const mostInFlightBytes = 4 * largeBytes;

/** Copies and mapped ranges start at multiples of this. */
const rangeAlignment = 16;

function beltRequest(byteLength: number): PinnedRequest {
  return { byteLength, label: "upload belt", isInternal: true };
}

export class UploadBelt {
  readonly #pinned: PinnedHeap;
  #open: PinnedBlock | null = null;
  #used = 0;
  /** Full, with copies that are not submitted yet. */
  #full: PinnedBlock[] = [];
  #inFlightBytes = 0;
  #chunkBytes = smallBytes;
  /** Bytes produced since the last submission. */
  #producedBytes = 0;

  constructor(pinned: PinnedHeap) {
    this.#pinned = pinned;
  }

  /** The most that one range can have. */
  static readonly largestBytes = largeBytes;

  /** Mapped memory, or `null` where none is to be had without waiting. O(1). */
  take(byteLength: number): BeltRange | null {
    if (byteLength > largeBytes) return null;
    if (this.#open !== null && this.#used + byteLength > this.#open.byteLength) {
      this.#full.push(this.#open);
      this.#open = null;
      this.#chunkBytes = largeBytes;
    }
    this.#open ??= this.#next(byteLength);
    if (this.#open === null) return null;
    const byteOffset = this.#used;
    this.#used = alignUp(byteOffset + byteLength, rangeAlignment);
    this.#producedBytes += byteLength;
    return { chunk: this.#open, byteOffset };
  }

  /** An empty chunk of the class that is due, or of the other where only that is to be had. */
  #next(byteLength: number): PinnedBlock | null {
    const full = this.#full.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    for (const size of [
      this.#chunkBytes,
      this.#chunkBytes === smallBytes ? largeBytes : smallBytes,
    ]) {
      if (byteLength > size || this.#inFlightBytes + full + size > mostInFlightBytes) continue;
      const taken = this.#pinned.tryAlloc(beltRequest(size));
      if (!taken.ok) continue;
      this.#used = 0;
      return taken.value;
    }
    return null;
  }

  /** Gives the latest range back, which nothing was recorded for. */
  undo({ chunk, byteOffset }: BeltRange, byteLength: number): void {
    // Behind it there may be others by now.
    const end = alignUp(byteOffset + byteLength, rangeAlignment);
    if (chunk !== this.#open || end !== this.#used) return;
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
    if (this.#producedBytes <= smallBytes / 2) this.#chunkBytes = smallBytes;
    this.#producedBytes = 0;
    if (this.#full.length === 0) return;
    const full = this.#full;
    this.#full = [];
    for (const chunk of full) {
      chunk.unmap();
      this.#inFlightBytes += chunk.byteLength;
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
      this.#inFlightBytes -= chunk.byteLength;
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
