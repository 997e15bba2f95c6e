import type { GeneralBlock } from "../../src/host/general/general-block.ts";
import { GeneralHeap } from "../../src/host/general/general-heap.ts";
import { budgetBytes } from "./subject.ts";
import type { Subject } from "./subject.ts";

const regionBytes = 64 * 1024;

/** A general heap of small regions; one of them is kept for compaction, beside the budget. */
export function generalSubject(): Subject<GeneralBlock> {
  const options = {
    budgetBytes: budgetBytes + regionBytes,
    regionBytes,
    onIgnoredPressure: () => {},
  };
  const region = new GeneralHeap({ ...options, label: "heap under test" });
  return {
    region,
    stranger: new GeneralHeap({ ...options, label: "another heap" }),
    defaultAlignment: 8,
    maxAlignment: 4096,
    reusesFreed: true,
    write: (block, bytes) => block.bytes().set(bytes),
    read: async (block) => block.bytes(),
    range: (block) => {
      const { buffer, byteOffset, byteLength } = block.bytes();
      return { space: buffer, start: byteOffset, end: byteOffset + byteLength };
    },
    recount: () => ({}),
    parents: [],
    close: async () => {
      region.collect();
      region.trim();
    },
  };
}
