/** The bench's command in Node. */

import { readFile, writeFile } from "node:fs/promises";

import { allCases } from "./cases/index.ts";
import { settingsOf } from "./core/measure.ts";
import type { BenchResult, BenchRow } from "./core/results.ts";
import { runBench, selectProblems } from "./core/run-bench.ts";
import type { Selection } from "./core/run-bench.ts";
import { CommandError, usage } from "./node/command-line.ts";
import type { BenchCommand } from "./node/command-line.ts";
import { loadContestants } from "./node/load-contestants.ts";
import { describeMachine } from "./node/machine.ts";
import { openNodeHost } from "./node/node-host.ts";
import { runOnNullDevice } from "./node/null-device.ts";
import { clearProgress, showProgress } from "./node/progress.ts";
import { writeFloor } from "./node/write-floor.ts";
import { compare, differencesOfRuns, formatComparison } from "./report/against.ts";
import { renderHtml } from "./report/html.ts";
import { formatReport } from "./report/table.ts";
import { replayCommand } from "./traces/replay-command.ts";

export { CommandError, readCommandLine } from "./node/command-line.ts";

/** Beside this file's source; compiled, it runs from a folder below. */
const floorFile = new URL("../floor.json", import.meta.url);

/** Runs a command; gives the process's exit code. */
export async function main(command: BenchCommand): Promise<number> {
  if (command.help) {
    process.stdout.write(usage);
    return 0;
  }
  if (command.list) {
    listCases(command);
    return 0;
  }
  if (command.writeFloor) {
    const host = await openNodeHost(command.adapter);
    await writeFloor(host, floorFile, command.seed);
    clearProgress();
    return host.isInterrupted() ? 130 : 0;
  }
  if (command.replay !== undefined) return await replay(command, command.replay);
  // Read before the run: a wrong file should not cost half an hour.
  const earlier = command.against === undefined ? undefined : await readResult(command.against);
  const { result, isInterrupted } = await run(command);
  // The figures first: no report may lose a long run.
  if (command.json !== undefined) {
    await writeFile(command.json, `${JSON.stringify(result, null, 1)}\n`);
  }
  if (command.html !== undefined) await writeFile(command.html, renderHtml(result));
  const { stdout } = process;
  const options = { color: stdout.isTTY, width: stdout.isTTY ? stdout.columns : 100 };
  stdout.write(`${formatReport(result, options)}\n`);
  if (earlier !== undefined) {
    const differences = differencesOfRuns(result, earlier);
    stdout.write(`\n${formatComparison(compare(result, earlier), differences, options)}\n`);
  }
  return isInterrupted ? 130 : 0;
}

async function run(
  command: BenchCommand,
): Promise<{ readonly result: BenchResult; readonly isInterrupted: boolean }> {
  const started = performance.now();
  const selection = selectionOf(command);
  requireProblems(selection);
  const host = await openNodeHost(command.adapter);
  const contestants = await loadContestants(command.contestants);
  const { seed, repetitionCount, quick, precision } = command;
  const settings = settingsOf(quick, precision);
  const onDevice = allCases.filter(({ where }) => where === undefined);
  const { limits, rows, memoryOverTime } = await runBench({
    host,
    cases: onDevice,
    contestants,
    selection,
    settings,
    seed,
    repetitionCount,
    onProgress: ({ done, total, what }) => showProgress(done, total, what),
  });
  const job = {
    selection,
    contestants: command.contestants,
    settings,
    seed,
    repetitionCount,
    limits,
  };
  let withoutDevice: readonly BenchRow[] = [];
  const onNull = allCases.filter(({ where }) => where === "null-device");
  if (selectProblems(onNull, selection).length > 0 && !host.isInterrupted()) {
    showProgress(0, 1, "recording, on the null device");
    withoutDevice = await runOnNullDevice(job);
  }
  clearProgress();
  const result: BenchResult = {
    machine: describeMachine({
      seed,
      quick,
      repetitionCount,
      seconds: (performance.now() - started) / 1000,
    }),
    adapter: host.description,
    wait: host.waitingPolicy,
    limits,
    contestants: contestants.map(({ name, kind, title }) => ({ name, kind, title })),
    cases: inOrder([...rows, ...withoutDevice]),
    memoryOverTime,
  };
  return { result, isInterrupted: host.isInterrupted() };
}

/** The null device's rows come last out of the run, and belong among the others. */
function inOrder(rows: readonly BenchRow[]): BenchRow[] {
  const places = new Map(allCases.map(({ name }, index) => [name, index]));
  return rows.toSorted((a, b) => places.get(a.case)! - places.get(b.case)!);
}

function selectionOf({ suites, cases, sizes, contestants, quick }: BenchCommand): Selection {
  return { suites, cases, sizes, contestants, quick };
}

function requireProblems(selection: Selection): void {
  if (selectProblems(allCases, selection).length > 0) return;
  throw new CommandError(
    "no case matches; `npm run bench -- --list` names them all (with --quick, those of a quick run)",
  );
}

function listCases(command: BenchCommand): void {
  for (const { benchCase, size } of selectProblems(allCases, selectionOf(command))) {
    process.stdout.write(
      `${benchCase.suite.padEnd(11)} ${benchCase.name.padEnd(44)} ${size.label}\n`,
    );
  }
}

async function replay(command: BenchCommand, source: string): Promise<number> {
  const host = await openNodeHost(command.adapter);
  await replayCommand({
    source,
    host,
    seed: command.seed,
    ...(command.traceFile === undefined ? {} : { traceFile: command.traceFile }),
    ...(command.repetitionCount > 1 ? { repetitionCount: command.repetitionCount } : {}),
    print: (line) => process.stdout.write(`${line}\n`),
    ...(command.json === undefined ? {} : { jsonFile: command.json }),
  });
  return host.isInterrupted() ? 130 : 0;
}

async function readResult(file: string): Promise<BenchResult> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new CommandError(`--against ${file} cannot be read: ${(error as Error).message}`);
  }
  try {
    const result = JSON.parse(text) as Partial<BenchResult>;
    const isResult = Array.isArray(result.cases) && Array.isArray(result.contestants);
    if (isResult && result.machine !== undefined) return result as BenchResult;
  } catch {
    // Said below, together with a file that is JSON and no result.
  }
  throw new CommandError(`--against ${file} is no result that --json wrote`);
}
