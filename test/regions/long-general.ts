/** The general heap under long programs: everything that moves, pins, ends and is found unreachable. */

import { expect } from "vitest";

import type { GeneralBlock, GeneralHeapOptions, Pin } from "../../src/index.ts";
import { GeneralHeap } from "../../src/index.ts";
import type { LongOperation, LongSubject } from "./long-programs.ts";
import { all, Branches, common, expectApart, refusable } from "./long-subjects.ts";

const KiB = 1024;
const MiB = 2 ** 20;

export function generalLong(): LongSubject<GeneralBlock> {
  const regionBytes = 64 * KiB;
  const capacity = 8 * MiB;
  let reclaim: (held: number) => void = () => {};
  const registered = new Map<object, number>();
  const finalizers: NonNullable<GeneralHeapOptions["finalizers"]> = (given) => {
    reclaim = given;
    return {
      register: (target, held) => void registered.set(target, held),
      unregister: (token) => void registered.delete(token),
    };
  };
  const heap = new GeneralHeap({
    regionBytes,
    budgetBytes: capacity,
    cacheBytes: 512 * KiB,
    youngRegions: 1,
    pauseMs: 1000,
    sliceBytes: 32 * KiB,
    finalizers,
    onIgnoredPressure: () => {},
  });
  const branches = new Branches();
  const pins = new Map<
    GeneralBlock,
    { readonly pin: Pin; readonly memory: ArrayBuffer; readonly offset: number }
  >();
  let reservedTotal = 0;
  const noteGrowth = (): void => {
    const { total } = heap.stats().reserved;
    if (total > reservedTotal) branches.take("growth");
    reservedTotal = total;
  };
  const basic = common(() => heap, branches, { canFree: (block) => !pins.has(block) });
  const operations: Record<string, LongOperation<GeneralBlock>> = {
    // Pinned blocks may keep memory from being moved together.
    ...all(basic, (operation) =>
      refusable(operation, branches, () => expect(pins.size).toBeGreaterThan(0)),
    ),
    "lose the last handle": {
      weight: 6,
      run(program) {
        const picked = program.pick();
        if (picked === undefined) return;
        const held = registered.get(picked.handle);
        if (held === undefined || pins.has(picked.handle)) {
          program.putBack(picked);
          return;
        }
        // As the engine does it, after the handle is gone.
        registered.delete(picked.handle);
        reclaim(held);
        reclaim(held);
        branches.take("reclaimed");
      },
    },
    retain: {
      weight: 3,
      run(program) {
        const picked = program.pick();
        if (picked === undefined) return;
        if (pins.has(picked.handle)) {
          program.putBack(picked);
          return;
        }
        const other = picked.handle.retain();
        picked.handle.dispose();
        program.putBack({ ...picked, handle: other });
        branches.take("retain");
      },
    },
    pin: {
      weight: 3,
      run(program) {
        const picked = program.look();
        if (picked === undefined || pins.has(picked.handle) || pins.size > 20) return;
        const pin = picked.handle.pin({ long: program.random.integer(2) === 0 });
        const { buffer, byteOffset } = pin.bytes();
        pins.set(picked.handle, { pin, memory: buffer, offset: byteOffset });
        branches.take("pin");
      },
    },
    unpin: {
      weight: 3,
      run(program) {
        const [entry] = [...pins].slice(program.random.integer(Math.max(1, pins.size)));
        if (entry === undefined) return;
        const [block, { pin, memory, offset }] = entry;
        // It stayed where it was, whatever was done meanwhile.
        const { buffer, byteOffset } = block.bytes();
        expect(buffer === memory && byteOffset === offset).toBe(true);
        pin.dispose();
        pins.delete(block);
      },
    },
    "safe point": { weight: 10, run: () => void heap.safePoint() },
    "nothing moves": {
      weight: 2,
      run(program) {
        const picked = program.look();
        if (picked === undefined) return;
        const view = picked.handle.bytes();
        heap.withNoGC(() => {
          expect([heap.safePoint(), heap.collect()]).toEqual([false, false]);
          expect(picked.handle.bytes()).toBe(view);
        });
      },
    },
    collect: {
      weight: 0.4,
      run() {
        heap.collect();
        branches.take("full collection");
      },
    },
    trim: { weight: 0.5, run: () => heap.trim() },
  };
  return {
    windowBytes: 0.8 * capacity,
    largestBytes: 128 * KiB,
    bytes: (block) => block.bytes(),
    stats() {
      noteGrowth();
      return heap.stats();
    },
    validate: (held) => expectApart(held, (block) => block.bytes()),
    operations,
    branches() {
      const { promotedCount, movedCount, vacatedRegions } = heap.collectionStats();
      return {
        ...branches.counts,
        promotion: promotedCount,
        evacuation: movedCount,
        vacated: vacatedRegions,
      };
    },
    close(program) {
      for (const { pin } of pins.values()) pin.dispose();
      for (const { handle } of program.held) handle.dispose();
      for (let round = 0; round < 3; round++) heap.collect();
      expect(heap.stats()).toMatchObject({ liveBytes: 0, paddingBytes: 0, deferredBytes: 0 });
      heap.trim();
      expect(heap.stats().reservedBytes).toBe(0);
    },
  };
}
