/** The host's regions under long programs: what is done to them, and which branches must be taken. */

import { expect } from "vitest";

import type { HotAllocation } from "../../src/host/arena/hot-allocation.ts";
import type { PinnedBlock } from "../../src/index.ts";
import { HotArena, OutOfMemoryError, PagePool, PinnedHeap } from "../../src/index.ts";
import { codeOf } from "../support/caught.ts";
import { FakeSource } from "./fake-mappable.ts";
import type { Held, LongOperation, LongProgram, LongSubject } from "./long-programs.ts";

const KiB = 1024;
const MiB = 2 ** 20;

/** No two live blocks share a byte. */
export function expectApart<H>(
  held: readonly Held<H>[],
  bytes: (handle: H) => Uint8Array<ArrayBuffer>,
): void {
  const places = new Map<ArrayBuffer, [number, number][]>();
  for (const { handle, byteLength } of held) {
    const { buffer, byteOffset } = bytes(handle);
    const list = places.get(buffer) ?? [];
    places.set(buffer, list);
    list.push([byteOffset, byteOffset + byteLength]);
  }
  for (const list of places.values()) {
    list.sort(([a], [b]) => a - b);
    for (let at = 1; at < list.length; at++) {
      if (list[at]![0] < list[at - 1]![1]) expect.fail("two live blocks overlap");
    }
  }
}

/** Counts by name, and the program's own counts of refusals. */
export class Branches {
  readonly counts: Record<string, number> = {};

  take(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }
}

interface Allocating<H> {
  alloc(request: {
    readonly byteLength: number;
    readonly alignment?: number;
    readonly label: string;
  }): H;
  free(handle: H): void;
  realloc(handle: H, byteLength: number): H;
}

/** An operation that memory may refuse although the model has room: then nothing may have changed. */
export function refusable<H>(
  operation: LongOperation<H>,
  branches: Branches,
  refused: (program: LongProgram<H>) => void,
): LongOperation<H> {
  return {
    weight: operation.weight,
    async run(program) {
      const before = { held: [...program.held], liveBytes: program.liveBytes };
      try {
        await operation.run(program);
      } catch (error) {
        if (!(error instanceof OutOfMemoryError)) throw error;
        program.held.splice(0, program.held.length, ...before.held);
        program.liveBytes = before.liveBytes;
        branches.take("refused with room in the model");
        refused(program);
      }
    },
  };
}

export function all<H>(
  operations: Readonly<Record<string, LongOperation<H>>>,
  change: (operation: LongOperation<H>) => LongOperation<H>,
): Record<string, LongOperation<H>> {
  return Object.fromEntries(
    Object.entries(operations).map(([name, operation]) => [name, change(operation)]),
  );
}

export interface CommonOptions<H> {
  /** Whether nothing else holds the handle's memory. */
  readonly canFree?: (handle: H) => boolean;
  /** Alignments up to this power of two are asked for; default 12. */
  readonly alignmentBits?: number;
  /** More than the region has, and no limit of another kind; default 2 GiB. */
  readonly tooMuch?: number;
  /** Settles when what was moved has arrived; where absent, it has at once. */
  readonly arrival?: () => Promise<void>;
}

/** What every region is put to. */
export function common<H>(
  region: () => Allocating<H>,
  branches: Branches,
  { canFree = () => true, alignmentBits = 12, tooMuch = 2 ** 31, arrival }: CommonOptions<H> = {},
): Record<string, LongOperation<H>> {
  const allocate = (program: LongProgram<H>, alignment?: number): void => {
    const byteLength = program.size();
    const isOver = program.liveBytes + byteLength > program.subject.windowBytes;
    if (isOver) return;
    const request = { byteLength, label: "any", ...(alignment === undefined ? {} : { alignment }) };
    program.hold(region().alloc(request), byteLength);
  };
  return {
    allocate: { weight: 30, run: (program) => allocate(program) },
    "allocate aligned": {
      weight: 6,
      run: (program) => allocate(program, 2 ** program.random.integer(alignmentBits + 1)),
    },
    free: {
      weight: 22,
      run(program) {
        const picked = program.pick();
        if (picked === undefined) return;
        if (!canFree(picked.handle)) {
          program.putBack(picked);
          return;
        }
        program.expectBytes(picked);
        region().free(picked.handle);
        expect(codeOf(() => region().free(picked.handle))).toBe("DOUBLE_FREE");
      },
    },
    realloc: {
      weight: 8,
      run(program) {
        const picked = program.pick();
        if (picked === undefined) return;
        const byteLength = program.size();
        const isOver =
          program.liveBytes + picked.byteLength + byteLength > program.subject.windowBytes;
        if (isOver || !canFree(picked.handle)) {
          program.putBack(picked);
          return;
        }
        const next = region().realloc(picked.handle, byteLength);
        const arrived = (): void => {
          program.expectBytes(
            { ...picked, handle: next, byteLength },
            Math.min(byteLength, picked.byteLength),
          );
          expect(codeOf(() => region().free(picked.handle))).toBe("DOUBLE_FREE");
          program.hold(next, byteLength);
          branches.take("realloc");
        };
        return arrival === undefined ? arrived() : arrival().then(arrived);
      },
    },
    refuse: {
      weight: 2,
      run(program) {
        const failed = program.subject.stats().failedCount;
        expect(codeOf(() => region().alloc({ byteLength: tooMuch, label: "too much" }))).toBe(
          "OUT_OF_MEMORY",
        );
        expect(program.subject.stats().failedCount).toBe(failed + 1);
        branches.take("refusal");
      },
    },
    stale: {
      weight: 2,
      run(program) {
        const picked = program.look();
        if (picked === undefined) return;
        const stranger = new HotArena(new PagePool());
        const use = (): void => (stranger as unknown as Allocating<H>).free(picked.handle);
        expect(codeOf(use)).toBe("FOREIGN_HANDLE");
        stranger.end();
      },
    },
  };
}

