/**
 * The cases of the device that executes nothing, in a process of their own: Dawn's null backend and a
 * real driver do not share one well.
 */

import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

import { allCases } from "../cases/index.ts";
import type { ContestantName } from "../core/contract.ts";
import type { MeasureSettings } from "../core/measure.ts";
import type { BenchRow, MachineLimits } from "../core/results.ts";
import { runBench } from "../core/run-bench.ts";
import type { Selection } from "../core/run-bench.ts";
import { loadContestants } from "./load-contestants.ts";
import { openNodeHost } from "./node-host.ts";

export interface NullDeviceJob {
  readonly selection: Selection;
  readonly contestants: readonly ContestantName[];
  readonly settings: MeasureSettings;
  readonly seed: number;
  readonly repetitionCount: number;
  readonly limits: MachineLimits;
}

/** What run.mjs sets for the bench's own process: a child does not inherit flags that were set at run time. */
const engineFlags = ["--no-wasm-tier-up", "--no-wasm-dynamic-tiering", "--expose-gc"];

/** Runs the job in a child process, and gives its rows. Rejects where the child fails. */
export function runOnNullDevice(job: NullDeviceJob): Promise<readonly BenchRow[]> {
  const child = fork(fileURLToPath(import.meta.url), [], {
    execArgv: [...process.execArgv, ...engineFlags],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  return new Promise((resolve, reject) => {
    let said = "";
    let rows: readonly BenchRow[] | undefined;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (said += text));
    child.on("message", (message) => (rows = message as readonly BenchRow[]));
    child.on("error", reject);
    child.on("close", (code) => {
      if (rows !== undefined) resolve(rows);
      else reject(new Error(`the null device's process ended with ${code}: ${said.trim()}`));
    });
    child.send(job);
  });
}

async function serve(job: NullDeviceJob): Promise<void> {
  const host = await openNodeHost("null");
  const { rows } = await runBench({
    host,
    cases: allCases.filter(({ where }) => where === "null-device"),
    contestants: await loadContestants(job.contestants),
    selection: job.selection,
    settings: job.settings,
    seed: job.seed,
    repetitionCount: job.repetitionCount,
    limits: job.limits,
  });
  process.send?.(rows, () => process.exit(0));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.once("message", (job) => {
    serve(job as NullDeviceJob).catch((error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    });
  });
}
