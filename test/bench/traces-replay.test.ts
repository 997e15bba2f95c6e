/** Traces replayed: on counted buffers, on a device, and by the bench's command. */

import { MiB } from "moorage";
import { openAdapter } from "moorage/node";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { BenchHost } from "../../bench/core/contract.ts";
import { deviceCounts, installCounting } from "../../bench/core/counting.ts";
import { openDevice } from "../../bench/core/open-device.ts";
import type { Allocator, Contender } from "../../bench/traces/allocator.ts";
import { CountedBuffers } from "../../bench/traces/buffers.ts";
import { compareAllocators } from "../../bench/traces/compare.ts";
import { allContenders } from "../../bench/traces/contenders.ts";
import { traceGenerators } from "../../bench/traces/generate.ts";
import { adversarialTrace } from "../../bench/traces/generators/adversarial.ts";
import { kvGrowthTrace } from "../../bench/traces/generators/kv-growth.ts";
import { uniformTrace } from "../../bench/traces/generators/synthetic.ts";
import { MoorageAllocator } from "../../bench/traces/moorage-allocator.ts";
import { BareBuffers, ExactSizePool } from "../../bench/traces/policies.ts";
import { replayCommand } from "../../bench/traces/replay-command.ts";
import type { ReplayReport } from "../../bench/traces/replay-command.ts";
import { formatOverheads, formatReplay } from "../../bench/traces/replay-table.ts";
import { replay } from "../../bench/traces/replay.ts";
import { readTrace, writeTrace } from "../../bench/traces/trace-file.ts";
import { parseTrace } from "../../bench/traces/trace-text.ts";
import { liveBufferBytes } from "../harness.ts";
import { withRuntime } from "../support/device.ts";

const now = (): number => performance.now();

const requestAdapter = async (): Promise<GPUAdapter> => (await openAdapter()).adapter;
const host: BenchHost = {
  environment: "node",
  requestAdapter,
  requestDevice: async (label) => await openDevice(await requestAdapter(), label),
  wait: async (device) => {
    await device.queue.onSubmittedWorkDone();
  },
  now,
  heap: () => undefined,
  collectGarbage: () => {},
  collectYoungGarbage: () => {},
  isInterrupted: () => false,
};

const growth = { stepCount: 60, layerCount: 4, width: 256, rowBytes: 1024 };

let folder: string;
beforeAll(async () => {
  installCounting();
  folder = await mkdtemp(join(tmpdir(), "moorage-replay-"));
});
afterAll(async () => await rm(folder, { recursive: true }));

describe("one replay", () => {
  test("frees what a trace leaves live, and counts what it took", async () => {
    const trace = parseTrace(
      [
        '{"format":"moorage-trace","version":1,"generator":"by hand","seed":0,"architecture":"none","parameters":{},"labels":["x"]}',
        "a 0 100 0",
        "s",
        "f 0",
        "a 1 100 0",
        "s",
        "a 7 100 0",
      ].join("\n"),
    );
    let time = 0;
    const clock = (): number => (time += 10);
    const result = await replay(trace, new ExactSizePool(new CountedBuffers()), { now: clock });
    expect(result).toMatchObject({
      name: "exact-size pool",
      peakLiveBytes: 200,
      peakReservedBytes: 200,
      endReservedBytes: 200,
      trimmedReservedBytes: null,
      overhead: 1,
      bufferCreates: 2,
      bufferDestroys: 0,
      cacheHits: 1,
      failure: null,
    });
    expect(result.eventsPerSecond! * result.milliseconds!).toBeCloseTo(6000);
  });

  test("leaves waits for the device out of the time", async () => {
    let time = 0;
    class Waiting extends BareBuffers {
      override settle(): Promise<void> {
        time += 1000;
        return Promise.resolve();
      }
    }
    const trace = uniformTrace(1, { allocationCount: 100 });
    const slow = await replay(trace, new Waiting(new CountedBuffers()), { now: () => time });
    expect([slow.milliseconds, slow.failure]).toEqual([0, null]);
  });

  test("that fails or takes too long says where, and gives everything back", async () => {
    const trace = uniformTrace(1, { allocationCount: 1000, liveCount: 100 });
    let left = 50;
    class Failing extends BareBuffers {
      override allocate(bytes: number, label: string) {
        if (left-- === 0) throw new Error("no more memory");
        return super.allocate(bytes, label);
      }
    }
    const failing = await replay(trace, new Failing(new CountedBuffers()), { now });
    expect(failing.failure).toMatch(/^event \d+ of \d+: no more memory$/);
    expect([failing.milliseconds, failing.endReservedBytes]).toEqual([null, 0]);
    let time = 0;
    const slow = await replay(trace, new BareBuffers(new CountedBuffers()), {
      now: () => (time += 100),
      patienceMs: 1000,
    });
    expect(slow.failure).toMatch(/^given up after 1 s, at event \d+ of \d+$/);
    expect([slow.milliseconds, slow.endReservedBytes]).toEqual([null, 0]);
  });
});

