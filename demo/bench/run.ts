/** One run of the bench in this page, from what was chosen to the result. */

import { openBrowserHost } from "../../bench/browser/browser-host.ts";
import type { BrowserHost } from "../../bench/browser/browser-host.ts";
import type { BenchCase, Contestant } from "../../bench/core/contract.ts";
import { settingsOf } from "../../bench/core/measure.ts";
import type { MeasureSettings } from "../../bench/core/measure.ts";
import type { BenchResult, BenchRow } from "../../bench/core/results.ts";
import { runBench } from "../../bench/core/run-bench.ts";
import type { Progress } from "../../bench/core/run-bench.ts";
import type { Choice } from "./contestants.ts";

/** What was chosen. */
export interface Order {
  readonly cases: readonly BenchCase[];
  /** By the beginning of their labels; all where empty. */
  readonly sizes: readonly string[];
  readonly contestants: readonly Choice[];
  readonly quick: boolean;
  readonly seed: number;
  readonly repetitionCount: number;
}

export interface RunEvents {
  readonly onHost: (host: BrowserHost) => void;
  readonly onProgress: (progress: Progress) => void;
  readonly onRows: (rows: readonly BenchRow[]) => void;
}

/** Rejects where there is no adapter; what fails in one contestant is in its rows. */
export async function run(
  order: Order,
  signal: AbortSignal,
  { onHost, onProgress, onRows }: RunEvents,
): Promise<BenchResult> {
  const date = new Date().toISOString();
  const started = performance.now();
  const host = await openBrowserHost({ signal });
  onHost(host);
  const contestants = await loadAll(order.contestants, onProgress);
  const { quick, seed, repetitionCount, sizes } = order;
  const { limits, rows, memoryOverTime } = await runBench({
    host,
    cases: order.cases,
    contestants,
    selection: { quick, sizes },
    settings: settingsFor(quick),
    seed,
    repetitionCount,
    onProgress,
    onRows,
  });
  const seconds = (performance.now() - started) / 1000;
  return {
    machine: { ...host.machine, date, seed, quick, repetitionCount, seconds },
    adapter: host.description,
    wait: host.waitingPolicy,
    limits,
    contestants: contestants.map(({ name, kind, title }) => ({ name, kind, title })),
    cases: rows,
    memoryOverTime,
  };
}

/** Longer samples than in Node: the browser tells of the end of the device's work up to 2 ms late. */
function settingsFor(quick: boolean): MeasureSettings {
  const settings = settingsOf(quick);
  return { ...settings, sampleMs: 2 * settings.sampleMs };
}

async function loadAll(
  chosen: readonly Choice[],
  onProgress: (progress: Progress) => void,
): Promise<Contestant[]> {
  const loaded: Contestant[] = [];
  for (const { title, isPeer, load } of chosen) {
    if (isPeer) onProgress({ done: 0, total: 1, what: `loading ${title}` });
    loaded.push(await load());
  }
  return loaded;
}
