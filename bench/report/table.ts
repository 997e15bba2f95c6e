/** The report for a terminal: where Moorage loses, the machine's limits, then every problem's rows. */

import type { BenchResult, BenchRow, ContestantInfo } from "../core/results.ts";
import { byCase, byProblem, bySuite } from "./grouping.ts";
import { moorageProblemCount, whereWeLose } from "./losses.ts";
import type { Loss } from "./losses.ts";
import { formatMeasure, formatRate, rateKindOf, rateOf } from "./rates.ts";
import type { RateKind } from "./rates.ts";
import { layOut, paint, printable, widthOf, wrap } from "./terminal.ts";
import type { Cell, Column, Line, TextOptions, Tone } from "./terminal.ts";
import {
  formatBytes,
  formatBytesPerSecond,
  formatCount,
  formatFlopsPerSecond,
  formatPercent,
  formatRatio,
} from "./units.ts";

interface Field extends Column {
  /** Only where there is room; a result's JSON has it in any case. */
  readonly isWide?: boolean;
  cell(row: BenchRow, kind: RateKind): string;
  tone?(row: BenchRow): Tone | undefined;
}

const roomForAll = 122;

const fields: readonly Field[] = [
  { ...right("median", 8), cell: (row) => measure(row, row.median) },
  { ...right("min", 8), isWide: true, cell: (row) => measure(row, row.min) },
  { ...right("max", 8), isWide: true, cell: (row) => measure(row, row.max) },
  { ...right("spread", 6), cell: ({ spread }) => shown(spread, formatPercent) },
  {
    ...right("x raw", 5),
    cell: ({ ratioToRaw }) => shown(ratioToRaw, formatRatio),
    tone: ({ ratioToRaw }) => (ratioToRaw !== null && ratioToRaw < 0.9 ? "bad" : undefined),
  },
  {
    ...right("x peer", 5),
    cell: ({ ratioToBestPeer }) => shown(ratioToBestPeer, formatRatio),
    tone: ({ ratioToBestPeer }) =>
      ratioToBestPeer !== null && ratioToBestPeer < 1 ? "bad" : undefined,
  },
  { ...right("limit", 5), cell: ({ fractionOfLimit }) => shown(fractionOfLimit, formatPercent) },
  {
    ...right("rate", 11),
    // The measure itself needs no second column.
    cell: (row, kind) =>
      kind === "time" || kind === "memory"
        ? ""
        : shown(rateOf(row, kind), (rate) => formatRate(rate, kind)),
  },
  { ...right("peak", 8), cell: ({ peakDeviceBytes }) => shown(peakDeviceBytes, formatBytes) },
  { ...right("held", 8), cell: ({ heldDeviceBytes }) => shown(heldDeviceBytes, formatBytes) },
  { ...right("bufs", 4), cell: ({ buffersCreated }) => shown(buffersCreated, formatCount) },
  { ...right("groups", 6), cell: ({ bindGroupsCreated }) => shown(bindGroupsCreated, formatCount) },
];

/** Everything, opening with where Moorage loses. */
export function formatReport(result: BenchResult, options: TextOptions = {}): string {
  const blocks = [formatLosses(result, options), formatLimits(result, options)];
  const words =
    "x raw, x peer: speed over raw's and over the best peer's, above 1 is faster (for bytes: less); " +
    "limit: share of what the machine can do; spread: half the distance of the quartiles; peak and " +
    "held: device bytes while it ran and after disposal; bufs, groups: buffers and bind groups made " +
    "for each iteration.";
  blocks.push(
    wrap(words, widthOf(options))
      .map((line) => paint(line, "soft", options))
      .join("\n"),
  );
  for (const suite of bySuite(result.cases)) {
    const name = printable(suite[0]!.suite);
    blocks.push(paint(`${name}\n${"=".repeat(name.length)}`, "strong", options));
    for (const rows of byCase(suite)) {
      const kind = rateKindOf(rows);
      for (const problem of byProblem(rows))
        blocks.push(problemTable(problem, result.contestants, kind, options));
    }
  }
  return blocks.join("\n\n");
}

/** One problem's rows under its name, in the order of the contestants. */
export function formatRows(
  rows: readonly BenchRow[],
  contestants: readonly ContestantInfo[],
  options: TextOptions = {},
): string {
  return problemTable(rows, contestants, rateKindOf(rows), options);
}

