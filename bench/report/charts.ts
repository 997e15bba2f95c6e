/** Which plots a suite gets: by what its cases' work is, and how many sizes they have. */

import type { BenchResult, BenchRow, MemorySeries } from "../core/results.ts";
import { barPlot, dotPlot } from "./bars.ts";
import type { Bar, DotRow } from "./bars.ts";
import { byCase, byProblem, grouped } from "./grouping.ts";
import { slotOf } from "./looks.ts";
import { escapeHtml } from "./markup.ts";
import { linePlot } from "./plots.ts";
import type { Axis, LinePlot, LineSeries } from "./plots.ts";
import { amountOf, formatMeasure, formatRate, limitOf, rateKindOf, rateOf } from "./rates.ts";
import type { RateKind } from "./rates.ts";
import { plainForm } from "./scales.ts";
import type { AxisForm } from "./scales.ts";
import { thinned } from "./thinning.ts";
import { formatBytes, formatFlops, formatNumber, formatRatio } from "./units.ts";

const micro = "\u00b5s";
const bytesForm: AxisForm = { base: 2, label: formatBytes };
const flopsForm: AxisForm = { base: 10, label: (flops) => shortFlops(flops) };

/** The plots of one suite's rows, as figures. */
export function suitePlots(rows: readonly BenchRow[], result: BenchResult): string[] {
  const cases = byCase(rows);
  return [
    ratioFigure(rows),
    ...cases.map((of) => lineFigure(of, result)),
    ...cases.flatMap((of) => memoryFigures(of)),
    ...memorySeriesOf(rows, result).map(overTimeFigure),
  ].filter((made) => made !== "");
}

interface Rate {
  readonly about: string;
  readonly yTitle: string;
  /** What one unit of the axis is. */
  readonly unit: number;
  readonly xTitle: string;
  readonly xForm: AxisForm;
}

const rates: Readonly<Record<Exclude<RateKind, "memory">, Rate>> = {
  bytes: bandwidth("achieved bandwidth", "bytes read and written on the device"),
  transfer: bandwidth("transfer rate", "bytes transferred"),
  host: bandwidth("bandwidth on the host", "bytes read and written on the host"),
  flops: {
    about: "arithmetic rate",
    yTitle: "GFLOP/s",
    unit: 1e9,
    xTitle: "floating-point operations",
    xForm: flopsForm,
  },
  operation: {
    about: "time of one operation",
    yTitle: `${micro} per operation`,
    unit: 1e-3,
    xTitle: "operations in one iteration",
    xForm: plainForm,
  },
  time: { about: "time", yTitle: "ms", unit: 1, xTitle: "size", xForm: plainForm },
};

function bandwidth(about: string, xTitle: string): Rate {
  return { about, yTitle: "GB/s", unit: 1e9, xTitle, xForm: bytesForm };
}

/** Nothing for a case of one size, or one that measures bytes. */
function lineFigure(rows: readonly BenchRow[], { limits }: BenchResult): string {
  const kind = rateKindOf(rows);
  const problems = byProblem(rows);
  if (kind === "memory" || problems.length < 2) return "";
  const { about, yTitle, unit, xTitle, xForm } = rates[kind];
  const sizes = problems.map(([row]) => row!.size);
  const amounts = problems.map(([row]) => amountOf(row!, kind) ?? 0);
  // Sizes of equal work have no order on an axis of numbers.
  const isNamed = amounts.some((amount) => amount <= 0) || new Set(amounts).size < amounts.length;
  const series = grouped(rows, ({ contestant }) => contestant)
    .map(([first]): LineSeries => {
      const { contestant } = first!;
      const points = problems
        .map((problem, index) => {
          const row = problem.find((other) => other.contestant === contestant);
          const rate = row === undefined ? null : rateOf(row, kind);
          const shown = rate === null ? "" : formatRate(rate, kind, micro);
          return {
            x: isNamed ? index : amounts[index]!,
            y: rate === null ? null : rate / unit,
            tip: `${contestant}, ${sizes[index]}: ${shown}`,
          };
        })
        .toSorted((a, b) => a.x - b.x);
      return { name: contestant, slot: slotOf(contestant), points };
    })
    .filter(({ points }) => points.some(({ y }) => y !== null));
  if (series.length === 0) return "";
  const limit = limitOf(kind, limits);
  const name = rows[0]!.case;
  const x: Axis = isNamed
    ? { title: "size", form: plainForm, names: sizes }
    : { title: xTitle, form: xForm, isLog: true };
  const plot: LinePlot = {
    about: `${name}: ${about} in ${yTitle} by size, a line for each contestant`,
    series,
    x,
    y: { title: yTitle, form: plainForm },
    ...(limit !== null && { limit: { value: limit / unit, label: "limit" } }),
  };
  const notes = limit === null ? [] : [`${limitName(kind)} ${formatRate(limit, kind)}.`];
  return figure(name, about, linePlot(plot), [...notes, ...missing(rows)]);
}

function limitName(kind: RateKind): string {
  if (kind === "flops") return "Limit: multiply-adds at";
  return kind === "bytes" ? "Limit: copying on the device at" : "Limit: copying on the host at";
}

