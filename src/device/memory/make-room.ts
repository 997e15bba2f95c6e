/**
 * One free range of a given length, made by moving as little as will do:
 *
 *     what lies in the way goes elsewhere ─▶ one slab slides together ─▶ what is free is gathered in one slab
 */

import { freeBytesOf, usedBytesOf } from "./block-mover.ts";
import type { BlockMover } from "./block-mover.ts";
import type { DeviceAllocation } from "./block-table.ts";
import type { Place, SlabPool } from "./slab-pool.ts";
import type { Slab } from "./slab.ts";

/** A range of a slab, and what is in its way. */
interface Passage {
  readonly slab: Slab;
  readonly blocks: readonly DeviceAllocation[];
  readonly liveBytes: number;
}

/** Of the cheapest ones so many are tried: what lies in one may fit nowhere else. */
const passagesTried = 8;

/** Of the slabs with most free bytes so many are tried. */
const gatheringsTried = 3;

/**
 * Makes a free range of `byteLength` bytes. False where that cannot be done; what was moved then has
 * left larger ranges all the same. O(live blocks).
 */
export function makeRoom(pool: SlabPool, mover: BlockMover, byteLength: number): boolean {
  const bySlab = mover.movable();
  return (
    clearPassage(pool, mover, bySlab, byteLength) ||
    slideOne(mover, bySlab, byteLength) ||
    gather(mover, bySlab, byteLength)
  );
}

/** Moves what lies in a range to free ranges of other slabs: no more than the range is long. */
function clearPassage(
  pool: SlabPool,
  mover: BlockMover,
  bySlab: ReadonlyMap<Slab, readonly DeviceAllocation[]>,
  byteLength: number,
): boolean {
  const passages: Passage[] = [];
  for (const [slab, blocks] of bySlab) {
    const passage = cheapestPassage(mover, slab, blocks, byteLength);
    if (passage !== null) passages.push(passage);
  }
  passages.sort((a, b) => a.liveBytes - b.liveBytes);
  return passages.slice(0, passagesTried).some((passage) => evacuate(pool, mover, passage));
}

/** The range of a slab with the fewest live bytes in it: it begins where a block ends, or the slab begins. */
function cheapestPassage(
  mover: BlockMover,
  slab: Slab,
  blocks: readonly DeviceAllocation[],
  byteLength: number,
): Passage | null {
  const sorted = blocks.toSorted((a, b) => mover.offsetOf(a) - mover.offsetOf(b));
  const startOf = (at: number): number => mover.offsetOf(sorted[at]!);
  const extentOf = (at: number): number => mover.extentOf(sorted[at]!);
  let best: { first: number; last: number; liveBytes: number } | null = null;
  let liveBytes = 0;
  let last = 0;
  // The passage starts right behind block `first - 1`.
  for (let first = 0; first <= sorted.length; first++) {
    const start = first === 0 ? 0 : startOf(first - 1) + extentOf(first - 1);
    if (start + byteLength > slab.byteLength) break;
    while (last < sorted.length && startOf(last) < start + byteLength) {
      liveBytes += extentOf(last);
      last++;
    }
    if (best === null || liveBytes < best.liveBytes) best = { first, last, liveBytes };
    if (first < last) liveBytes -= extentOf(first);
    else last = Math.max(last, first + 1);
  }
  if (best === null) return null;
  return { slab, blocks: sorted.slice(best.first, best.last), liveBytes: best.liveBytes };
}

/** Moves the blocks of a passage to other slabs: all of them, or none. */
function evacuate(pool: SlabPool, mover: BlockMover, { slab, blocks }: Passage): boolean {
  const others = mover
    .targets()
    .filter((other) => other !== slab)
    .sort((a, b) => usedBytesOf(b) - usedBytesOf(a));
  const places: Place[] = [];
  const largestFirst = largestFirstOf(mover, blocks);
  for (const block of largestFirst) {
    const place = pool.placeIn(others, mover.extentOf(block));
    if (place === null) {
      for (const taken of places) taken.slab.allocator.free(taken.node);
      return false;
    }
    places.push(place);
  }
  for (const [index, block] of largestFirst.entries()) mover.moveTo(block, places[index]!);
  return true;
}

/** Slides the slab with the fewest live bytes of those whose free bytes are enough. */
function slideOne(
  mover: BlockMover,
  bySlab: ReadonlyMap<Slab, readonly DeviceAllocation[]>,
  byteLength: number,
): boolean {
  return [...bySlab]
    .filter(([slab]) => freeBytesOf(slab) >= byteLength)
    .sort(([a], [b]) => usedBytesOf(a) - usedBytesOf(b))
    .some(([slab, blocks]) => mover.slide(slab, blocks));
}

