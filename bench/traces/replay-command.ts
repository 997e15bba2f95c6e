/** `npm run bench -- --replay SOURCE`, in Node: a trace file, a generator by name, or all of them. */

import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";

import type { BenchHost } from "../core/contract.ts";
import { CommandError } from "../node/command-line.ts";
import { compareAllocators } from "./compare.ts";
import type { ReplayComparison } from "./compare.ts";
import { allContenders } from "./contenders.ts";
import { fragmentationOf } from "./fragmentation.ts";
import type { Fragmentation } from "./fragmentation.ts";
import { findGenerator, traceGenerators } from "./generate.ts";
import { formatFragmentation, formatOverheads, formatReplay } from "./replay-table.ts";
import { readTrace, writeTrace } from "./trace-file.ts";
import { TraceError } from "./trace.ts";
import type { Trace } from "./trace.ts";

export interface ReplayCommandOptions {
  /** A file, the name of a generator, or `all`. */
  readonly source: string;
  readonly host: BenchHost;
  readonly seed: number;
  readonly print: (line: string) => void;
  /** Every figure is written there. */
  readonly jsonFile?: string;
  /** The trace itself is written there, where there is one. */
  readonly traceFile?: string;
  /** Default 3. */
  readonly repetitionCount?: number;
}

/** What `jsonFile` gets. */
export interface ReplayReport {
  readonly format: "moorage-replay";
  readonly comparisons: readonly ReplayedTrace[];
}

export interface ReplayedTrace extends ReplayComparison {
  /** Of Moorage's general heap under the same trace. */
  readonly fragmentation: Fragmentation;
}

/** @throws CommandError for a source that is none, and for a file that cannot be read as a trace */
export async function replayCommand(options: ReplayCommandOptions): Promise<void> {
  const { host, print, traceFile } = options;
  const sources = findSources(options);
  if (traceFile !== undefined && sources.length > 1) {
    throw new CommandError(
      `${sources.length} traces do not go into one file: name one of ${generatorNames()}`,
    );
  }
  const contenders = allContenders(host);
  for (const { name, about } of contenders) print(`${name}: ${about}`);
  const comparisons: ReplayedTrace[] = [];
  for (const load of sources) {
    if (host.isInterrupted()) break;
    const trace = await load();
    if (traceFile !== undefined) await writeTrace(traceFile, trace);
    const comparison = await compareAllocators(trace, contenders, {
      now: () => host.now(),
      isInterrupted: () => host.isInterrupted(),
      ...(options.repetitionCount !== undefined && { repetitionCount: options.repetitionCount }),
    });
    const fragmentation = fragmentationOf(trace);
    comparisons.push({ ...comparison, fragmentation });
    for (const line of ["", ...formatReplay(comparison), formatFragmentation(fragmentation)])
      print(line);
  }
  if (comparisons.length > 1) for (const line of ["", ...formatOverheads(comparisons)]) print(line);
  if (options.jsonFile !== undefined) {
    const report: ReplayReport = { format: "moorage-replay", comparisons };
    await writeFile(options.jsonFile, `${JSON.stringify(report, null, 1)}\n`);
  }
}

function findSources({ source, seed }: ReplayCommandOptions): (() => Promise<Trace>)[] {
  const made = source === "all" ? traceGenerators : [findGenerator(source)];
  const found = made.filter((generator) => generator !== undefined);
  if (found.length > 0) {
    return found.map((generator) => () => Promise.resolve(generator.generate(seed)));
  }
  if (existsSync(source)) return [async () => await readFileOf(source)];
  throw new CommandError(
    `"${source}" is neither a trace file nor a generator; the generators are ${generatorNames()}, and all`,
  );
}

async function readFileOf(path: string): Promise<Trace> {
  try {
    return await readTrace(path);
  } catch (error) {
    if (error instanceof TraceError || (error as NodeJS.ErrnoException).code !== undefined)
      throw new CommandError(`${path}: ${(error as Error).message}`);
    throw error;
  }
}

function generatorNames(): string {
  return traceGenerators.map(({ name }) => name).join(", ");
}
