/**
 * Compaction of the device heap: the slabs with the least in them are emptied into the others, by
 * copies on the device. Tensors do not notice: they reach their memory through the block table. WebGPU
 * copies within no single buffer, so nothing moves inside a slab.
 */

import type { BlockTable, DeviceAllocation } from "./block-table.ts";
import type { DeviceHeap } from "./device-heap.ts";
import type { Place, SlabPool } from "./slab-pool.ts";
import type { Slab } from "./slab.ts";

/** Copies a range of one slab to another, in the order of the command stream. */
export type RangeMove = (
  from: Slab,
  fromOffset: number,
  to: Slab,
  toOffset: number,
  byteLength: number,
) => void;

export interface CompactionResult {
  readonly movedBytes: number;
  readonly movedBlocks: number;
  /** Slabs that nothing is left in: `trim()` gives them back. */
  readonly emptiedSlabs: number;
}

/** A range of a slab, and what is in its way. */
interface Passage {
  readonly slab: Slab;
  readonly blocks: readonly DeviceAllocation[];
  readonly liveBytes: number;
}

/** Of the cheapest ones so many are tried: what lies in one may fit nowhere else. */
const passagesTried = 8;

export class Compactor {
  readonly #pool: SlabPool;
  readonly #table: BlockTable;
  readonly #heap: DeviceHeap;
  readonly #move: RangeMove;

  constructor(pool: SlabPool, table: BlockTable, heap: DeviceHeap, move: RangeMove) {
    this.#pool = pool;
    this.#table = table;
    this.#heap = heap;
    this.#move = move;
  }

  /**
   * Moves about `maxBytes` at most, so that a program may compact a little at a time: what one call
   * began to empty, the next goes on with. Slabs that hold scratch of an open scope, or a block that is
   * lent, are left alone. O(live blocks + slabs²).
   */
  compact(maxBytes = Infinity): CompactionResult {
    let [movedBytes, movedBlocks, emptiedSlabs] = [0, 0, 0];
    const bySlab = this.#movable();
    const left = this.#pool.slabs.filter(({ failure }) => failure === null);
    for (;;) {
      // The fullest first: what is nearly full becomes full, and what is nearly empty becomes empty.
      left.sort((a, b) => usedBytes(b) - usedBytes(a));
      const source = left.findLast((slab) => bySlab.has(slab));
      if (source === undefined) break;
      left.splice(left.indexOf(source), 1);
      const free = left.reduce((sum, slab) => sum + freeBytes(slab), 0);
      if (free < usedBytes(source)) break;
      // The largest first: what is small finds a place anywhere.
      const { extent } = this.#table;
      const blocks = bySlab.get(source)!.sort((a, b) => extent[b.row]! - extent[a.row]!);
      for (const block of blocks) {
        const bytes = extent[block.row]!;
        if (movedBytes > 0 && movedBytes + bytes > maxBytes) {
          return { movedBytes, movedBlocks, emptiedSlabs };
        }
        const target = this.#moveOut(block, source, left);
        if (target === null) break;
        bySlab.get(target)?.push(block);
        movedBytes += bytes;
        movedBlocks++;
      }
      if (source.isEmpty) emptiedSlabs++;
    }
    return { movedBytes, movedBlocks, emptiedSlabs };
  }

