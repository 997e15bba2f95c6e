/** Compaction of the device heap: the slabs with the least in them are emptied into the others. */

import { freeBytesOf, usedBytesOf } from "./block-mover.ts";
import type { BlockMover } from "./block-mover.ts";

export interface CompactionResult {
  readonly movedBytes: number;
  readonly movedBlocks: number;
  /** Slabs that nothing is left in: `trim()` gives them back. */
  readonly emptiedSlabs: number;
}

/**
 * Moves about `maxBytes` at most, so that a program may compact a little at a time: what one call began
 * to empty, the next goes on with. Slabs that hold scratch of an open scope, or a block that is lent,
 * are left alone. O(live blocks + slabs²).
 */
export function compact(mover: BlockMover, maxBytes = Infinity): CompactionResult {
  let [movedBytes, movedBlocks, emptiedSlabs] = [0, 0, 0];
  const bySlab = mover.movable();
  const left = mover.targets();
  for (;;) {
    // The fullest first: what is nearly full becomes full, and what is nearly empty becomes empty.
    left.sort((a, b) => usedBytesOf(b) - usedBytesOf(a));
    const source = left.findLast((slab) => bySlab.has(slab));
    if (source === undefined) break;
    left.splice(left.indexOf(source), 1);
    const free = left.reduce((sum, slab) => sum + freeBytesOf(slab), 0);
    if (free < usedBytesOf(source)) break;
    // The largest first: what is small finds a place anywhere.
    const blocks = bySlab.get(source)!.sort((a, b) => mover.extentOf(b) - mover.extentOf(a));
    for (const block of blocks) {
      const bytes = mover.extentOf(block);
      if (movedBytes > 0 && movedBytes + bytes > maxBytes) {
        return { movedBytes, movedBlocks, emptiedSlabs };
      }
      const target = mover.moveOut(block, left);
      if (target === null) break;
      bySlab.get(target)?.push(block);
      movedBytes += bytes;
      movedBlocks++;
    }
    if (source.isEmpty) emptiedSlabs++;
  }
  return { movedBytes, movedBlocks, emptiedSlabs };
}