function missing(rows: readonly BenchRow[]): string[] {
  const sizeCount = byProblem(rows).length;
  const absent = grouped(
    rows.filter(({ failure }) => failure !== null),
    ({ contestant }) => contestant,
  ).map(
    (of) =>
      `${of[0]!.contestant} at ${of.length === sizeCount ? "any size" : of.map(({ size }) => size).join(", ")}`,
  );
  return absent.length === 0 ? [] : [`No point: ${absent.join("; ")}.`];
}

/** Every case at its largest size: how fast each contestant is beside raw. */
function ratioFigure(rows: readonly BenchRow[]): string {
  const dots = byCase(rows).flatMap((of): DotRow[] => {
    const last = byProblem(of).findLast((problem) =>
      problem.some(({ contestant, ratioToRaw }) => contestant !== "raw" && (ratioToRaw ?? 0) > 0),
    );
    if (last === undefined) return [];
    const { case: name, size } = last[0]!;
    const isOneSize = byProblem(of).length === 1;
    return [
      {
        name,
        dots: last.flatMap(({ contestant, ratioToRaw }) =>
          ratioToRaw === null || ratioToRaw <= 0 || contestant === "raw"
            ? []
            : [
                {
                  slot: slotOf(contestant),
                  value: ratioToRaw,
                  tip: `${contestant}, ${name}${isOneSize ? "" : ` ${size}`}: ${formatRatio(ratioToRaw)} of raw`,
                },
              ],
        ),
      },
    ];
  });
  if (dots.length === 0) return "";
  const isBytes = rows.every(({ unit }) => unit === "bytes");
  const about = `${isBytes ? "bytes" : "speed"} beside raw, each at its largest size`;
  const title = isBytes ? "raw's bytes \u00f7 own bytes" : "raw's time \u00f7 own time";
  const note = `Right of the upright line is ${isBytes ? "less" : "faster"} than raw.`;
  // A tall plot stands beside several rows of others.
  return figure(
    "All cases",
    about,
    dotPlot(about, dots, title),
    [note],
    Math.ceil(dots.length / 12),
  );
}

/** Peak and held bytes, in the suites that are about memory. */
function memoryFigures(rows: readonly BenchRow[]): string[] {
  const isAbout = rows.some(({ suite, unit }) => suite === "memory" || unit === "bytes");
  if (!isAbout) return [];
  return byProblem(rows).map((problem) => {
    const { case: name, size } = problem[0]!;
    const groups = problem.map((row) => ({
      name: row.contestant,
      slot: slotOf(row.contestant),
      ...(row.failure !== null && { missing: row.failure }),
      bars: barsOf(row),
    }));
    const plot = barPlot(`${name} ${size}: device bytes by contestant`, groups, bytesForm);
    return figure(`${name} ${size}`, "device bytes", plot, []);
  });
}

function barsOf(row: BenchRow): Bar[] {
  const { median, unit, peakDeviceBytes: peak, heldDeviceBytes: held } = row;
  const bars: Bar[] = [];
  const isOwn = unit === "bytes" && median !== null && median !== peak && median !== held;
  if (isOwn) bars.push({ value: median, label: `${formatBytes(median)} measured`, look: "solid" });
  const look = isOwn ? "pale" : "solid";
  if (peak !== null) bars.push({ value: peak, label: `${formatBytes(peak)} peak`, look });
  if (held !== null) bars.push({ value: held, label: `${formatBytes(held)} held`, look: "hollow" });
  return bars;
}

function memorySeriesOf(
  rows: readonly BenchRow[],
  { memoryOverTime }: BenchResult,
): MemorySeries[][] {
  const names = new Set(rows.map((row) => row.case));
  return grouped(
    (memoryOverTime ?? []).filter((series) => names.has(series.case) && series.points.length > 0),
    (series) => JSON.stringify([series.case, series.size]),
  );
}

function overTimeFigure(group: readonly MemorySeries[]): string {
  const { case: name, size } = group[0]!;
  // Of several repetitions the last.
  const latest = grouped(group, ({ contestant }) => contestant).map((of) => of.at(-1)!);
  const series = latest.map(({ contestant, points }): LineSeries => ({
    name: contestant,
    slot: slotOf(contestant),
    points: thinned(points, 120).map(({ milliseconds, liveBytes }) => ({
      x: milliseconds,
      y: Math.max(0, liveBytes),
      tip: `${contestant}, ${formatMeasure(milliseconds, "ms", micro)}: ${formatBytes(liveBytes)}`,
    })),
  }));
  const plot = linePlot({
    about: `${name} ${size}: live device bytes over time`,
    series,
    x: { title: "ms", form: plainForm },
    y: { title: "live device bytes", form: bytesForm, isLog: false },
    isStepped: true,
  });
  return figure(`${name} ${size}`, "memory over time", plot, []);
}

function figure(
  name: string,
  about: string,
  plot: string,
  notes: readonly string[],
  tall = 1,
): string {
  const note = notes.length === 0 ? "" : `<p class="note">${escapeHtml(notes.join(" "))}</p>`;
  const title = `<b>${escapeHtml(name)}</b> <span class="soft">${escapeHtml(about)}</span>`;
  const style = tall > 1 ? ` style="grid-row:span ${tall}"` : "";
  return `<figure${style}><figcaption>${title}</figcaption>${plot}${note}</figure>`;
}

/** "10 M", since the axis says what of. */
function shortFlops(flops: number): string {
  const [value = "", unit = ""] = formatFlops(flops).split(" ");
  return `${formatNumber(Number(value)).replace(/\.0+$/, "")} ${unit.replace("FLOP", "")}`.trim();
}