test("a runtime replays every kind of trace, and nothing is left live", async () => {
  const traces = [
    uniformTrace(1, { allocationCount: 2000, liveCount: 100 }),
    adversarialTrace(1, { volumeBytes: MiB, rounds: 2 }),
    kvGrowthTrace(1, growth),
  ];
  for (const trace of traces) {
    await withRuntime({}, async (own) => {
      const ring = liveBufferBytes(own.device);
      const allocator = new MoorageAllocator(own);
      const result = await replay(trace, allocator, { now });
      expect(result.failure).toBeNull();
      expect(own.live()).toEqual([]);
      expect(result.peakReservedBytes).toBe(own.stats().gpuBuffers.peakBytes);
      expect(result.peakReservedBytes).toBeGreaterThan(trace.peakLiveBytes);
      expect(result.endReservedBytes).toBe(result.peakReservedBytes);
      expect(result.trimmedReservedBytes).toBe(ring);
      expect(liveBufferBytes(own.device)).toBe(ring);
      expect(allocator.stats()).toMatchObject({
        liveBytes: 0,
        bufferDestroys: result.bufferCreates,
      });
      expect(result.bufferCreates).toBe(own.stats().gpuBuffers.createdCount - 1);
    });
  }
});

test("past its budget a runtime fails with its own words, and still gives everything back", async () => {
  await withRuntime({ budget: { deviceBytes: MiB } }, async (own) => {
    const trace = uniformTrace(1, { allocationCount: 100, liveCount: 50 });
    const result = await replay(trace, new MoorageAllocator(own), { now });
    expect(result.failure).toMatch(/^event \d+ of \d+: "block" needs \d+ bytes of device memory/);
    expect(own.live()).toEqual([]);
  });
});

describe("comparing", () => {
  test("on a device models make what they count, and destroy all of it", async () => {
    const trace = adversarialTrace(1, { volumeBytes: MiB, rounds: 2 });
    for (const contender of allContenders(host)) {
      if (contender.account === undefined) continue;
      const counted = await replay(trace, contender.account(), { now });
      let device: GPUDevice | undefined;
      const own = allContenders({
        ...host,
        requestDevice: async (label) => (device = await host.requestDevice(label)),
      }).find(({ name }) => name === contender.name)!;
      const opened = await own.open();
      const real = await replay(trace, opened.allocator, { now });
      const { buffersCreated, liveBytes, peakBytes } = deviceCounts(device!);
      expect(opened.failure()).toBeNull();
      expect(real.failure).toBeNull();
      expect([real.peakReservedBytes, real.bufferCreates, real.bufferDestroys]).toEqual([
        counted.peakReservedBytes,
        counted.bufferCreates,
        counted.bufferDestroys,
      ]);
      expect([peakBytes, buffersCreated, liveBytes]).toEqual([
        real.peakReservedBytes,
        real.bufferCreates,
        real.endReservedBytes,
      ]);
      await opened.close();
      expect(liveBufferBytes(device!)).toBe(0);
    }
  });

  test("takes turns, keeps the median, and times nothing that holds too much", async () => {
    const opened: string[] = [];
    let time = 0;
    const contender = (name: string, times: number[], holds: number): Contender => {
      const make = (takes: number): Allocator => ({
        name,
        allocate: () => ({}),
        free: () => {},
        step: () => void (time += takes),
        stats: () => ({
          reservedBytes: 0,
          peakReservedBytes: holds,
          liveBytes: 0,
          bufferCreates: 1,
          bufferDestroys: 1,
          cacheHits: 0,
        }),
      });
      return {
        name,
        about: "made up",
        account: () => make(0),
        open() {
          opened.push(name);
          return Promise.resolve({
            allocator: make(times.shift()!),
            failure: () => (name === "broken" ? "lost its device" : null),
            close: () => Promise.resolve(),
          });
        },
      };
    };
    const trace = uniformTrace(1, { allocationCount: 16, liveCount: 32 });
    const { results } = await compareAllocators(
      trace,
      [
        contender("a", [1, 5, 2], 100),
        contender("b", [3, 3, 3], 200),
        contender("large", [], 300),
        contender("broken", [1, 1, 1], 100),
      ],
      { now: () => time, heldLimitBytes: 200 },
    );
    expect(opened).toEqual(["a", "b", "broken", "b", "a", "a", "b"]);
    // That of the trace, and one after the final frees.
    const steps = 2;
    expect(results.map(({ milliseconds }) => milliseconds)).toEqual([
      2 * steps,
      3 * steps,
      null,
      null,
    ]);
    expect(results[0]!.eventsPerSecond).toBeCloseTo((trace.events.count * 1000) / (2 * steps));
    expect(results[2]!.failure).toBe(
      "not timed: it would hold 300 B of buffers, more than the 200 B that a replay takes",
    );
    expect(results[3]!.failure).toBe("lost its device");
    const lines = formatReplay({ trace: { ...trace, eventCount: 9 }, results });
    expect(lines.at(-1)).toBe("  broken: lost its device");
    expect(new Set(lines.slice(2, 7).map((line) => line.length)).size).toBe(1);
  });

  test("an interrupt ends it after the replay under way", async () => {
    const { trace, results } = await compareAllocators(
      uniformTrace(1, { allocationCount: 100 }),
      allContenders(host),
      { now, isInterrupted: () => true },
    );
    expect(results.every(({ failure }) => failure === "not run: interrupted")).toBe(true);
    expect(formatReplay({ trace, results })[3]).toMatch(/^ {2}Moorage +- +- /);
    expect(formatOverheads([{ trace, results }])[2]).toMatch(/^ {2}uniform +- +\d/);
  });
});

