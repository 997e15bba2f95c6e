/** Results of the bench as a run would leave them, made up for the tests of its reports. */

import type { ContestantInfo, BenchResult, BenchRow } from "../../bench/core/results.ts";

const contestants: readonly ContestantInfo[] = [
  { name: "moorage", kind: "moorage", title: "Moorage 0.1.0" },
  { name: "raw", kind: "raw", title: "WebGPU by hand" },
  { name: "create-buffer", kind: "reference", title: "createBuffer and destroy" },
  { name: "tensorflow", kind: "peer", title: "TensorFlow.js 4.22.0" },
  { name: "onnx", kind: "peer", title: "ONNX Runtime Web 1.30.0" },
];

export function benchResult(
  cases: readonly BenchRow[],
  change: Partial<BenchResult> = {},
): BenchResult {
  return {
    machine: {
      platform: "linux x64",
      processor: "Some Processor",
      coreCount: 2,
      memoryBytes: 8 * 2 ** 30,
      engine: "Node 20.20.0",
      date: "2026-11-20",
      seed: 1,
      quick: false,
      repetitionCount: 1,
      seconds: 100,
    },
    adapter: "some adapter",
    wait: "polled",
    limits: {
      hostCopyBytesPerSecond: 18e9,
      deviceCopyBytesPerSecond: 9.4e9,
      fmaFlopsPerSecond: 57e9,
    },
    contestants,
    cases,
    ...change,
  };
}

/** A row of softmax, unless told; 21 samples of 8 MiB moved in 2 ms. */
export function benchRow(change: Partial<BenchRow> = {}): BenchRow {
  const median = change.median === undefined ? 2 : change.median;
  return {
    suite: "kernels",
    case: "softmax",
    size: "1024x1024",
    contestant: "moorage",
    unit: "ms",
    median,
    min: median,
    max: median,
    spread: 0.01,
    samples: 21,
    iterations: 4,
    ratioToRaw: 1,
    ratioToBestPeer: 2,
    ratiosToRaw: [1],
    maxError: 1e-6,
    failure: null,
    variant: null,
    variants: [],
    fractionOfLimit: 0.45,
    work: { bytes: 2 ** 23 },
    peakDeviceBytes: 2 ** 23,
    heldDeviceBytes: 0,
    buffersCreated: 0,
    bindGroupsCreated: 0,
    pipelinesCreated: 0,
    heapBytes: 100,
    collections: 0,
    ...change,
  };
}

/** What `rowsOf` makes of a contestant that failed. */
export function failedRow(failure: string, change: Partial<BenchRow> = {}): BenchRow {
  return benchRow({
    median: null,
    min: null,
    max: null,
    spread: null,
    samples: 0,
    ratioToRaw: null,
    ratioToBestPeer: null,
    ratiosToRaw: [],
    maxError: null,
    failure,
    fractionOfLimit: null,
    peakDeviceBytes: null,
    heldDeviceBytes: null,
    buffersCreated: null,
    bindGroupsCreated: null,
    pipelinesCreated: null,
    heapBytes: null,
    collections: null,
    ...change,
  });
}

/** One problem: a row for each contestant with a median, ratios as a run would find them. */
export function problem(
  medians: Readonly<Partial<Record<BenchRow["contestant"], number | string>>>,
  change: Partial<BenchRow> = {},
): BenchRow[] {
  const entries = Object.entries(medians) as [BenchRow["contestant"], number | string][];
  const raw = medians.raw;
  const peers = entries
    .filter(([name]) => contestants.some((other) => other.name === name && other.kind === "peer"))
    .flatMap(([, median]) => (typeof median === "number" ? [median] : []));
  const ratio = (other: number | string | undefined, own: number): number | null =>
    typeof other === "number" && own > 0 ? other / own : null;
  return entries.map(([contestant, median]) =>
    typeof median === "string"
      ? failedRow(median, { ...change, contestant })
      : benchRow({
          ...change,
          contestant,
          median,
          min: 0.95 * median,
          max: 1.1 * median,
          ratioToRaw: ratio(raw, median),
          ratioToBestPeer: peers.length === 0 ? null : ratio(Math.min(...peers), median),
        }),
  );
}

/** A bit of everything: several sizes, one size, failures, bytes, one sample, labels that mean harm. */
export function mixedResult(): BenchResult {
  const hostile = "<script>alert(1)</script>";
  const MiB = 2 ** 20;
  return benchResult(
    [
      ...[64, 1024, 4096].flatMap((rows) =>
        problem(
          { moorage: rows / 500, raw: rows / 520, tensorflow: rows / 90, onnx: rows / 200 },
          { size: `${rows}x1024`, work: { bytes: rows * 8192 } },
        ),
      ),
      ...[128, 512, 2048].flatMap((n) =>
        problem(
          {
            moorage: n / 20,
            raw: n / 30,
            tensorflow: n === 2048 ? "left out: too slow" : n / 10,
            onnx: n / 12,
          },
          { case: "matmul", size: `${n}`, work: { bytes: n * n * 12, flops: 2 * n ** 3 } },
        ),
      ),
      ...[1, 10, 1000].flatMap((count) =>
        problem(
          { moorage: 0.1 * count, raw: 0.11 * count, tensorflow: 0.3 * count },
          { suite: "dispatch", case: "small", size: `${count}`, work: { operations: count } },
        ),
      ),
      ...[4096, MiB].flatMap((bytes) =>
        problem(
          { moorage: bytes / 9e6, raw: bytes / 9e6, tensorflow: bytes / 1e6, onnx: "device lost" },
          { suite: "transfer", case: "upload", size: `${bytes}`, work: { transferBytes: bytes } },
        ),
      ),
      ...problem(
        { moorage: "not yet: scans", raw: 3, tensorflow: "not supported" },
        { case: "scan", size: "1 Mi", samples: 1, spread: 0 },
      ),
      ...problem(
        { moorage: 0, raw: 0, tensorflow: 896 * MiB, onnx: 128 * MiB },
        { suite: "memory", case: "held", size: "16 Mi", unit: "bytes", work: {}, spread: 0 },
      ),
      ...problem(
        { moorage: 40 * MiB, raw: 32 * MiB, tensorflow: 30 * MiB },
        { suite: "memory", case: "peak", size: "16 Mi", unit: "bytes", work: {}, spread: 0 },
      ),
      ...problem(
        { moorage: 5, raw: `${hostile} & "more" \u001B[31mred\u0007`, tensorflow: 6 },
        { suite: "end-to-end", case: hostile, size: `"><img src=x onerror=alert(1)>`, work: {} },
      ),
    ],
    {
      adapter: `${hostile} adapter`,
      memoryOverTime: [
        {
          case: "peak",
          size: "16 Mi",
          contestant: "moorage",
          points: Array.from({ length: 2000 }, (_, index) => ({
            milliseconds: index / 10,
            liveBytes: (index % 40) * MiB,
          })),
        },
        {
          case: "peak",
          size: "16 Mi",
          contestant: "raw",
          points: [{ milliseconds: 0, liveBytes: 0 }],
        },
      ],
    },
  );
}
