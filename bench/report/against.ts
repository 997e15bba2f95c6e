/**
 * This run against an earlier one. What is compared is first the ratio to raw, since machines differ
 * and change; the median only where there is no such ratio, and for raw itself.
 */

import { rowKey } from "../core/results.ts";
import type { BenchResult, BenchRow } from "../core/results.ts";
import { grouped } from "./grouping.ts";
import { formatMeasure } from "./rates.ts";
import { layOut, paint, printable, widthOf, wrap } from "./terminal.ts";
import type { Cell, Column, Line, TextOptions, Tone } from "./terminal.ts";
import { formatPercent, formatRatio } from "./units.ts";

/**
 * In the order in which they are told. `gone` is in the earlier run only, `new` in this one only.
 */
export type Verdict =
  | "fails now"
  | "worse"
  | "better"
  | "works now"
  | "gone"
  | "new"
  | "still fails"
  | "same";

export const verdicts: readonly Verdict[] = [
  "fails now",
  "worse",
  "better",
  "works now",
  "gone",
  "new",
  "still fails",
  "same",
];

export interface Comparison {
  readonly verdict: Verdict;
  /** Of either run; of this one where it is in both. */
  readonly row: BenchRow;
  readonly now: BenchRow | null;
  readonly earlier: BenchRow | null;
  /** Now over earlier: above 1 is better now. */
  readonly ratioChange: number | null;
  /** Of speed, or of thrift: earlier over now. Above 1 is better now. */
  readonly medianChange: number | null;
  /** What the verdict is taken from. */
  readonly basis: "ratio to raw" | "median" | null;
  /** A change is beyond noise outside of 1 / (1 + noise) to 1 + noise. */
  readonly noise: number | null;
}

/** Sorted by verdict, Moorage before the others, then by the size of the change. */
export function compare(now: BenchResult, earlier: BenchResult): Comparison[] {
  const before = new Map(earlier.cases.map((row) => [keyOf(row), row]));
  const after = new Map(now.cases.map((row) => [keyOf(row), row]));
  const comparisons = now.cases.map((row) => {
    const old = before.get(keyOf(row));
    return old === undefined ? alone("new", row) : both(row, old);
  });
  for (const row of earlier.cases) if (!after.has(keyOf(row))) comparisons.push(alone("gone", row));
  return comparisons.toSorted(
    (a, b) =>
      verdicts.indexOf(a.verdict) - verdicts.indexOf(b.verdict) ||
      Number(isMoorage(b)) - Number(isMoorage(a)) ||
      sizeOfChange(b) - sizeOfChange(a),
  );
}

/** What makes two runs hard to compare: one sentence each. */
export function differencesOfRuns(now: BenchResult, earlier: BenchResult): string[] {
  const pairs: readonly (readonly [what: string, now: string, earlier: string])[] = [
    ["platform", now.machine.platform, earlier.machine.platform],
    ["processor", now.machine.processor, earlier.machine.processor],
    ["cores", String(now.machine.coreCount), String(earlier.machine.coreCount)],
    ["engine", now.machine.engine, earlier.machine.engine],
    ["adapter", now.adapter, earlier.adapter],
    ["waiting", now.wait, earlier.wait],
    ["mode", modeOf(now), modeOf(earlier)],
    ...now.contestants.flatMap(({ name, title }) => {
      const old = earlier.contestants.find((other) => other.name === name);
      return old === undefined ? [] : [[name, title, old.title] as const];
    }),
  ];
  return pairs
    .filter(([, a, b]) => a !== b)
    .map(([what, a, b]) => `${what}: now ${a}, earlier ${b}`);
}

