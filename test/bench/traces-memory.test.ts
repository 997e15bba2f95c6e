/**
 * What the traces cost in memory on a device: close to what lives, and an error that names everybody
 * where a hard budget is less. On the simulated device, because no kernel runs.
 */

import { describe, expect, test } from "vitest";

import { traceGenerators } from "../../bench/traces/generate.ts";
import { kvGrowthTrace } from "../../bench/traces/generators/kv-growth.ts";
import { MoorageAllocator } from "../../bench/traces/moorage-allocator.ts";
import { replay } from "../../bench/traces/replay.ts";
import type { ReplayResult } from "../../bench/traces/replay.ts";
import { eventKinds } from "../../bench/traces/trace.ts";
import type { Trace } from "../../bench/traces/trace.ts";
import { GiB, MiB } from "../../src/index.ts";
import type { RuntimeStats } from "../../src/index.ts";
import { openSimulated } from "../simulated/open-simulated.ts";

const slabBytes = 4 * MiB;
const limits = { maxBufferSize: GiB, maxStorageBufferBindingSize: GiB };

interface Outcome {
  readonly result: ReplayResult;
  readonly stats: RuntimeStats;
}

/** Replays under a budget; afterwards the runtime must serve, and hold nothing. */
async function replayed(trace: Trace, deviceBytes: number): Promise<Outcome> {
  const { runtime } = await openSimulated({ budget: { deviceBytes } }, { limits });
  const now = (): number => performance.now();
  const result = await replay(trace, new MoorageAllocator(runtime), { now });
  const stats = runtime.stats();
  expect(stats.deviceHeap.liveBytes).toBe(0);
  const x = runtime.tensor(Uint8Array.of(1, 2, 3), { shape: [3], dtype: "uint8" });
  expect(await x.data()).toEqual(Uint8Array.of(1, 2, 3));
  x.dispose();
  await runtime.dispose();
  return { result, stats };
}

function largestOf({ events: { kinds, bytes, count } }: Trace): number {
  let largest = 0;
  for (let index = 0; index < count; index++) {
    if (kinds[index] === eventKinds.allocate) largest = Math.max(largest, bytes[index]!);
  }
  return largest;
}

const timeout = 120_000;

test(
  "reserved is within a fifth of live on average, and two fifths at worst",
  { timeout },
  async () => {
    const found: { name: string; ratio: number }[] = [];
    for (const { name, generate } of traceGenerators) {
      const trace = generate(1);
      // Below, the size of a slab tells more than the policy.
      if (trace.peakLiveBytes < 120 * MiB) continue;
      const { result, stats } = await replayed(trace, 16 * GiB);
      expect(result.failure, name).toBeNull();
      found.push({ name, ratio: stats.slabs.peakReservedBytes / trace.peakLiveBytes });
    }
    const said = JSON.stringify(found);
    expect(found.length).toBeGreaterThanOrEqual(4);
    expect(found.reduce((sum, { ratio }) => sum + ratio, 0) / found.length, said).toBeLessThan(1.2);
    expect(Math.max(...found.map(({ ratio }) => ratio)), said).toBeLessThan(1.4);
  },
);

test(
  "64 key-value tensors that grow never reserve more than twice what lives",
  { timeout },
  async () => {
    const { runtime } = await openSimulated({ budget: { deviceBytes: 4 * GiB } }, { limits });
    const allocator = new MoorageAllocator(runtime);
    let worst = 0;
    const step = allocator.step.bind(allocator);
    allocator.step = () => {
      const { slabs, deviceHeap } = runtime.stats();
      // Below, one slab is more than twice that already.
      if (deviceHeap.liveBytes >= slabBytes) {
        worst = Math.max(worst, slabs.reservedBytes / deviceHeap.liveBytes);
      }
      step();
    };
    const { failure } = await replay(kvGrowthTrace(1), allocator, { now: () => performance.now() });
    expect(failure).toBeNull();
    expect(worst).toBeGreaterThan(1);
    expect(worst).toBeLessThanOrEqual(2);
    await runtime.dispose();
  },
);

describe.each(traceGenerators.map(({ name, generate }) => [name, generate] as const))(
  "%s, under a hard budget",
  (_, generate) => {
    test("of its live peak and a little more, it completes", { timeout }, async () => {
      const trace = generate(1);
      const spare = Math.max(2 * slabBytes, largestOf(trace));
      const { result, stats } = await replayed(trace, trace.peakLiveBytes + spare);
      expect(result.failure, JSON.stringify(stats.ladder)).toBeNull();
      expect(stats.slabs.peakReservedBytes).toBeLessThanOrEqual(trace.peakLiveBytes + spare);
    });

    test("of less than it needs, it fails and says who has what", { timeout }, async () => {
      const trace = generate(1);
      const { result } = await replayed(trace, Math.floor(0.8 * trace.peakLiveBytes));
      expect(result.failure).toMatch(/needs \d+ bytes of device memory.*live: .*in device heap/);
    });
  },
);
