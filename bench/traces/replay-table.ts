/** Replays as tables for a terminal. */

import { formatBytes } from "moorage";

import type { ReplayComparison } from "./compare.ts";
import type { Fragmentation } from "./fragmentation.ts";
import type { ReplayResult } from "./replay.ts";

interface Column {
  readonly head: string;
  cell(result: ReplayResult): string;
}

const columns: readonly Column[] = [
  { head: "allocator", cell: ({ name }) => name },
  { head: "peak", cell: ({ peakReservedBytes }) => formatBytes(peakReservedBytes) },
  { head: "x live", cell: ({ overhead }) => formatRatio(overhead) },
  { head: "at end", cell: ({ endReservedBytes }) => formatBytes(endReservedBytes) },
  {
    head: "trimmed",
    cell: ({ trimmedReservedBytes: bytes }) => (bytes === null ? "-" : formatBytes(bytes)),
  },
  { head: "made", cell: ({ bufferCreates }) => String(bufferCreates) },
  { head: "destroyed", cell: ({ bufferDestroys }) => String(bufferDestroys) },
  {
    head: "hits",
    cell: ({ cacheHits, bufferCreates }) => {
      const share = cacheHits / Math.max(1, cacheHits + bufferCreates);
      return `${(100 * share).toFixed(1)} %`;
    },
  },
  { head: "time", cell: ({ milliseconds }) => formatMilliseconds(milliseconds) },
  {
    head: "events/s",
    cell: ({ eventsPerSecond: rate }) => (rate === null ? "-" : `${formatRatio(rate / 1e6)} M`),
  },
];

/** What was replayed, a row for each allocator, and why some have no time. */
export function formatReplay({ trace, results }: ReplayComparison): string[] {
  const failures = results.filter(({ failure }) => failure !== null);
  return [
    `${trace.generator}, seed ${trace.seed}: ${trace.architecture}`,
    `${trace.eventCount} events, at most ${formatBytes(trace.peakLiveBytes)} live`,
    ...layOut([
      columns.map(({ head }) => head),
      ...results.map((result) =>
        columns.map((column) => (hasRun(result) ? column.cell(result) : firstOnly(column, result))),
      ),
    ]),
    ...failures.map(({ name, failure }) => `  ${name}: ${failure}`),
  ];
}

/** Of several traces: the most bytes reserved over the most bytes live, by allocator. */
export function formatOverheads(comparisons: readonly ReplayComparison[]): string[] {
  const names = comparisons[0]?.results.map(({ name }) => name) ?? [];
  return [
    "Most bytes reserved over most bytes live",
    ...layOut([
      ["trace", ...names],
      ...comparisons.map(({ trace, results }) => [
        trace.generator,
        ...results.map((result) => (hasRun(result) ? formatRatio(result.overhead) : "-")),
      ]),
    ]),
  ];
}

/** Of the general heap on the host, which no contender is: its blocks move. */
export function formatFragmentation({ average, worst, collections, scale }: Fragmentation): string {
  const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;
  const scaled = scale === 1 ? "" : `, sizes divided by ${scale}`;
  return `  Moorage's general heap after compaction: ${percent(average)} of what it holds is free, ${percent(worst)} at worst (${collections} collections${scaled})`;
}

/** Every allocator makes some buffer for a trace. */
function hasRun({ bufferCreates }: ReplayResult): boolean {
  return bufferCreates > 0;
}

function firstOnly(column: Column, result: ReplayResult): string {
  return column === columns[0] ? column.cell(result) : "-";
}

/** The first column to the left, the others to the right. */
function layOut(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
    );
    return `  ${cells.join("  ")}`.trimEnd();
  });
}

/** Three digits. */
function formatRatio(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function formatMilliseconds(milliseconds: number | null): string {
  if (milliseconds === null) return "-";
  if (milliseconds >= 1000) return `${formatRatio(milliseconds / 1000)} s`;
  return `${formatRatio(milliseconds)} ms`;
}