function both(now: BenchRow, earlier: BenchRow): Comparison {
  const row = { row: now, now, earlier };
  if (now.failure !== null || earlier.failure !== null) {
    const verdict =
      now.failure === null ? "works now" : earlier.failure === null ? "fails now" : "still fails";
    return { verdict, ...row, ...nothing };
  }
  const ratioChange = quotient(now.ratioToRaw, earlier.ratioToRaw);
  const medianChange = quotient(earlier.median, now.median);
  const isByRatio = ratioChange !== null && now.contestant !== "raw";
  const change = isByRatio ? ratioChange : medianChange;
  const noise = noiseOf(now, earlier);
  const verdict =
    change === null
      ? "same"
      : change > 1 + noise
        ? "better"
        : change < 1 / (1 + noise)
          ? "worse"
          : "same";
  const basis = change === null ? null : isByRatio ? "ratio to raw" : "median";
  return { verdict, ...row, ratioChange, medianChange, basis, noise };
}

/**
 * Both spreads together: within them the middle halves of the samples still touch. Short times are
 * noisier than their spread says; bytes hardly vary at all.
 */
function noiseOf(now: BenchRow, earlier: BenchRow): number {
  const spreads = (now.spread ?? 0) + (earlier.spread ?? 0);
  if (now.unit === "bytes") return Math.max(0.01, spreads);
  const isLong = Math.min(now.median ?? 0, earlier.median ?? 0) > 1;
  return Math.max(isLong ? 0.05 : 0.1, spreads);
}

const nothing = { ratioChange: null, medianChange: null, basis: null, noise: null } as const;

function alone(verdict: "new" | "gone", row: BenchRow): Comparison {
  const isNow = verdict === "new";
  return { verdict, row, now: isNow ? row : null, earlier: isNow ? null : row, ...nothing };
}

/** Null where either is missing, and of nothing to nothing. */
function quotient(a: number | null, b: number | null): number | null {
  if (a === null || b === null || (a === 0 && b === 0)) return null;
  return a / b;
}

function isMoorage({ row }: Comparison): boolean {
  return row.contestant === "moorage";
}

function sizeOfChange({ ratioChange, medianChange, basis }: Comparison): number {
  const change = (basis === "median" ? medianChange : ratioChange) ?? 1;
  return Math.abs(Math.log(change));
}

function keyOf(row: BenchRow): string {
  return `${rowKey(row)}/${row.contestant}`;
}

function modeOf({ machine }: BenchResult): string {
  return machine.quick ? "quick" : "full";
}

const titles: Readonly<Record<Verdict, string>> = {
  "fails now": "Fails now, and did not before",
  worse: "Worse, beyond noise",
  better: "Better, beyond noise",
  "works now": "Works now, and did not before",
  gone: "Only in the earlier run",
  new: "Only in this run",
  "still fails": "Fails in both",
  same: "Same, within noise",
};

const tones: Readonly<Partial<Record<Verdict, Tone>>> = {
  "fails now": "bad",
  worse: "bad",
  better: "good",
  "works now": "good",
};

/** `differences` as `differencesOfRuns` gives them; they come first, since they say what the rest is worth. */
export function formatComparison(
  comparisons: readonly Comparison[],
  differences: readonly string[] = [],
  options: TextOptions = {},
): string {
  const byVerdict = new Map(
    grouped(comparisons, ({ verdict }) => verdict).map((group) => [group[0]!.verdict, group]),
  );
  const counts = verdicts
    .filter((verdict) => byVerdict.has(verdict))
    .map((verdict) => `${byVerdict.get(verdict)!.length} ${verdict}`);
  const summary = counts.length === 0 ? "nothing to compare" : counts.join(", ");
  const [first = "", ...more] = wrap(`Against the earlier run: ${summary}`, widthOf(options));
  const blocks = [[paint(first, "strong", options), ...more].join("\n")];
  if (differences.length > 0) {
    const lines = differences.flatMap((text) => hanging(text, "  ", options));
    blocks.push([paint("The runs differ", "strong", options), ...lines].join("\n"));
  }
  for (const verdict of verdicts) {
    const group = byVerdict.get(verdict);
    if (group === undefined || verdict === "same" || verdict === "still fails") continue;
    const title = paint(
      `${titles[verdict]} (${group.length})`,
      tones[verdict] ?? "strong",
      options,
    );
    blocks.push([title, ...linesOf(verdict, group, options)].join("\n"));
  }
  return blocks.join("\n\n");
}

