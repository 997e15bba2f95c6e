/** Allocation traces: the text format, and what the generators make. */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { findGenerator, traceGenerators } from "../../bench/traces/generate.ts";
import { adversarialTrace } from "../../bench/traces/generators/adversarial.ts";
import { inferenceTrace } from "../../bench/traces/generators/inference.ts";
import { kvGrowthTrace } from "../../bench/traces/generators/kv-growth.ts";
import { powerLawTrace, uniformTrace } from "../../bench/traces/generators/synthetic.ts";
import { trainingTrace } from "../../bench/traces/generators/training.ts";
import { varyingBatchTrace } from "../../bench/traces/generators/varying-batch.ts";
import { TraceBuilder } from "../../bench/traces/trace-builder.ts";
import { readTrace, writeTrace } from "../../bench/traces/trace-file.ts";
import { formatTrace, parseTrace } from "../../bench/traces/trace-text.ts";
import { eventKinds, TraceError, TraceEvents, validateTrace } from "../../bench/traces/trace.ts";
import type { Trace } from "../../bench/traces/trace.ts";

const origin = { generator: "by hand", seed: 7, architecture: "none", parameters: { size: 4 } };

const header = JSON.stringify({
  format: "moorage-trace",
  version: 1,
  ...origin,
  labels: ["x", "y"],
});

function parsed(...events: string[]): Trace {
  return parseTrace([header, ...events].join("\n"));
}

/** The most bytes live at a time, counted apart from the rules; the ids of what is left must be none. */
function recount({ events }: Trace): number {
  const live = new Map<number, number>();
  let [bytes, peak] = [0, 0];
  for (let index = 0; index < events.count; index++) {
    const id = events.ids[index]!;
    if (events.kinds[index] === eventKinds.allocate) {
      live.set(id, events.bytes[index]!);
      bytes += events.bytes[index]!;
    } else if (events.kinds[index] === eventKinds.free) {
      bytes -= live.get(id)!;
      live.delete(id);
    }
    peak = Math.max(peak, bytes);
  }
  expect(live.size, "blocks left").toBe(0);
  return peak;
}

function sizesOf(trace: Trace, label: string): number[] {
  const index = trace.labels.indexOf(label);
  const { kinds, bytes, labels, count } = trace.events;
  const sizes: number[] = [];
  for (let event = 0; event < count; event++) {
    if (kinds[event] === eventKinds.allocate && labels[event] === index) sizes.push(bytes[event]!);
  }
  return sizes;
}

function stepCount({ events }: Trace): number {
  return events.kinds.subarray(0, events.count).filter((kind) => kind === eventKinds.step).length;
}