export function arenaLong(): LongSubject<HotAllocation> {
  const pool = new PagePool({ pageBytes: 64 * KiB, budgetBytes: 8 * MiB, cacheBytes: MiB });
  const arena = new HotArena(pool, "long arena");
  const branches = new Branches();
  let reservedTotal = 0;
  // What is freed comes back with a reset only: where it is nearly full, it is reset.
  const fullBytes = 6 * MiB;
  const reset = (program: LongProgram<HotAllocation>, mode: "free" | "retain" | number): void => {
    const dead = program.held.splice(0);
    program.liveBytes = 0;
    arena.reset(mode);
    branches.take("reset");
    expect(dead.every(({ handle }) => !handle.isAlive)).toBe(true);
  };
  const whenFull = (operation: LongOperation<HotAllocation>): LongOperation<HotAllocation> => ({
    weight: operation.weight,
    run(program) {
      if (arena.usedBytes > fullBytes) reset(program, "free");
      return operation.run(program);
    },
  });
  const operations = all(
    common(() => arena, branches),
    whenFull,
  );
  return {
    windowBytes: 6 * MiB,
    largestBytes: 128 * KiB,
    bytes: (allocation) => allocation.bytes(),
    stats() {
      const { total } = arena.stats().reserved;
      if (total > reservedTotal) branches.take("growth");
      reservedTotal = total;
      return arena.stats();
    },
    validate: (held) => expectApart(held, (allocation) => allocation.bytes()),
    operations: {
      ...operations,
      "reset, free": { weight: 0.3, run: (program) => reset(program, "free") },
      "reset, retain": { weight: 0.3, run: (program) => reset(program, "retain") },
      "reset, retain some": { weight: 0.3, run: (program) => reset(program, 200 * KiB) },
      nested: {
        weight: 2,
        run(program) {
          const byteLength = 64 + program.random.integer(4 * KiB);
          if (arena.usedBytes + byteLength > fullBytes) return;
          const child = arena.nested({ byteLength });
          const bytes = child.alloc({ byteLength: 1 + program.random.integer(byteLength) }).bytes();
          bytes.fill(0xff);
          child.end();
          branches.take("nested");
        },
      },
      "typed array": {
        weight: 4,
        run(program) {
          if (arena.usedBytes > fullBytes) reset(program, "retain");
          const before = arena.stats().liveBytes;
          const array = arena.simdArray("float32", 1 + program.random.integer(100));
          array.fill(7);
          expect(array.byteOffset % 64).toBe(0);
          expect(arena.stats().liveBytes).toBe(before + array.byteLength);
          // The model knows of it only as bytes that end with the reset.
          program.liveBytes += array.byteLength;
        },
      },
      trim: { weight: 0.5, run: () => pool.trim(0) },
    },
    branches: () => branches.counts,
    close() {
      arena.end();
      pool.trim(0);
      expect(pool.ledger.stats()).toMatchObject({ liveBytes: 0, reservedBytes: 0 });
    },
  };
}

export function pinnedLong(): LongSubject<PinnedBlock> {
  const source = new FakeSource();
  const budgetBytes = 8 * MiB;
  const heap = new PinnedHeap(source, { budgetBytes });
  const branches = new Branches();
  let created = 0;
  const uses = new Map<PinnedBlock, { dispose(): void }>();
  const basic = common(() => heap, branches, { canFree: (block) => !uses.has(block) });
  // A size class takes up to a quarter more than was asked for.
  const windowBytes = 0.8 * 0.8 * budgetBytes;
  return {
    windowBytes,
    largestBytes: 128 * KiB,
    bytes: (block) => new Uint8Array(block.memory(), 0, block.byteLength),
    stats() {
      if (source.createdCount > created) branches.take("growth");
      created = source.createdCount;
      return heap.stats();
    },
    validate(held) {
      expectApart(held, (block) => new Uint8Array(block.memory(), 0, block.byteLength));
      expect(source.aliveBytes).toBe(heap.stats().reservedBytes);
      expect(new Set(heap.blocks())).toEqual(new Set(held.map(({ handle }) => handle)));
    },
    operations: {
      // What is cached in other size classes may leave too little.
      ...all(basic, (operation) => refusable(operation, branches, () => heap.trim(0))),
      use: {
        weight: 3,
        run(program) {
          const picked = program.look();
          if (picked === undefined || uses.has(picked.handle) || uses.size > 20) return;
          uses.set(picked.handle, picked.handle.use());
          expect(codeOf(() => heap.free(picked.handle))).toBe("IN_USE");
          branches.take("pin");
        },
      },
      "end a use": {
        weight: 3,
        run() {
          const [entry] = uses;
          if (entry === undefined) return;
          entry[1].dispose();
          uses.delete(entry[0]);
        },
      },
      "is pinned": {
        weight: 2,
        run(program) {
          const picked = program.look();
          if (picked !== undefined) expect(heap.isPinned(picked.handle)).toBe(true);
        },
      },
      trim: { weight: 1, run: (program) => heap.trim(program.random.integer(MiB)) },
    },
    branches: () => branches.counts,
    close(program) {
      for (const use of uses.values()) use.dispose();
      for (const { handle } of program.held) heap.free(handle);
      heap.trim(0);
      expect(heap.stats()).toMatchObject({ liveBytes: 0, reservedBytes: 0 });
      expect(source.aliveBytes).toBe(0);
    },
  };
}
