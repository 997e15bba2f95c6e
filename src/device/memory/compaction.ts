/**
 * Compaction of the device heap: the slabs with the least in them are emptied into the others, by
 * copies on the device. Tensors do not notice: they reach their memory through the block table. WebGPU
 * copies within no single buffer, so nothing moves inside a slab.
 */

import type { BlockTable, DeviceAllocation } from "./block-table.ts";
import type { DeviceHeap } from "./device-heap.ts";
import type { SlabPool } from "./slab-pool.ts";
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
    const { row } = block;
    const table = this.#table;
    const extent = table.extent[row]!;
    const place = this.#pool.placeIn(targets, extent);
    if (place === null) return null;
    const offset = place.slab.allocator.offsetOf(place.node) * place.slab.granuleBytes;
    this.#move(source, table.offset[row]!, place.slab, offset, extent);
    // The queue is in order: whoever gets the old bytes writes them after the copy.
    source.allocator.free(table.node[row]!);
    table.slab[row] = place.slab.index;
    table.offset[row] = offset;
    table.node[row] = place.node;
    return place.slab;
  }
}

function freeBytes({ allocator, granuleBytes }: Slab): number {
  return allocator.freeUnits * granuleBytes;
}

function usedBytes(slab: Slab): number {
  return slab.byteLength - freeBytes(slab);
}