describe("the text format", () => {
  test("is a line of JSON and a line for each event", () => {
    const builder = new TraceBuilder(origin);
    const x = builder.allocate("x", 4096);
    const y = builder.allocate("y", 2 ** 40 + 1);
    builder.free(x);
    builder.step();
    builder.step();
    builder.free(builder.allocate("x", 12), y);
    const lines = formatTrace(builder.finish()).split("\n");
    expect(JSON.parse(lines[0]!)).toEqual({
      format: "moorage-trace",
      version: 1,
      ...origin,
      labels: ["x", "y"],
      peakLiveBytes: 2 ** 40 + 1 + 4096,
      eventCount: 8,
    });
    expect(lines.slice(1)).toEqual([
      "a 0 4096 0",
      "a 1 1099511627777 1",
      "f 0",
      "s",
      "a 0 12 0",
      "f 0",
      "f 1",
      "s",
      "",
    ]);
  });

  test("comes back as it went", () => {
    for (const trace of [
      uniformTrace(3, { allocationCount: 2000 }),
      trainingTrace(1, small.training),
    ]) {
      const text = formatTrace(trace);
      const back = parseTrace(text);
      expect(formatTrace(back)).toBe(text);
      expect(back.peakLiveBytes).toBe(trace.peakLiveBytes);
      expect(parseTrace(text.replaceAll("\n", "\r\n")).events.count).toBe(trace.events.count);
    }
  });

  test("may leave counts out, and need not end with everything freed", () => {
    const trace = parsed("a 5 10 1", "s", "a 6 20 0");
    expect([trace.events.count, trace.peakLiveBytes]).toEqual([3, 30]);
    expect(trace.labels).toEqual(["x", "y"]);
  });

  test("is refused with the line, what was found and what was due", () => {
    const refused = (text: string, message: RegExp): void => {
      expect(() => parseTrace(text)).toThrowError(TraceError);
      expect(() => parseTrace(text)).toThrowError(message);
    };
    const events = (...lines: string[]): string => [header, ...lines].join("\n");
    refused("", /^line 1: found nothing; the header, one line of JSON, is due$/);
    refused("a 1 2 3", /^line 1: found "a 1 2 3"; the header/);
    refused("[]", /^line 1: found "\[\]"; the header, a JSON object/);
    refused('{"format":"zip"}', /^line 1: found format "zip"; "moorage-trace" is due/);
    refused(header.replace('"version":1', '"version":2'), /^line 1: found version 2; 1 is due/);
    refused(
      header.replace('"seed":7', '"seed":"7"'),
      /found "7" as "seed" of the header; a number/,
    );
    refused(header.replace(',"seed":7', ""), /found nothing as "seed"/);
    refused(
      header.replace('"size":4', '"size":[]'),
      /as "parameters".*an object of numbers is due/,
    );
    refused(header.replace('["x","y"]', '["x",1]'), /as "labels".*an array of strings is due/);
    refused(events("a 1 4 0", "x 3"), /^line 3: found "x 3"; "a ID BYTES LABEL", "f ID" or "s"/);
    refused(events("a 1 4"), /^line 2: found "a 1 4"/);
    refused(events("s", "", "s"), /^line 3: found ""/);
    refused(events("a 1 four 0"), /^line 2: found "four"; a size in bytes, a whole number, is due/);
    refused(events("a -1 4 0"), /^line 2: found "-1"; an id, a whole number, is due/);
    refused(events("a 1 0 0"), /^line 2: found a size of 0 bytes; a positive safe integer is due/);
    refused(events("a 1 9007199254740993 0"), /^line 2: found "9007199254740993"; a size/);
    refused(events("a 1 9007199254740991 0", "a 2 1 0"), /^line 3: found more live bytes/);
    refused(events("a 4294967295 4 0"), /^line 2: found id 4294967295; an integer from 0 to/);
    refused(events("a 1 4 2"), /^line 2: found label 2; an index into the header's 2 labels/);
    refused(events("a 1 4 0", "a 1 8 0"), /^line 3: found an allocation of 1, which is live/);
    refused(events("a 1 4 0", "f 1", "f 1"), /^line 4: found a free of 1, which is not live/);
    const counted = header.replace("{", '{"eventCount":4,');
    refused(
      `${counted}\na 1 4 0\n`,
      /^line 3: found the end after 1 events; the header promises 4/,
    );
    const peaked = header.replace("{", '{"peakLiveBytes":9,');
    refused(`${peaked}\na 1 4 0`, /^line 1: found peakLiveBytes 9; the events come to 4/);
    const long = "y".repeat(1000);
    expect(() => parseTrace(events(long))).toThrowError(/^.{1,160}$/);
  });
});

test("validateTrace names the event that breaks a rule", () => {
  const events = new TraceEvents();
  events.push(eventKinds.allocate, 0, 16, 0);
  const trace = { ...origin, labels: ["x"], events, peakLiveBytes: 16 };
  expect(() => validateTrace(trace)).not.toThrow();
  expect(() => validateTrace({ ...trace, peakLiveBytes: 17 })).toThrowError(
    /a peak of 16.*claims 17/,
  );
  expect(() => validateTrace({ ...trace, labels: [] })).toThrowError(/^event 0: found label 0/);
  events.push(9);
  expect(() => validateTrace(trace)).toThrowError(/^event 1: found kind 9/);
});

describe("files", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "moorage-traces-"));
  });
  afterAll(async () => await rm(folder, { recursive: true }));

  test("are written and read as streams", async () => {
    const trace = uniformTrace(5);
    const path = join(folder, "uniform.trace");
    await writeTrace(path, trace);
    expect(await readFile(path, "utf8")).toBe(formatTrace(trace));
    const back = await readTrace(path);
    expect(formatTrace(back)).toBe(formatTrace(trace));
  });

  test("that are none say so", async () => {
    await expect(readTrace(join(folder, "missing"))).rejects.toThrowError(/ENOENT/);
    const path = join(folder, "broken.trace");
    await writeFile(path, `${header}\na 1 4 0\nf 2\n`);
    await expect(readTrace(path)).rejects.toThrowError(/^line 3: found a free of 2/);
  });
});