/** Gathers what is free in one of the slabs that have most of it. */
function gather(
  mover: BlockMover,
  bySlab: ReadonlyMap<Slab, DeviceAllocation[]>,
  byteLength: number,
): boolean {
  if (freeBytesIn(bySlab.keys()) < byteLength) return false;
  const isEnough = (slab: Slab): boolean => freeBytesOf(slab) >= byteLength;
  return [...bySlab.keys()]
    .filter((slab) => slab.byteLength >= byteLength)
    .sort((a, b) => freeBytesOf(b) - freeBytesOf(a))
    .slice(0, gatheringsTried)
    .some((slab) => drain(mover, bySlab, slab, isEnough) && mover.slide(slab, bySlab.get(slab)!));
}

/**
 * Empties slabs, those with the least in them first, until a slab of `byteLength` bytes could be made in
 * place of what is empty.
 */
export function emptySlabs(pool: SlabPool, mover: BlockMover, byteLength: number): void {
  const bySlab = mover.movable();
  // What cannot succeed moves nothing.
  if (pool.growableBytes + freeBytesIn(bySlab.keys()) < byteLength) return;
  const byUse = [...bySlab.keys()].sort((a, b) => usedBytesOf(a) - usedBytesOf(b));
  for (const slab of byUse) {
    if (pool.growableBytes + pool.emptyBytes >= byteLength) return;
    if (freeBytesIn(bySlab.keys()) < slab.byteLength) continue;
    drain(mover, bySlab, slab, ({ isEmpty }) => isEmpty);
  }
}

/** Moves blocks of a slab to others, the largest first, until it is enough. */
function drain(
  mover: BlockMover,
  bySlab: ReadonlyMap<Slab, DeviceAllocation[]>,
  source: Slab,
  isEnough: (source: Slab) => boolean,
): boolean {
  const others = [...bySlab.keys()].filter((slab) => slab !== source && !slab.isEmpty);
  const together = others.filter((slab) => mover.slide(slab, bySlab.get(slab)!));
  for (const block of largestFirstOf(mover, bySlab.get(source)!)) {
    if (isEnough(source)) return true;
    moveOut(mover, bySlab, together, block, source);
  }
  return isEnough(source);
}

/** Moves a block to a slab with room behind its blocks, or that has it once another has left. */
function moveOut(
  mover: BlockMover,
  bySlab: ReadonlyMap<Slab, DeviceAllocation[]>,
  targets: readonly Slab[],
  block: DeviceAllocation,
  source: Slab,
): void {
  const bytes = mover.extentOf(block);
  const tightestFirst = targets.toSorted((a, b) => freeBytesOf(a) - freeBytesOf(b));
  const target =
    mover.moveOut(block, tightestFirst) ?? moveAside(mover, bySlab, tightestFirst, bytes);
  if (target === null) return;
  if (mover.slabOf(block) === source && mover.moveOut(block, [target]) === null) return;
  changeHome(bySlab, block, source, target);
}

/** Moves a block out of the way of `bytes` behind the blocks of its slab; that slab. */
function moveAside(
  mover: BlockMover,
  bySlab: ReadonlyMap<Slab, DeviceAllocation[]>,
  targets: readonly Slab[],
  bytes: number,
): Slab | null {
  for (const target of targets.toReversed()) {
    const missing = bytes - freeBytesOf(target);
    const others = targets.filter((slab) => slab !== target);
    const most = Math.max(0, ...others.map(freeBytesOf));
    const blocks = bySlab.get(target)!;
    let least: DeviceAllocation | null = null;
    for (const block of blocks) {
      const extent = mover.extentOf(block);
      if (extent < missing || extent > most) continue;
      if (least === null || extent < mover.extentOf(least)) least = block;
    }
    const home = least === null ? null : mover.moveOut(least, others);
    if (home === null) continue;
    changeHome(bySlab, least!, target, home);
    if (mover.slide(target, blocks)) return target;
  }
  return null;
}

function changeHome(
  bySlab: ReadonlyMap<Slab, DeviceAllocation[]>,
  block: DeviceAllocation,
  from: Slab,
  to: Slab,
): void {
  const blocks = bySlab.get(from)!;
  blocks.splice(blocks.indexOf(block), 1);
  bySlab.get(to)!.push(block);
}

function freeBytesIn(slabs: Iterable<Slab>): number {
  let bytes = 0;
  for (const slab of slabs) bytes += freeBytesOf(slab);
  return bytes;
}

function largestFirstOf(
  mover: BlockMover,
  blocks: readonly DeviceAllocation[],
): DeviceAllocation[] {
  return blocks.toSorted((a, b) => mover.extentOf(b) - mover.extentOf(a));
}
