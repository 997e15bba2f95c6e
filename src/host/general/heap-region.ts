/**
 * A stretch of a general heap: blocks are laid one behind the other, and it is emptied as a whole.
 *
 *     [ block │ dead │ block (pinned) │ dead │ block │  free ─▶ ]
 *                                                    used
 */

import { detached } from "../detach.ts";
import type { GeneralBlock } from "./general-block.ts";

/**
 * - `nursery`: where allocation goes on
 * - `young`: was the nursery, or holds what survived it; not promoted yet
 * - `old`: promoted blocks
 * - `pinned`: blocks that are pinned for long
 * - `large`: one block of its own
 * - `free`: holds nothing
 */
export type RegionRole = "nursery" | "young" | "old" | "pinned" | "large" | "free";

export class HeapRegion {
  readonly id: number;
  role: RegionRole;
  memory: ArrayBuffer;
  bytes: Uint8Array<ArrayBuffer>;
  /** Bytes from the start that are laid out, padding included. */
  used = 0;
  /** Of them, bytes of blocks that live, padding included. */
  liveBytes = 0;
  /** Of them, bytes of blocks that cannot move now. */
  pinnedBytes = 0;
  /** Bytes that come back only when the region is emptied. */
  deadBytes = 0;
  /** Entries of the table that were placed here, in order; some may have ended or moved since. */
  entries = new Int32Array(64);
  entryCount = 0;
  /** Where evacuation goes on. */
  cursor = 0;
  /** Orders regions by age. */
  serial = 0;
  /**
   * Handles of blocks made here that are held until the region is retired: to tell the engine's
   * collector of each at once would cost more than the allocation.
   */
  handles: GeneralBlock[] | null = [];

  constructor(id: number, role: RegionRole, size: number) {
    this.id = id;
    this.role = role;
    this.memory = new ArrayBuffer(size);
    this.bytes = new Uint8Array(this.memory);
  }

  get size(): number {
    return this.memory.byteLength;
  }

  /** Live bytes over the region's size: what is emptied first has the lowest. */
  get liveRatio(): number {
    return this.liveBytes / this.size;
  }

  place(index: number, offset: number, taken: number): void {
    if (this.entryCount === this.entries.length) {
      const larger = new Int32Array(2 * this.entries.length);
      larger.set(this.entries);
      this.entries = larger;
    }
    this.entries[this.entryCount++] = index;
    this.used = offset;
    this.liveBytes += taken;
  }

  /** The same memory behind another buffer: every typed array over it has length 0 afterwards. */
  detach(): void {
    this.memory = detached(this.memory);
    this.bytes = new Uint8Array(this.memory);
  }

  /** Empties the region. Every typed array over it has length 0 afterwards. */
  vacate(): void {
    this.detach();
    this.role = "free";
    this.used = 0;
    this.liveBytes = 0;
    this.pinnedBytes = 0;
    this.deadBytes = 0;
    this.entryCount = 0;
    this.cursor = 0;
    this.handles = [];
  }
}
