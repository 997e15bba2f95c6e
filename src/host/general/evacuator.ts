/**
 * Moving blocks together, a slice at a time. A region is chosen, its live blocks are copied out one by
 * one, and the empty region's memory is taken back. Between two slices the program runs on: a block is
 * in its old place or in its new one, and only the table knows.
 */

import { OutOfMemoryError } from "../errors.ts";
import type { RegionLedger } from "../statistics.ts";
import type { HandleTable } from "./handle-table.ts";
import type { HeapRegion } from "./heap-region.ts";
import type { RegionSet } from "./region-set.ts";

export interface EvacuatorOptions {
  /** Evacuations that a block survives before it is old. */
  readonly promotionAge: number;
  /** Retired nurseries that are left alone, so that the engine has time to find what is unreachable. */
  readonly youngRegions: number;
  /** A region whose live bytes are below this part of it is worth emptying. */
  readonly evacuateBelow: number;
}

/** What a collection has done so far. */
export interface MoveCounts {
  movedBytes: number;
  movedCount: number;
  promotedBytes: number;
  promotedCount: number;
  vacatedRegions: number;
  /** Regions that were evacuated while young, and while old. */
  youngEvacuations: number;
  oldEvacuations: number;
}

/** Destinations that stay open: the best fitting of a few loses less at the regions' ends than the last. */
const openDestinations = 4;

/** A region that is fuller than this is not worth emptying even in a full collection. */
const worthAtAll = 0.97;

/** Blocks between two looks at the clock. */
const blocksPerLook = 16;

export class Evacuator {
  readonly counts: MoveCounts = {
    movedBytes: 0,
    movedCount: 0,
    promotedBytes: 0,
    promotedCount: 0,
    vacatedRegions: 0,
    youngEvacuations: 0,
    oldEvacuations: 0,
  };
  /** Told before a block's region is emptied; what it does must not touch the heap. */
  readonly #onMove: (index: number, byteLength: number) => void;
  readonly #table: HandleTable;
  readonly #regions: RegionSet;
  readonly #ledger: RegionLedger;
  readonly #options: EvacuatorOptions;
  /** The region that is being emptied. */
  #source: HeapRegion | null = null;
  #survivors: HeapRegion | null = null;
  #destinations: HeapRegion[] = [];
  /** A full collection empties regions of before its start: what it fills needs no second round. */
  #fullBefore = 0;

  constructor(
    table: HandleTable,
    regions: RegionSet,
    ledger: RegionLedger,
    options: EvacuatorOptions,
    onMove: (index: number, byteLength: number) => void,
  ) {
    this.#table = table;
    this.#regions = regions;
    this.#ledger = ledger;
    this.#options = options;
    this.#onMove = onMove;
  }

