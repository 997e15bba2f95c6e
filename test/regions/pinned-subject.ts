import { PinnedHeap } from "../../src/index.ts";
import type { PinnedBlock } from "../../src/index.ts";
import { FakeSource } from "./fake-mappable.ts";
import { budgetBytes } from "./subject.ts";
import type { Subject } from "./subject.ts";

/** What is the same over any source; `reservedBytes` counts the buffers that there are. */
export function pinnedSubject(
  region: PinnedHeap,
  reservedBytes: () => number,
  close: () => Promise<void>,
): Subject<PinnedBlock> {
  return {
    region,
    stranger: new PinnedHeap(new FakeSource(), { budgetBytes }),
    defaultAlignment: 4096,
    maxAlignment: 4096,
    reusesFreed: true,
    write: (block, bytes) => new Uint8Array(block.memory()).set(bytes),
    read: async (block) => new Uint8Array(block.memory(), 0, block.byteLength),
    range: (block) => ({ space: block.buffer, start: 0, end: block.buffer.size }),
    recount: (live) => {
      const reserved = reservedBytes();
      const taken = live.reduce((bytes, { buffer }) => bytes + buffer.size, 0);
      return { reservedBytes: reserved, freeBytes: reserved - taken };
    },
    parents: [],
    close,
  };
}

/** A pinned heap without a device. */
export function plainPinnedSubject(): Subject<PinnedBlock> {
  const source = new FakeSource();
  const heap = new PinnedHeap(source, { budgetBytes });
  return pinnedSubject(
    heap,
    () => source.aliveBytes,
    async () => heap.close(),
  );
}