/** The losses alone, most serious first. */
export function formatLosses(result: BenchResult, options: TextOptions = {}): string {
  const losses = whereWeLose(result);
  const count = moorageProblemCount(result);
  const of = `${count} ${count === 1 ? "problem" : "problems"}`;
  const title = paint(`Where we lose: ${losses.length} of ${of}`, "strong", options);
  if (count === 0) return `${title}\n  Moorage took no part in this run.`;
  if (losses.length === 0)
    return `${title}\n  Not behind any peer, nor behind raw by more than 10 %, and nothing is missing.`;
  const digits = String(losses.length).length;
  const indent = digits + 4;
  const lines = losses.flatMap((loss, index) => {
    const number = `  ${String(index + 1).padStart(digits)}  `;
    return wrap(loss.sentence, widthOf(options) - indent).map(
      (line, at) => (at === 0 ? number : " ".repeat(indent)) + paint(line, toneOf(loss), options),
    );
  });
  return [title, ...lines].join("\n");
}

function formatLimits(
  { limits, machine, adapter, wait }: BenchResult,
  options: TextOptions,
): string {
  const gigabytes = formatBytes(machine.memoryBytes);
  const about = [
    ["device copy", `${formatBytesPerSecond(limits.deviceCopyBytesPerSecond)} read and written`],
    ["multiply-add", formatFlopsPerSecond(limits.fmaFlopsPerSecond)],
    ["host copy", `${formatBytesPerSecond(limits.hostCopyBytesPerSecond)} read and written`],
    ["adapter", adapter],
    ["waiting", wait],
    [
      "machine",
      `${machine.platform}, ${machine.processor}, ${machine.coreCount} cores, ${gigabytes}`,
    ],
    [
      "run",
      `${machine.date}, ${machine.engine}, ${machine.quick ? "quick" : "full"}, seed ${machine.seed}, ` +
        `${machine.repetitionCount} ${machine.repetitionCount === 1 ? "repetition" : "repetitions"}, ` +
        `${machine.seconds.toFixed(0)} s`,
    ],
  ] as const;
  const indent = 16;
  const lines = about.flatMap(([name, text]) =>
    wrap(text, widthOf(options) - indent).map(
      (line, at) => `  ${(at === 0 ? name : "").padEnd(indent - 2)}${line}`,
    ),
  );
  return [paint("Limits and machine", "strong", options), ...lines].join("\n");
}

function problemTable(
  rows: readonly BenchRow[],
  contestants: readonly ContestantInfo[],
  kind: RateKind,
  options: TextOptions,
): string {
  const [first] = rows;
  if (first === undefined) return "";
  const chosen = fields.filter(({ isWide }) => isWide !== true || widthOf(options) >= roomForAll);
  const columns: Column[] = [{ head: "", width: 9, side: "left" }, ...chosen];
  const order = contestants.map(({ name }) => name);
  const place = ({ contestant }: BenchRow): number =>
    order.includes(contestant) ? order.indexOf(contestant) : order.length;
  const lines = rows
    .toSorted((a, b) => place(a) - place(b))
    .map((row): Line => {
      const isOwn = row.contestant === "moorage";
      const name: Cell = { text: printable(row.contestant), ...(isOwn && { tone: "strong" }) };
      if (row.failure !== null) {
        const tone = isOwn ? "bad" : "soft";
        return { first: name, rest: { text: `"${printable(row.failure)}"`, tone } };
      }
      return [
        name,
        ...chosen.map((field): Cell => {
          const tone = isOwn ? (field.tone?.(row) ?? "strong") : undefined;
          return { text: field.cell(row, kind), ...(tone !== undefined && { tone }) };
        }),
      ];
    });
  const title = wrap(`${first.case} ${first.size}`, widthOf(options)).map((line) =>
    paint(line, "strong", options),
  );
  return [...title, ...layOut(columns, lines, options)].join("\n");
}

function toneOf({ kind, ratio }: Loss): Tone | undefined {
  return kind !== "behind" || (ratio ?? 1) < 0.9 ? "bad" : undefined;
}

function right(head: string, width: number): Column {
  return { head, width, side: "right" };
}

function measure({ unit }: BenchRow, value: number | null): string {
  return shown(value, (known) => formatMeasure(known, unit));
}

function shown(value: number | null, format: (value: number) => string): string {
  return value === null ? "-" : format(value);
}