describe("the command", () => {
  async function run(source: string, rest: { jsonFile?: string; traceFile?: string } = {}) {
    const lines: string[] = [];
    await replayCommand({
      source,
      host,
      seed: 1,
      print: (line) => lines.push(line),
      repetitionCount: 1,
      ...rest,
    });
    return lines;
  }

  test("replays a file, prints a table and writes JSON", async () => {
    const file = join(folder, "growth.trace");
    const jsonFile = join(folder, "replay.json");
    await writeTrace(file, kvGrowthTrace(1, growth));
    const lines = await run(file, { jsonFile });
    const report = JSON.parse(await readFile(jsonFile, "utf8")) as ReplayReport;
    expect(report.format).toBe("moorage-replay");
    const [{ trace, results }] = report.comparisons as [ReplayReport["comparisons"][number]];
    expect(trace).toMatchObject({ generator: "kv-growth", seed: 1, parameters: growth });
    expect(results.map(({ name, failure }) => [name, failure])).toEqual([
      ["Moorage", null],
      ["exact-size pool", null],
      ["bucketed pool", null],
      ["capped exact-size pool", null],
      ["bare", null],
    ]);
    const [moorage, exact, , , bare] = results;
    expect(bare!.overhead).toBe(1);
    expect(exact!.overhead).toBeGreaterThan(10);
    expect(moorage!.peakReservedBytes).toBeLessThan(exact!.peakReservedBytes);
    for (const { name } of results) {
      expect(
        lines.some((line) => line.startsWith(`  ${name} `)),
        name,
      ).toBe(true);
    }
  });

  test("makes a trace by name, and writes it where that is asked for", async () => {
    const traceFile = join(folder, "inference.trace");
    const lines = await run("transformer-inference", { traceFile });
    expect(lines.some((line) => line.startsWith("transformer-inference, seed 1: transf"))).toBe(
      true,
    );
    expect((await readTrace(traceFile)).parameters).toMatchObject({ layerCount: 12, width: 768 });
    await expect(run("all", { traceFile })).rejects.toThrowError(
      /7 traces do not go into one file/,
    );
  });

  test("names the generators where a source is none, and the line where a file is broken", async () => {
    const names = traceGenerators.map(({ name }) => name).join(", ");
    await expect(run("kv")).rejects.toThrowError(
      `"kv" is neither a trace file nor a generator; the generators are ${names}, and all`,
    );
    const file = join(folder, "broken.trace");
    await writeFile(file, "hello\n");
    await expect(run(file)).rejects.toMatchObject({
      name: "CommandError",
      message: expect.stringContaining(`${file}: line 1: found "hello"`) as string,
    });
    await expect(run(folder)).rejects.toMatchObject({ name: "CommandError" });
  });
});