const small = {
  churn: { allocationCount: 500, liveCount: 40 },
  batch: { iterationCount: 12, batch: 4, range: 2, side: 8, width: 4, stageCount: 2 },
  inference: {
    requestCount: 2,
    layerCount: 2,
    width: 32,
    headCount: 4,
    sequence: 16,
    vocabulary: 100,
  },
  training: {
    stepCount: 3,
    stepsPerEpoch: 2,
    batch: 2,
    layerCount: 2,
    width: 32,
    headCount: 4,
    sequence: 16,
    vocabulary: 100,
  },
  adversarial: { volumeBytes: 2 ** 20, rounds: 2 },
  growth: {
    stepCount: 20,
    layerCount: 3,
    width: 64,
    headCount: 4,
    rowBytes: 128,
    maxOtherTokens: 3,
  },
};

const smallGenerators: readonly { readonly name: string; make(seed: number): Trace }[] = [
  { name: "uniform", make: (seed) => uniformTrace(seed, small.churn) },
  { name: "power-law", make: (seed) => powerLawTrace(seed, small.churn) },
  { name: "varying-batch", make: (seed) => varyingBatchTrace(seed, small.batch) },
  { name: "transformer-inference", make: (seed) => inferenceTrace(seed, small.inference) },
  { name: "training-step", make: (seed) => trainingTrace(seed, small.training) },
  { name: "adversarial", make: (seed) => adversarialTrace(seed, small.adversarial) },
  { name: "kv-growth", make: (seed) => kvGrowthTrace(seed, small.growth) },
];

describe.each(smallGenerators)("$name", ({ name, make }) => {
  test("is a valid trace that carries where it comes from", () => {
    const trace = make(11);
    validateTrace(trace);
    expect(trace.peakLiveBytes).toBe(recount(trace));
    expect([trace.generator, trace.seed]).toEqual([name, 11]);
    expect(trace.architecture).not.toBe("");
    expect(Object.values(trace.parameters).every(Number.isFinite)).toBe(true);
    expect(stepCount(trace)).toBeGreaterThan(1);
  });

  test("is the same for the same seed", () => {
    expect(formatTrace(make(11))).toBe(formatTrace(make(11)));
    const isByChance = ["uniform", "power-law", "varying-batch", "kv-growth"].includes(name);
    const events = (seed: number): string => formatTrace(make(seed)).split("\n").slice(1).join();
    expect(events(11) === events(12)).toBe(!isByChance);
  });
});

test("the generators at full size: their names, and peaks that a device can bear", () => {
  expect(traceGenerators.map(({ name }) => name)).toEqual(smallGenerators.map(({ name }) => name));
  const peaks = traceGenerators.map(({ name, generate }) => {
    const trace = generate(1);
    expect(trace.generator).toBe(name);
    expect(trace.peakLiveBytes, name).toBeLessThan(2 ** 29);
    return Math.round(trace.peakLiveBytes / 2 ** 20);
  });
  expect(peaks).toEqual([125, 122, 46, 25, 353, 64, 127]);
  expect(findGenerator("uniform")).toBe(traceGenerators[0]);
  expect(findGenerator("Uniform")).toBeUndefined();
});

