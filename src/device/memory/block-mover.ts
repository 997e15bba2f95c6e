/**
 * Moves blocks of the device heap between slabs, by copies on the device. Tensors do not notice: they
 * reach their memory through the block table. WebGPU copies within no single buffer, so what is moved
 * within a slab goes through another.
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

/** Through less than this part of what is moved, a slab would be moved in too many pieces. */
const fewestBounceParts = 64;

export class BlockMover {
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

  /** Slabs that blocks may be moved to: those that are certain to exist. */
  targets(): Slab[] {
    return this.#pool.slabs.filter(
      ({ isReady, isWide, failure }) => isReady && !isWide && failure === null,
    );
  }

  /**
   * Blocks of the heap by slab. Slabs with anything that cannot move are left out: scratch of an open
   * scope, a block that is lent, and those that may not exist. O(live blocks).
   */
  movable(): Map<Slab, DeviceAllocation[]> {
    const { slab, node } = this.#table;
    const bySlab = new Map<Slab, DeviceAllocation[]>();
    const fixed = new Set<Slab>();
    for (const block of this.#table.live()) {
      const { row } = block;
      if (node[row]! < 0) continue;
      const home = this.#pool.slab(slab[row]!);
      if (block.region !== this.#heap || home.isWide || this.#table.isLent(block)) fixed.add(home);
      const blocks = bySlab.get(home);
      if (blocks === undefined) bySlab.set(home, [block]);
      else blocks.push(block);
    }
    for (const home of bySlab.keys()) {
      const { leasedBytes, failure, isReady } = home;
      if (fixed.has(home) || leasedBytes > 0 || failure !== null || !isReady) bySlab.delete(home);
    }
    return bySlab;
  }

  /** Bytes that a block takes in its slab. */
  extentOf(block: DeviceAllocation): number {
    return this.#table.extent[block.row]!;
  }

  offsetOf(block: DeviceAllocation): number {
    return this.#table.offset[block.row]!;
  }

  slabOf(block: DeviceAllocation): Slab {
    return this.#pool.slab(this.#table.slab[block.row]!);
  }

  /** Moves a block to the first of some slabs that has room; that slab, or `null`. */
  moveOut(block: DeviceAllocation, targets: readonly Slab[]): Slab | null {
    const place = this.#pool.placeIn(targets, this.extentOf(block));
    if (place === null) return null;
    this.moveTo(block, place);
    return place.slab;
  }

  moveTo(block: DeviceAllocation, place: Place): void {
    const { row } = block;
    const table = this.#table;
    const source = this.#pool.slab(table.slab[row]!);
    const offset = place.slab.allocator.offsetOf(place.node) * place.slab.granuleBytes;
    this.#move(source, table.offset[row]!, place.slab, offset, table.extent[row]!);
    // The queue is in order: whoever gets the old bytes writes them after the copy.
    source.allocator.free(table.node[row]!);
    table.slab[row] = place.slab.index;
    table.offset[row] = offset;
    table.node[row] = place.node;
  }

  /**
   * Moves the blocks of a slab together at its beginning, so that all that is free in it is one range:
   * what lies behind the first hole goes piece by piece to free bytes of another slab, and back to
   * where it belongs. False, and nothing has moved, where no other slab has bytes enough for that.
   * O(blocks of the slab).
   */
  slide(slab: Slab, blocks: readonly DeviceAllocation[]): boolean {
    const table = this.#table;
    const { allocator, granuleBytes } = slab;
    if (allocator.largestFree === allocator.freeUnits) return true;
    const sorted = blocks.toSorted((a, b) => this.offsetOf(a) - this.offsetOf(b));
    let end = 0;
    let first = 0;
    while (first < sorted.length && this.offsetOf(sorted[first]!) === end) {
      end += this.extentOf(sorted[first]!);
      first++;
    }
    const moved = sorted.slice(first);
    const bytes = moved.reduce((sum, block) => sum + this.extentOf(block), 0);
    const bounce = this.#bounceFor(slab, bytes);
    if (bounce === null) return false;
    for (const block of moved) allocator.free(table.node[block.row]!);
    allocator.settle();
    // Everything behind `end` is one free range now, and it is handed out from its beginning.
    let run: { from: number; to: number; byteLength: number } | null = null;
    for (const block of moved) {
      const { row } = block;
      const from = table.offset[row]!;
      const byteLength = table.extent[row]!;
      const node = allocator.allocate(byteLength / granuleBytes, true);
      const to = allocator.offsetOf(node) * granuleBytes;
      table.node[row] = node;
      table.offset[row] = to;
      // Blocks that lie side by side move as one.
      if (run !== null && run.from + run.byteLength === from) {
        run.byteLength += byteLength;
      } else {
        if (run !== null) this.#through(bounce, slab, run);
        run = { from, to, byteLength };
      }
    }
    if (run !== null) this.#through(bounce, slab, run);
    bounce.slab.allocator.free(bounce.node);
    return true;
  }

  /** Lowest first: a piece is read before anything is written where it lay. */
  #through(
    bounce: Place,
    slab: Slab,
    { from, to, byteLength }: { from: number; to: number; byteLength: number },
  ): void {
    const { allocator, granuleBytes } = bounce.slab;
    const offset = allocator.offsetOf(bounce.node) * granuleBytes;
    const most = allocator.sizeOf(bounce.node) * granuleBytes;
    for (let done = 0; done < byteLength; done += most) {
      const piece = Math.min(most, byteLength - done);
      this.#move(slab, from + done, bounce.slab, offset, piece);
      this.#move(bounce.slab, offset, slab, to + done, piece);
    }
  }

  #bounceFor(slab: Slab, byteLength: number): Place | null {
    let most = 0;
    let roomiest: Slab | null = null;
    for (const other of this.targets()) {
      const { largestFree } = other.allocator;
      if (other === slab || largestFree <= most) continue;
      [most, roomiest] = [largestFree, other];
    }
    if (roomiest === null) return null;
    const units = Math.min(most, Math.ceil(byteLength / roomiest.granuleBytes));
    if (units * roomiest.granuleBytes * fewestBounceParts < byteLength) return null;
    return { slab: roomiest, node: roomiest.allocator.allocate(units, true) };
  }
}

export function freeBytesOf({ allocator, granuleBytes }: Slab): number {
  return allocator.freeUnits * granuleBytes;
}

export function usedBytesOf(slab: Slab): number {
  return slab.byteLength - freeBytesOf(slab);
}
