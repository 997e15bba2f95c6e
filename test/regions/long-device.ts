/** The device's regions under long programs, on the simulated device: its memory is the host's to see. */

import { expect } from "vitest";

import type { DeviceAllocation } from "../../src/device/memory/block-table.ts";
import type { DeviceArena } from "../../src/device/memory/device-arena.ts";
import { openSimulated } from "../simulated/open-simulated.ts";
import type { SimulatedBuffer } from "../simulated/simulated-buffer.ts";
import type { SimulatedDevice } from "../simulated/simulated-device.ts";
import { partsOf } from "./device-subject.ts";
import type { Parts } from "./device-subject.ts";
import type { Held, LongOperation, LongProgram, LongSubject } from "./long-programs.ts";
import { all, Branches, common, expectApart, refusable } from "./long-subjects.ts";

const KiB = 1024;
const MiB = 2 ** 20;

type Program = LongProgram<DeviceAllocation>;
type Operation = LongOperation<DeviceAllocation>;

interface Device extends Parts {
  readonly device: SimulatedDevice;
  readonly branches: Branches;
  bytes(block: DeviceAllocation): Uint8Array<ArrayBuffer>;
  /** Counts the slabs made since the last look. */
  lookForGrowth(): void;
  /** Settles when everything recorded has run. */
  arrival(): Promise<void>;
  close(): Promise<void>;
}

async function openDevice(): Promise<Device> {
  const { runtime, device } = await openSimulated({
    budget: { deviceBytes: 8 * MiB },
    slabBytes: MiB,
  });
  const parts = partsOf(runtime);
  const { pool, table, stream } = parts.context;
  const branches = new Branches();
  const before = device.buffers.size;
  let created = runtime.stats().gpuBuffers.createdCount;
  return {
    ...parts,
    device,
    branches,
    bytes(block) {
      // What was moved to make room has not arrived before it is submitted.
      stream.flush();
      const buffer = pool.slab(table.slab[block.row]!).buffer as unknown as SimulatedBuffer;
      return buffer.memory.subarray(block.byteOffset, block.byteOffset + block.byteLength);
    },
    lookForGrowth() {
      const { createdCount } = parts.context.memory.stats();
      if (createdCount > created) branches.take("growth");
      created = createdCount;
    },
    arrival: () => stream.whenSubmitted(true),
    async close() {
      await runtime.sync();
      runtime.trim();
      expect(pool.slabs).toEqual([]);
      // What the runtime has besides slabs.
      expect(device.buffers.size).toBeLessThanOrEqual(before + 1);
      await runtime.dispose();
      expect(device.buffers.size).toBe(0);
    },
  };
}

/** Puts bytes there by a real upload, and reads them back by a real download. */
function transfers({ context, branches, arrival }: Device): Record<string, Operation> {
  return {
    upload: {
      weight: 3,
      async run(program) {
        const picked = program.pick();
        if (picked === undefined) return;
        const fresh = program.hold(picked.handle, picked.byteLength);
        const bytes = program.subject.bytes(picked.handle);
        const copy = bytes.slice();
        bytes.fill(0);
        context.transfers.fromArray(copy, picked.handle);
        await arrival();
        program.expectBytes(fresh);
        branches.take("upload");
      },
    },
    "move within the device": {
      weight: 3,
      async run(program) {
        const picked = program.look();
        if (picked === undefined) return;
        const { byteLength } = picked;
        if (program.liveBytes + byteLength > program.subject.windowBytes) return;
        const arena = context.arena("detour");
        try {
          const there = arena.alloc({ byteLength, label: "detour" });
          context.heap["copyContents"](picked.handle, there, byteLength);
          await arrival();
          program.expectBytes({ ...picked, handle: there });
          branches.take("move");
        } finally {
          arena.end();
        }
      },
    },
  };
}

/** Every byte of the slabs is where the allocators, the leases and the blocks say. */
function validate({ context, device }: Device, held: readonly Held<DeviceAllocation>[]): void {
  const { pool, table, memory } = context;
  const granules = (bytes: number): number => Math.ceil(bytes / pool.granuleBytes);
  for (const { handle } of held) {
    expect(table.extent[handle.row]! / pool.granuleBytes).toBeGreaterThanOrEqual(
      granules(handle.byteLength),
    );
  }
  const slabBytes = pool.slabs.reduce((sum, slab) => sum + slab.byteLength, 0);
  expect(slabBytes).toBe(pool.reservedBytes);
  expect(device.liveBytes).toBe(memory.stats().liveBytes);
  const free = pool.slabs.reduce((sum, { allocator }) => sum + allocator.freeUnits, 0);
  const heapBytes = Array.from(table.live())
    .filter(({ region }) => region === context.heap)
    .reduce((sum, { row }) => sum + table.extent[row]!, 0);
  const leased = pool.slabs.reduce((sum, { leasedBytes }) => sum + leasedBytes, 0);
  expect(heapBytes + leased + free * pool.granuleBytes).toBe(slabBytes);
}