test("uniform and power-law sizes are distributed as they say", () => {
  const even = sizesOf(uniformTrace(2, { maxBytes: 1024 }), "block");
  expect([Math.min(...even), Math.max(...even)]).toEqual([4, 1024]);
  const mean = even.reduce((sum, bytes) => sum + bytes, 0) / even.length;
  expect(Math.abs(mean - 514)).toBeLessThan(15);
  const exponent = 1;
  const steep = sizesOf(powerLawTrace(2, { exponent, minBytes: 64, maxBytes: 2 ** 30 }), "block");
  const above = (bytes: number): number =>
    steep.filter((size) => size > bytes).length / steep.length;
  for (const factor of [2, 8, 32]) {
    expect(Math.abs(above(64 * factor) * factor - 1), `above ${factor} times`).toBeLessThan(0.1);
  }
});

test("the batch varies by one from one iteration to the next, within its range", () => {
  const { batch, side } = small.batch;
  const trace = varyingBatchTrace(4, { ...small.batch, iterationCount: 200 });
  const batches = sizesOf(trace, "images").map((bytes) => bytes / (4 * 3 * side * side));
  expect(batches).toHaveLength(200);
  expect(batches[0]).toBe(batch);
  for (let index = 1; index < batches.length; index++)
    expect(Math.abs(batches[index]! - batches[index - 1]!)).toBe(1);
  expect([Math.min(...batches), Math.max(...batches)]).toEqual([batch - 2, batch + 2]);
  const ones = sizesOf(varyingBatchTrace(4, { ...small.batch, batch: 1 }), "images");
  expect(Math.min(...ones)).toBe(4 * 3 * side * side);
});

test("inference has the shapes of its architecture", () => {
  const trace = inferenceTrace(1, { requestCount: 1 });
  expect(trace.architecture).toContain("12 layers, width 768, 12 heads, sequence 128");
  expect(sizesOf(trace, "scores")).toEqual(Array(12).fill(4 * 12 * 128 * 128));
  expect(sizesOf(trace, "query, key and value")).toEqual(Array(12).fill(4 * 128 * 3 * 768));
  expect(sizesOf(trace, "up")).toEqual(Array(12).fill(4 * 128 * 3072));
  expect(sizesOf(trace, "logits")).toEqual([4 * 128 * 50_257]);
});

test("training keeps the activations of all layers until the backward pass", () => {
  const { layerCount, width, sequence, batch, vocabulary } = small.training;
  const one = trainingTrace(1, { ...small.training, stepCount: 1 });
  const weights = 4 * (vocabulary * width + layerCount * (12 * width ** 2 + 4 * width));
  const activated = 4 * batch * sequence * 4 * width;
  expect(one.peakLiveBytes).toBeGreaterThan(3 * weights + layerCount * 2 * activated);
  expect(sizesOf(one, "gradient of down weights")).toEqual(Array(layerCount).fill(16 * width ** 2));
  const several = trainingTrace(1, small.training);
  // One layer's of each step; the second batch is the last of its epoch.
  const perStep = sizesOf(several, "activated").filter((_, index) => index % layerCount === 0);
  expect(perStep).toEqual([activated, activated / 2, activated]);
});

test("64 key-value tensors grow by a row for 2,000 steps, beside changing activations", () => {
  const trace = kvGrowthTrace(1);
  const [keys, values] = [sizesOf(trace, "keys"), sizesOf(trace, "values")];
  expect(keys).toHaveLength(32 * 2000);
  expect(values).toEqual(keys);
  expect(keys.filter((_, index) => index % 32 === 0)).toEqual(
    Array.from({ length: 2000 }, (_, step) => 1024 * (step + 1)),
  );
  const caches = 64 * 2000 * 1024;
  expect(trace.peakLiveBytes).toBeGreaterThan(caches);
  expect(trace.peakLiveBytes).toBeLessThan(caches * 1.05);
  expect(new Set(sizesOf(trace, "scores")).size).toBe(2000);
  expect(new Set(sizesOf(trace, "up")).size).toBe(16);
});
