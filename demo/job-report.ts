/** What one command line or page tells of a job: figures first, then the same figures for people. */

import { formatBytes } from "moorage";
import type { LiveAllocation, RegionStats, Runtime, RuntimeStats } from "moorage";

import { edgeMap } from "./edge-map.ts";
import type { EdgeMapOptions, EdgeMapResult } from "./edge-map.ts";
import type { Picture } from "./png.ts";
import type { StageTiming } from "./stage-clock.ts";

/** The same job twice in one process: the second run lives on what the first one left in the pools. */
export interface TwoRuns {
  readonly first: EdgeMapResult;
  readonly second: EdgeMapResult;
  readonly gpuBuffersCreatedSecondRun: number;
}

/** What `--json` writes. */
export interface JobReport {
  readonly adapter: string;
  readonly width: number;
  readonly height: number;
  readonly sigma: number;
  readonly strips: number;
  /** Of the first run. */
  readonly stages: readonly StageTiming[];
  readonly memory: {
    readonly deviceReservedPeakBytes: number;
    /** After the job, as are `hostLiveBytes` and `leaks`. */
    readonly deviceLiveBytes: number;
    readonly hostLiveBytes: number;
    readonly leaks: number;
    /** Until the end of the first run, everything that the runtime made when it opened included. */
    readonly gpuBuffersCreated: number;
    readonly gpuBuffersCreatedSecondRun: number;
  };
  readonly maxMagnitude: number;
}

/** Runs the job twice; progress counts both runs together. */
export async function runTwice(
  runtime: Runtime,
  picture: Picture,
  options: EdgeMapOptions,
): Promise<TwoRuns> {
  const { onProgress } = options;
  const half = (run: number): EdgeMapOptions =>
    onProgress === undefined
      ? options
      : { ...options, onProgress: (done, stage) => onProgress((run + done) / 2, stage) };
  const first = await edgeMap(runtime, picture, half(0));
  const before = runtime.stats().gpuBuffers.createdCount;
  const second = await edgeMap(runtime, picture, half(1));
  const gpuBuffersCreatedSecondRun = runtime.stats().gpuBuffers.createdCount - before;
  return { first, second, gpuBuffersCreatedSecondRun };
}

/** The figures of a job that has just been run. */
export function jobReport(
  runtime: Runtime,
  job: {
    readonly adapter: string;
    readonly picture: Picture;
    readonly sigma: number;
    readonly runs: TwoRuns;
  },
): JobReport {
  const { adapter, picture, sigma, runs } = job;
  const { slabs, deviceArena, deviceHeap, hot, pinned, gpuBuffers } = runtime.stats();
  const { first, gpuBuffersCreatedSecondRun } = runs;
  return {
    adapter,
    width: picture.width,
    height: picture.height,
    sigma,
    strips: first.strips,
    stages: first.stages,
    memory: {
      deviceReservedPeakBytes: slabs.peakReservedBytes,
      deviceLiveBytes: deviceArena.liveBytes + deviceHeap.liveBytes,
      hostLiveBytes: hot.liveBytes + pinned.liveBytes,
      leaks: runtime.live().length,
      gpuBuffersCreated: gpuBuffers.createdCount - gpuBuffersCreatedSecondRun,
      gpuBuffersCreatedSecondRun,
    },
    maxMagnitude: first.maxMagnitude,
  };
}

/** The table that the job ends with. */
export function formatJob(runtime: Runtime, report: JobReport, runs: TwoRuns): string {
  return [
    formatStages(runs),
    formatRegions(runtime.stats()),
    formatBuffers(report, runtime.stats(), runtime.live()),
  ].join("\n\n");
}

function formatStages({ first, second }: TwoRuns): string {
  const total = (stages: readonly StageTiming[], key: "ms" | "bytes"): number =>
    stages.reduce((sum, stage) => sum + stage[key], 0);
  const line = (name: string, ms: number, again: number, bytes: number): string =>
    row(name, [formatMs(ms), formatMs(again), formatBytes(bytes)]);
  return [
    row("stage", ["first run", "second run", "read + written"]),
    ...first.stages.map(({ name, ms, bytes }, index) =>
      line(name, ms, second.stages[index]!.ms, bytes),
    ),
    line(
      "all",
      total(first.stages, "ms"),
      total(second.stages, "ms"),
      total(first.stages, "bytes"),
    ),
  ].join("\n");
}

function formatRegions({ hot, pinned, deviceArena, deviceHeap, slabs }: RuntimeStats): string {
  const region = (name: string, { liveBytes, live, reserved }: RegionStats): string =>
    row(name, [liveBytes, live.peak, reserved.value, reserved.peak].map(formatBytes));
  const { reservedBytes, peakReservedBytes } = slabs;
  return [
    row("region", ["live", "live peak", "reserved", "reserved peak"]),
    region("hot arenas (host)", hot),
    region("pinned heap (host)", pinned),
    region("device arenas", deviceArena),
    region("device heap", deviceHeap),
    row("device, both", ["", "", formatBytes(reservedBytes), formatBytes(peakReservedBytes)]),
  ].join("\n");
}

function formatBuffers(
  { memory }: JobReport,
  { gpuBuffers }: RuntimeStats,
  live: readonly LiveAllocation[],
): string {
  const leaks = live.map(
    ({ label, region, byteLength }) => `  "${label}", ${formatBytes(byteLength)} in ${region}`,
  );
  return [
    `GPU buffers   ${memory.gpuBuffersCreated} created by the first run, ${memory.gpuBuffersCreatedSecondRun} by the second; ` +
      `${formatBytes(gpuBuffers.peakBytes)} at most`,
    leaks.length === 0 ? "Leaks         none" : `Leaks         ${leaks.length}:`,
    ...leaks,
  ].join("\n");
}

function row(name: string, cells: readonly string[]): string {
  return [name.padEnd(20), ...cells.map((cell) => cell.padStart(15))].join("").trimEnd();
}

function formatMs(ms: number): string {
  return `${ms.toFixed(1)} ms`;
}
