/** What a region brings to the tests of its contract. */

import type { Allocation, MemoryRegion, RegionStats } from "../../src/index.ts";

/** Bytes that every subject's region may reserve. */
export const budgetBytes = 4 * 1024 * 1024;
/** Where an allocation lies: ranges of different spaces never overlap. */
export interface Range {
  readonly space: unknown;
  readonly start: number;
  readonly end: number;
}

/** A region under test, fresh for every test. */
export interface Subject<A extends Allocation> {
  readonly region: MemoryRegion<A>;
  /** Another region that takes the same type of handle. */
  readonly stranger: MemoryRegion<A>;
  /** What every allocation is aligned to, and the most that it can be. */
  readonly defaultAlignment: number;
  readonly maxAlignment: number;
  /** Whether `free` makes the memory available again. */
  readonly reusesFreed: boolean;
  write(allocation: A, bytes: Uint8Array<ArrayBuffer>): void;
  read(allocation: A): Promise<Uint8Array>;
  /** Bytes that an allocation occupies. Told right after it was made. */
  range(allocation: A): Range;
  /** The region's memory counted by other means than its ledger. */
  recount(live: readonly A[]): Partial<Pick<RegionStats, "reservedBytes" | "freeBytes">>;
  /** Ledgers that count this region too. */
  readonly parents: readonly { stats(): RegionStats }[];
  close(): Promise<void>;
}

/** `count` bytes that differ from those of other seeds. */
export function pattern(count: number, seed: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: count }, (_, i) => (i * 31 + seed * 97 + (i >> 8)) & 0xff);
}