  /** Where a full collection begins: regions that are open are part of it. */
  startFull(): void {
    const open = this.#destinations;
    if (this.#survivors !== null) open.push(this.#survivors);
    this.#destinations = [];
    this.#survivors = null;
    for (const region of open) this.#close(region);
    this.#fullBefore = this.#regions.nextSerial;
  }

  /** Whether a slice would find something to do. */
  hasWork(isFull: boolean): boolean {
    return this.#source !== null || this.#choose(isFull) !== null;
  }

  /**
   * Moves blocks until `mostBytes` were moved or `isLate` says so; at least one block is moved where
   * there is any. Returns whether there is more to do. A full one empties every region that is
   * not full of live blocks.
   */
  slice(mostBytes: number, isLate: () => boolean, isFull: boolean): boolean {
    let left = mostBytes;
    let blocks = 0;
    for (;;) {
      this.#source ??= this.#choose(isFull);
      const source = this.#source;
      if (source === null) return false;
      while (source.cursor < source.entryCount) {
        const index = source.entries[source.cursor]!;
        const taken = this.#movable(index, source);
        if (taken > 0) {
          try {
            this.#move(index, source, taken);
          } catch (error) {
            if (!(error instanceof OutOfMemoryError)) throw error;
            // No room to move into. What was moved stays moved; the rest is moved together where it is,
            // which leaves room for others, or it stays as it is.
            if (isFull && source.pinnedBytes === 0) {
              this.#slide(source);
              break;
            }
            this.#settle(source);
            if (!isFull) return false;
            source.serial = this.#regions.nextSerial;
            break;
          }
          left -= taken;
          blocks++;
        }
        source.cursor++;
        if (left <= 0 || (blocks % blocksPerLook === 0 && blocks > 0 && isLate())) {
          if (source.cursor < source.entryCount) return true;
          break;
        }
      }
      if (this.#source === source) this.#finish(source);
      if (left <= 0 || isLate()) return this.hasWork(isFull);
    }
  }

  /** A region that ended while it was being emptied. */
  forget(region: HeapRegion): void {
    if (this.#source === region) this.#source = null;
    if (this.#survivors === region) this.#survivors = null;
    this.#destinations = this.#destinations.filter((other) => other !== region);
  }

  /** Whether blocks are being moved into the region: it is not empty for good when its blocks end. */
  isOpen(region: HeapRegion): boolean {
    return region === this.#survivors || this.#destinations.includes(region);
  }

  /** The oldest young region beyond those that are left alone, else the emptiest old one. */
  #choose(isFull: boolean): HeapRegion | null {
    const young: HeapRegion[] = [];
    let emptiest: HeapRegion | null = null;
    const below = isFull ? worthAtAll : this.#options.evacuateBelow;
    for (const region of this.#regions.inUse()) {
      if (region.liveBytes - region.pinnedBytes <= 0 || this.isOpen(region)) continue;
      if (isFull && region.serial >= this.#fullBefore) continue;
      if (region.role === "young") young.push(region);
      if (region.role !== "old" && region.role !== "young") continue;
      if (region.role === "old" && region.deadBytes === 0) continue;
      // Of a pinned region's unpinned rest nothing is gained while the pins stay.
      if (region.pinnedBytes > 0 && !isFull) continue;
      if (region.pinnedBytes > 0 && region.role === "old") continue;
      if (region.liveRatio < below && region.liveRatio < (emptiest?.liveRatio ?? Infinity)) {
        emptiest = region;
      }
    }
    const spared = isFull ? 0 : this.#options.youngRegions;
    if (young.length > spared) {
      return young.reduce((oldest, region) => (region.serial < oldest.serial ? region : oldest));
    }
    return emptiest;
  }

  /** Bytes that the block takes in `source`, or 0 where it is not there any more, or must stay. */
  #movable(index: number, source: HeapRegion): number {
    const table = this.#table;
    if (table.region[index] !== source.id || table.pins[index]! > 0) return 0;
    return table.byteLength[index]! + table.padding[index]!;
  }

  #move(index: number, source: HeapRegion, taken: number): void {
    const table = this.#table;
    const byteLength = table.byteLength[index]!;
    const age = table.age[index]! + 1;
    const isOld = source.role === "old" || age >= this.#options.promotionAge;
    const alignment = table.alignment[index]!;
    const target = isOld
      ? this.#destination(byteLength, alignment)
      : this.#survivor(byteLength, alignment);
    if (isOld && source.role !== "old") {
      this.counts.promotedBytes += byteLength;
      this.counts.promotedCount++;
    }
    table.age[index] = Math.min(age, 255);
    this.#copy(index, source, taken, target);
  }

  /** Moves one block out of turn, into a region that has room for it. */
  moveInto(target: HeapRegion, index: number): void {
    const table = this.#table;
    const source = this.#regions.region(table.region[index]!);
    this.#copy(index, source, table.byteLength[index]! + table.padding[index]!, target);
    if (source.liveBytes > 0 || source.role === "nursery" || this.isOpen(source)) return;
    this.#vacate(source);
  }

  #copy(index: number, source: HeapRegion, taken: number, target: HeapRegion): void {
    const table = this.#table;
    const byteLength = table.byteLength[index]!;
    const alignment = table.alignment[index]!;
    const from = table.offset[index]!;
    const start = target.used;
    const to = (start + alignment - 1) & -alignment;
    target.bytes.set(source.bytes.subarray(from, from + byteLength), to);
    const padding = to - start;
    target.place(index, to + byteLength, padding + byteLength);
    source.liveBytes -= taken;
    source.deadBytes += taken;
    this.#ledger.moved(padding - table.padding[index]!, taken);
    table.region[index] = target.id;
    table.offset[index] = to;
    table.padding[index] = padding;
    this.counts.movedBytes += byteLength;
    this.counts.movedCount++;
    this.#onMove(index, byteLength);
  }

  /**
   * Moves a region's blocks together within it, without other memory. Its buffer is another one then:
   * what was handed out over it would show the wrong bytes. The region's end takes blocks from others.
   */
  #slide(region: HeapRegion): void {
    const table = this.#table;
    this.#settle(region);
    const own = region.entries.subarray(0, region.entryCount);
    const sorted = [...new Set(own)].sort((a, b) => table.offset[a]! - table.offset[b]!);
    let used = 0;
    let paddingChange = 0;
    for (const index of sorted) {
      const byteLength = table.byteLength[index]!;
      const from = table.offset[index]!;
      const alignment = table.alignment[index]!;
      const to = (used + alignment - 1) & -alignment;
      region.bytes.copyWithin(to, from, from + byteLength);
      const padding = to - used;
      paddingChange += padding - table.padding[index]!;
      table.padding[index] = padding;
      table.offset[index] = to;
      used = to + byteLength;
      this.counts.movedBytes += byteLength;
      this.counts.movedCount++;
      this.#onMove(index, byteLength);
    }
    region.entries.set(sorted);
    region.entryCount = sorted.length;
    region.liveBytes = used;
    region.used = used;
    this.#ledger.moved(paddingChange, -region.deadBytes);
    region.deadBytes = 0;
    region.detach();
    this.counts.oldEvacuations++;
    this.#destinations.push(region);
  }