  /**
   * Makes a free range of `byteLength` bytes, by moving what lies in its way out to free ranges of other
   * slabs: no more than the range is long. False, and nothing has moved, where there is no such range.
   * O(live blocks).
   */
  makeRoom(byteLength: number): boolean {
    const passages: Passage[] = [];
    for (const [slab, blocks] of this.#movable()) {
      const passage = this.#cheapestPassage(slab, blocks, byteLength);
      if (passage !== null) passages.push(passage);
    }
    passages.sort((a, b) => a.liveBytes - b.liveBytes);
    return passages.slice(0, passagesTried).some((passage) => this.#evacuate(passage));
  }

  /** The range of a slab with the fewest live bytes in it: it begins where a block ends, or the slab begins. */
  #cheapestPassage(
    slab: Slab,
    blocks: readonly DeviceAllocation[],
    byteLength: number,
  ): Passage | null {
    const { offset, extent } = this.#table;
    const sorted = blocks.toSorted((a, b) => offset[a.row]! - offset[b.row]!);
    const startOf = (at: number): number => offset[sorted[at]!.row]!;
    let best: { first: number; last: number; liveBytes: number } | null = null;
    let liveBytes = 0;
    let last = 0;
    // The passage starts right behind block `first - 1`.
    for (let first = 0; first <= sorted.length; first++) {
      const start = first === 0 ? 0 : startOf(first - 1) + extent[sorted[first - 1]!.row]!;
      if (start + byteLength > slab.byteLength) break;
      while (last < sorted.length && startOf(last) < start + byteLength) {
        liveBytes += extent[sorted[last]!.row]!;
        last++;
      }
      if (best === null || liveBytes < best.liveBytes) best = { first, last, liveBytes };
      if (first < last) liveBytes -= extent[sorted[first]!.row]!;
      else last = Math.max(last, first + 1);
    }
    if (best === null) return null;
    return { slab, blocks: sorted.slice(best.first, best.last), liveBytes: best.liveBytes };
  }

  /** Moves the blocks of a passage to other slabs: all of them, or none. */
  #evacuate({ slab, blocks }: Passage): boolean {
    const { extent } = this.#table;
    const others = this.#pool.slabs
      .filter((other) => other !== slab && other.failure === null)
      .sort((a, b) => usedBytes(b) - usedBytes(a));
    const places: Place[] = [];
    const largestFirst = blocks.toSorted((a, b) => extent[b.row]! - extent[a.row]!);
    for (const block of largestFirst) {
      const place = this.#pool.placeIn(others, extent[block.row]!);
      if (place === null) {
        for (const taken of places) taken.slab.allocator.free(taken.node);
        return false;
      }
      places.push(place);
    }
    for (const [index, block] of largestFirst.entries()) this.#moveTo(block, slab, places[index]!);
    return true;
  }

  /** Blocks of the heap by slab; slabs with anything that cannot move are left out. */
  #movable(): Map<Slab, DeviceAllocation[]> {
    const { slab, node } = this.#table;
    const bySlab = new Map<Slab, DeviceAllocation[]>();
    const fixed = new Set<Slab>();
    for (const block of this.#table.live()) {
      const { row } = block;
      if (node[row]! < 0) continue;
      const home = this.#pool.slab(slab[row]!);
      if (block.region !== this.#heap || this.#table.isLent(block)) fixed.add(home);
      const blocks = bySlab.get(home);
      if (blocks === undefined) bySlab.set(home, [block]);
      else blocks.push(block);
    }
    for (const home of bySlab.keys()) {
      if (fixed.has(home) || home.leasedBytes > 0 || home.failure !== null) bySlab.delete(home);
    }
    return bySlab;
  }

  #moveOut(block: DeviceAllocation, source: Slab, targets: readonly Slab[]): Slab | null {
    const place = this.#pool.placeIn(targets, this.#table.extent[block.row]!);
    if (place === null) return null;
    this.#moveTo(block, source, place);
    return place.slab;
  }

  #moveTo(block: DeviceAllocation, source: Slab, place: Place): void {
    const { row } = block;
    const table = this.#table;
    const offset = place.slab.allocator.offsetOf(place.node) * place.slab.granuleBytes;
    this.#move(source, table.offset[row]!, place.slab, offset, table.extent[row]!);
    // The queue is in order: whoever gets the old bytes writes them after the copy.
    source.allocator.free(table.node[row]!);
    table.slab[row] = place.slab.index;
    table.offset[row] = offset;
    table.node[row] = place.node;
  }
}

function freeBytes({ allocator, granuleBytes }: Slab): number {
  return allocator.freeUnits * granuleBytes;
}

function usedBytes(slab: Slab): number {
  return slab.byteLength - freeBytes(slab);
}
