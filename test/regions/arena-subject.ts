import type { HotAllocation } from "../../src/host/arena/hot-allocation.ts";
import { HotArena, PagePool } from "../../src/index.ts";
import { budgetBytes } from "./subject.ts";
import type { Subject } from "./subject.ts";

export function arenaSubject(): Subject<HotAllocation> {
  const pool = new PagePool({ budgetBytes, pageBytes: 64 * 1024 });
  const region = new HotArena(pool, "hot arena under test");
  let page: ArrayBuffer | null = null;
  let used = 0;
  const pages = new Set<ArrayBuffer>();
  return {
    region,
    stranger: new HotArena(pool, "another arena"),
    defaultAlignment: 1,
    maxAlignment: Infinity,
    reusesFreed: false,
    write: (allocation, bytes) => allocation.bytes().set(bytes),
    read: async (allocation) => allocation.bytes(),
    range: (allocation) => {
      page = allocation.bytes().buffer;
      pages.add(page);
      const start = allocation.byteOffset;
      used = start + allocation.byteLength;
      return { space: page, start, end: used };
    },
    recount: () => {
      if (page === null) return {};
      const reservedBytes = [...pages].reduce((sum, { byteLength }) => sum + byteLength, 0);
      return { reservedBytes, freeBytes: page.byteLength - used };
    },
    parents: [pool.ledger],
    close: async () => {
      region.end();
      pool.trim(0);
    },
  };
}