  #survivor(byteLength: number, alignment: number): HeapRegion {
    const open = this.#survivors;
    if (open !== null && fits(open, byteLength, alignment)) return open;
    const next = this.#regions.take("young", "survivors", true);
    next.handles = null;
    if (open !== null) this.#close(open);
    this.#survivors = next;
    return next;
  }

  #destination(byteLength: number, alignment: number): HeapRegion {
    for (const open of this.#destinations) if (fits(open, byteLength, alignment)) return open;
    const next = this.#regions.take("old", "promoted blocks", true);
    next.handles = null;
    this.#destinations.push(next);
    if (this.#destinations.length > openDestinations) {
      // The fullest has the least use.
      const fullest = this.#destinations.reduce((a, b) => (a.used >= b.used ? a : b));
      this.#destinations = this.#destinations.filter((region) => region !== fullest);
      this.#close(fullest);
    }
    return next;
  }

  /** Nothing is placed in the region from now on: its rest comes back when it is emptied. */
  #close(region: HeapRegion): void {
    closeRegion(region, this.#ledger);
    if (region.liveBytes === 0) this.#vacate(region);
  }

  #finish(source: HeapRegion): void {
    this.#source = null;
    if (source.role === "old") this.counts.oldEvacuations++;
    else this.counts.youngEvacuations++;
    if (source.liveBytes === 0) this.#vacate(source);
    else this.#settle(source);
  }

  #vacate(region: HeapRegion): void {
    this.counts.vacatedRegions++;
    this.forget(region);
    this.#regions.recycle(region);
  }

  /** What could not be moved stays, and is old from now on. */
  #settle(source: HeapRegion): void {
    this.#source = null;
    source.cursor = 0;
    source.role = "old";
    let kept = 0;
    for (let at = 0; at < source.entryCount; at++) {
      const index = source.entries[at]!;
      if (this.#table.region[index] === source.id) source.entries[kept++] = index;
    }
    source.entryCount = kept;
  }
}

/** The rest of a region that is full enough is dead until the region is emptied. */
export function closeRegion(region: HeapRegion, ledger: RegionLedger): void {
  const rest = region.size - region.used;
  region.used = region.size;
  region.deadBytes += rest;
  ledger.defer(rest);
}

export function fits(region: HeapRegion, byteLength: number, alignment: number): boolean {
  return ((region.used + alignment - 1) & -alignment) + byteLength <= region.size;
}