function linesOf(verdict: Verdict, group: readonly Comparison[], options: TextOptions): string[] {
  if (verdict === "worse" || verdict === "better") return changes(group, options);
  if (verdict === "fails now")
    return group.flatMap(({ row }) =>
      hanging(
        `${nameOf(row)}, ${row.contestant}: "${printable(row.failure ?? "")}"`,
        "  ",
        options,
      ),
    );
  // Whole suites come and go with a selection; one line to a problem is enough.
  return grouped(group, ({ row }) => nameOf(row)).flatMap((rows) => {
    const names = rows.map(({ row }) => row.contestant).join(", ");
    return hanging(`${nameOf(rows[0]!.row)}: ${names}`, "  ", options);
  });
}

const columns: readonly Column[] = [
  { head: "", width: 0, side: "left" },
  { head: "", width: 9, side: "left" },
  { head: "x raw", width: 14, side: "right" },
  { head: "change", width: 6, side: "right" },
  { head: "median", width: 19, side: "right" },
  { head: "change", width: 6, side: "right" },
  { head: "noise", width: 6, side: "right" },
];

function changes(group: readonly Comparison[], options: TextOptions): string[] {
  const room = Math.max(12, widthOf(options) - 79);
  const lines = group.map((comparison): Line => {
    const { row, now, earlier, ratioChange, medianChange, basis, noise } = comparison;
    const tone = tones[comparison.verdict];
    const change = (value: number | null, isBasis: boolean): Cell => ({
      text: value === null ? "-" : signed(value),
      ...(isBasis && tone !== undefined && { tone }),
    });
    return [
      { text: shortName(row, room) },
      { text: printable(row.contestant) },
      { text: `${ratio(earlier)} -> ${ratio(now).padStart(5)}` },
      change(ratioChange, basis === "ratio to raw"),
      { text: `${medianOf(earlier)} -> ${medianOf(now).padStart(8)}` },
      change(medianChange, basis === "median"),
      { text: noise === null ? "-" : formatPercent(noise) },
    ];
  });
  return layOut(columns, lines, options).map((line) => `  ${line}`);
}

/** "+12 %" is better by so much. */
function signed(change: number): string {
  if (change === 0) return "from 0";
  if (!Number.isFinite(change)) return "to 0";
  if (change >= 10) return `x ${change.toFixed(0)}`;
  const percent = (change - 1) * 100;
  if (Math.abs(percent) < 0.05) return "0 %";
  return `${percent < 0 ? "" : "+"}${percent.toFixed(Math.abs(percent) < 9.95 ? 1 : 0)} %`;
}

function hanging(text: string, indent: string, options: TextOptions): string[] {
  return wrap(text, widthOf(options) - 2 * indent.length).map((line, at) =>
    at === 0 ? indent + line : indent + indent + line,
  );
}

/** The size is kept, where both do not fit: it tells the lines of a case apart. */
function shortName(row: BenchRow, room: number): string {
  const name = nameOf(row);
  if (name.length <= room) return name;
  const size = printable(row.size).slice(0, Math.floor(room / 2));
  return `${printable(row.case).slice(0, room - size.length - 3)}.. ${size}`;
}

function nameOf(row: BenchRow): string {
  return printable(`${row.case} ${row.size}`);
}

function ratio(row: BenchRow | null): string {
  const value = row?.ratioToRaw ?? null;
  return value === null ? "-" : formatRatio(value);
}

function medianOf(row: BenchRow | null): string {
  const value = row?.median ?? null;
  return value === null || row === null ? "-" : formatMeasure(value, row.unit);
}
