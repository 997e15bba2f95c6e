/**
 * Programs that wait for nothing, on simulated devices: 25 of each kind here, 1,000 in `npm run test:long`.
 * MOORAGE_SEED=n repeats the programs of an earlier run.
 */

import { expect, test } from "vitest";

import type { Random } from "../../bench/core/contract.ts";
import { randomFrom } from "../../bench/core/random.ts";
import { KiB, MiB } from "../../src/index.ts";
import type { MoorageError, Runtime, RuntimeOptions } from "../../src/index.ts";
import { openSimulated, simulatedCopies } from "../simulated/open-simulated.ts";
import type { SimulatedDevice } from "../simulated/simulated-device.ts";
import { PendingProgram } from "./pending-programs.ts";

const isLong = process.env["MOORAGE_LONG"] === "1";
const programs = isLong ? 1000 : 25;
const firstSeed = Number(process.env["MOORAGE_SEED"] ?? 1 + Math.floor(Math.random() * 1e9));
const timeout = isLong ? 1_800_000 : 60_000;
const from = `from seed ${firstSeed}`;
const steps = 150;

interface Opened {
  readonly runtime: Runtime;
  readonly device: SimulatedDevice;
  readonly program: PendingProgram;
  readonly random: Random;
  /** What the device or the runtime complained about. */
  readonly errors: string[];
}

function complaints(device: SimulatedDevice, errors: string[]): void {
  device.asDevice.addEventListener("uncapturederror", ({ error }) => errors.push(error.message));
}

async function open(seed: number, largest: number, allowed: readonly string[]): Promise<Opened> {
  const random = randomFrom(seed);
  const pick = <T>(values: readonly T[]): T => values[random.integer(values.length)]!;
  const errors: string[] = [];
  const options: RuntimeOptions = {
    budget: {
      deviceBytes: pick([2, 4, 16]) * MiB,
      pinnedBytes: pick([16 * KiB, 64 * KiB, 256 * KiB, MiB, 8 * MiB]),
    },
    slabBytes: pick([256 * KiB, MiB, 4 * MiB]),
    uploads: pick(["queue", "belt", "fresh"] as const),
    idleMs: pick([5, Number.POSITIVE_INFINITY]),
    onError: ({ message }: MoorageError) => errors.push(message),
    onLost: () => {},
    onLeak: () => {},
  };
  const { runtime, device } = await openSimulated(options);
  complaints(device, errors);
  const program = new PendingProgram(runtime, random, { largest, allowed: new Set(allowed) });
  return { runtime, device, program, random, errors };
}

/** Everything is given back, and every number says so. */
async function expectNothingLeft({ runtime, program, errors }: Opened): Promise<void> {
  await runtime.sync();
  await new Promise((resolve) => setTimeout(resolve, 2));
  const { pinned, deviceArena, deviceHeap } = runtime.stats();
  for (const region of [pinned, deviceArena, deviceHeap]) {
    const { liveBytes, paddingBytes, deferredBytes, freeBytes, reservedBytes } = region;
    expect(liveBytes + paddingBytes + deferredBytes + freeBytes).toBe(reservedBytes);
    expect([region.region, liveBytes, deferredBytes]).toEqual([region.region, 0, 0]);
  }
  expect(runtime.live()).toEqual([]);
  await runtime.dispose();
  expect([program.wrong, errors]).toEqual([[], []]);
}

function total(of: readonly PendingProgram[], name: string): number {
  return of.reduce((sum, { counts }) => sum + (counts[name] ?? 0), 0);
}

test(
  `${programs} programs with little memory: every read is of its call, ${from}`,
  { timeout },
  async () => {
    const ran: PendingProgram[] = [];
    for (let seed = firstSeed; seed < firstSeed + programs; seed++) {
      const opened = await open(seed, 100_000, ["OUT_OF_MEMORY", "CANCELLED"]);
      await opened.program.run(steps);
      await opened.program.finish();
      await expectNothingLeft(opened);
      expect(opened.device.buffers.size, `seed ${seed}`).toBe(0);
      ran.push(opened.program);
    }
    expect(total(ran, "compared")).toBeGreaterThan(20 * programs);
    expect(total(ran, "refused")).toBeGreaterThan(programs);
  },
);

test(
  `${programs} programs in which what the platform makes and maps fails now and then, ${from}`,
  { timeout },
  async () => {
    const allowed = ["OUT_OF_MEMORY", "CANCELLED", "DEVICE_ERROR", "NOT_MAPPED"];
    const ran: PendingProgram[] = [];
    for (let seed = firstSeed; seed < firstSeed + programs; seed++) {
      const opened = await open(seed, 20_000, allowed);
      const { program, device, random } = opened;
      for (let part = 0; part < 15; part++) {
        const kinds = ["createBuffer", "mapAsync", "mappedAtCreation"] as const;
        device.faults.failAfter(kinds[random.integer(3)]!, 1 + random.integer(4));
        await program.run(10);
      }
      device.faults.clear();
      program.forget();
      await program.finish();
      // A value that memory was missing for is told of where nobody reads it.
      opened.errors.splice(0, Infinity, ...opened.errors.filter((text) => !isOfMemory(text)));
      await expectNothingLeft(opened);
      ran.push(program);
    }
    expect(total(ran, "refused")).toBeGreaterThan(programs);
  },
);

function isOfMemory(message: string): boolean {
  return /no memory for|could not be mapped/.test(message);
}

test(
  `${programs} programs whose device is lost on their way, and that go on with another, ${from}`,
  { timeout },
  async () => {
    const allowed = ["OUT_OF_MEMORY", "CANCELLED", "DEVICE_LOST", "NOT_MAPPED"];
    for (let seed = firstSeed; seed < firstSeed + programs; seed++) {
      const opened = await open(seed, 100_000, allowed);
      const { program, device, runtime, random } = opened;
      await program.run(random.integer(60));
      program.forget();
      device.faults.failAfter("loss", 1 + random.integer(30));
      for (let step = 0; step < 40 && !device.isLost; step++) await program.run(1);
      device.lose("unknown", "the test says so");
      program.forget();
      await runtime.lost;
      await program.run(random.integer(3));
      const next = simulatedCopies();
      complaints(next, opened.errors);
      const restoring = runtime.restore(next.asDevice);
      await program.run(random.integer(10));
      await restoring;
      program.forget();
      await program.run(60);
      program.forget();
      await program.finish();
      await expectNothingLeft(opened);
      expect([device.buffers.size, next.buffers.size], `seed ${seed}`).toEqual([0, 0]);
    }
  },
);

test(
  `${programs} programs whose runtime is disposed in the middle, ${from}`,
  { timeout },
  async () => {
    const allowed = [
      "OUT_OF_MEMORY",
      "CANCELLED",
      "RUNTIME_DISPOSED",
      "NOT_MAPPED",
      "USE_AFTER_DISPOSE",
    ];
    for (let seed = firstSeed; seed < firstSeed + programs; seed++) {
      const { runtime, device, program, errors, random } = await open(seed, 100_000, allowed);
      await program.run(10 + random.integer(60));
      const disposed = runtime.dispose();
      await program.run(60);
      await program.ended();
      await disposed;
      expect([program.wrong, errors], `seed ${seed}`).toEqual([[], []]);
      expect(device.buffers.size, `seed ${seed}`).toBe(0);
      expect(runtime.stats().pinned.reservedBytes).toBe(0);
    }
  },
);