export async function deviceHeapLong(): Promise<LongSubject<DeviceAllocation>> {
  const parts = await openDevice();
  const { context, runtime, branches } = parts;
  const { heap } = context;
  const retained = new Set<DeviceAllocation>();
  const basic = common<DeviceAllocation>(() => heap, branches, {
    alignmentBits: Math.log2(context.pool.granuleBytes),
    arrival: parts.arrival,
    tooMuch: 16 * MiB,
    canFree: (block) => !retained.has(block),
  });
  const free = (block: DeviceAllocation): void => {
    if (retained.delete(block)) heap.free(block);
    heap.free(block);
  };
  const trim = async (): Promise<void> => {
    await parts.arrival();
    if (context.pool.trim() > 0) branches.take("slab given back");
  };
  return {
    windowBytes: 5 * MiB,
    largestBytes: 128 * KiB,
    bytes: parts.bytes,
    stats() {
      parts.lookForGrowth();
      return heap.stats();
    },
    validate(held) {
      expectApart(held, parts.bytes);
      validate(parts, held);
    },
    operations: {
      ...all(basic, (operation) => refusable(operation, branches, () => context.pool.trim())),
      ...all(transfers(parts), (operation) =>
        refusable(operation, branches, () => context.pool.trim()),
      ),
      retain: {
        weight: 2,
        run(program) {
          const picked = program.look();
          if (picked === undefined || retained.has(picked.handle) || retained.size > 30) return;
          context.table.references[picked.handle.row]!++;
          retained.add(picked.handle);
          branches.take("retain");
        },
      },
      release: {
        weight: 2,
        run() {
          const [block] = retained;
          if (block === undefined) return;
          retained.delete(block);
          heap.free(block);
          expect(block.isAlive).toBe(true);
        },
      },
      reserve: {
        weight: 0.3,
        run: (program) => runtime.reserve(1 + program.random.integer(256 * KiB)).catch(() => {}),
      },
      trim: { weight: 3, run: trim },
      "free most": {
        weight: 0.2,
        async run(program: Program) {
          for (let left = program.held.length; left > 3; left--) {
            const picked = program.pick()!;
            program.expectBytes(picked);
            free(picked.handle);
          }
          await trim();
        },
      },
    },
    branches: () => branches.counts,
    async close(program) {
      for (const { handle } of program.held) free(handle);
      expect(heap.stats().liveBytes).toBe(0);
      await parts.close();
    },
  };
}

export async function deviceArenaLong(): Promise<LongSubject<DeviceAllocation>> {
  const parts = await openDevice();
  const { context, branches } = parts;
  let arena: DeviceArena = context.arena("long device arena");
  // What is freed comes back with the end only: where the slabs are nearly full, it ends.
  const fullBytes = 5 * MiB;
  const end = async (program: Program): Promise<void> => {
    await parts.arrival();
    const dead = program.held.splice(0);
    program.liveBytes = 0;
    arena.end();
    expect(dead.every(({ handle }) => !handle.isAlive)).toBe(true);
    expect(context.pages.ledger.stats()).toMatchObject({ liveBytes: 0, reservedBytes: 0 });
    arena = context.arena("long device arena");
    branches.take("end");
  };
  const whenFull = (operation: Operation): Operation => ({
    weight: operation.weight,
    async run(program) {
      if (arena.stats().reservedBytes > fullBytes) await end(program);
      await operation.run(program);
    },
  });
  const basic = common<DeviceAllocation>(() => arena, branches, {
    alignmentBits: Math.log2(context.pool.granuleBytes),
    arrival: parts.arrival,
    tooMuch: 16 * MiB,
  });
  return {
    windowBytes: 5 * MiB,
    largestBytes: 192 * KiB,
    bytes: parts.bytes,
    stats() {
      parts.lookForGrowth();
      return arena.stats();
    },
    validate(held) {
      expectApart(held, parts.bytes);
      validate(parts, held);
    },
    operations: {
      ...all({ ...basic, ...transfers(parts) }, whenFull),
      end: { weight: 0.3, run: end },
      "end and trim": {
        weight: 0.3,
        async run(program) {
          await end(program);
          context.pool.trim();
          expect(context.pool.slabs).toEqual([]);
        },
      },
      "free the last": {
        weight: 4,
        run(program) {
          if (arena.stats().reservedBytes > fullBytes) return;
          const byteLength = 1 + program.random.integer(4 * KiB);
          const before = arena.stats();
          const block = arena.alloc({ byteLength });
          const place = parts.bytes(block).byteOffset;
          arena.free(block);
          const again = arena.alloc({ byteLength });
          if (arena.stats().reservedBytes === before.reservedBytes) {
            expect(parts.bytes(again).byteOffset).toBe(place);
            branches.take("bump back");
          }
          arena.free(again);
        },
      },
      "a page of its own": {
        weight: 1,
        run(program) {
          const before = arena.stats().reservedBytes;
          if (before > fullBytes - MiB) return;
          const block = arena.alloc({ byteLength: 200 * KiB + program.random.integer(KiB) });
          // Where an open page has room, it lies there.
          const hasOwn = arena.stats().reservedBytes > before;
          arena.free(block);
          expect(arena.stats().reservedBytes).toBe(before);
          if (hasOwn) branches.take("own page");
        },
      },
    },
    branches: () => branches.counts,
    async close(program) {
      await end(program);
      arena.end();
      await parts.close();
    },
  };
}
