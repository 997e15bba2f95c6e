/** The tables of a page: an overview of a suite, and behind it every figure of each case. */

import type { BenchRow, ContestantInfo } from "../core/results.ts";
import { byCase, byProblem } from "./grouping.ts";
import { escapeHtml } from "./markup.ts";
import { formatMeasure, formatRate, rateKindOf, rateOf } from "./rates.ts";
import type { RateKind } from "./rates.ts";
import { formatBytes, formatCount, formatNumber, formatPercent, formatRatio } from "./units.ts";

const micro = "\u00b5s";

/** A line to each problem, a column to each contestant: the median, and under it the ratio to raw. */
export function overviewTable(
  rows: readonly BenchRow[],
  contestants: readonly ContestantInfo[],
): string {
  const present = contestants.filter(({ name }) => rows.some((row) => row.contestant === name));
  const head = present.map(({ name }) => `<th scope="col">${escapeHtml(name)}</th>`).join("");
  const bodies = byCase(rows).map((of) => {
    const lines = byProblem(of).map((problem, index) => {
      const best = Math.min(...problem.map(({ median }) => median ?? Number.POSITIVE_INFINITY));
      const cells = present.map(({ name }) =>
        overviewCell(
          problem.find(({ contestant }) => contestant === name),
          best,
        ),
      );
      const name = index === 0 ? `<b>${escapeHtml(problem[0]!.case)}</b>` : "";
      return `<tr><th scope="row">${name}<span>${escapeHtml(problem[0]!.size)}</span></th>${cells.join("")}</tr>`;
    });
    return `<tbody>${lines.join("")}</tbody>`;
  });
  return scrollable(
    "Overview",
    `<table class="overview"><thead><tr><th scope="col">case and size</th>${head}</tr></thead>${bodies.join("")}</table>`,
  );
}

function overviewCell(row: BenchRow | undefined, best: number): string {
  if (row === undefined) return '<td class="soft">\u2013</td>';
  const own = row.contestant === "moorage" ? " own" : "";
  if (row.failure !== null) {
    const text = escapeHtml(row.failure);
    return `<td class="fails${own}" title="${text}">${shortFailure(row.failure)}</td>`;
  }
  if (row.median === null) return "<td>\u2013</td>";
  const isBest = row.median === best;
  const value = escapeHtml(formatMeasure(row.median, row.unit, micro));
  const ratio =
    row.ratioToRaw === null || row.ratioToRaw === 0 || row.contestant === "raw"
      ? ""
      : `<span>${formatRatio(row.ratioToRaw)}\u00d7 raw</span>`;
  const marks = (isLosing(row) ? losesMark : "") + (isBest ? bestMark : "");
  return `<td class="${own.trim()}">${marks}${value}${ratio}</td>`;
}

/** Drawn by the style sheet: not every font has such signs. */
export const bestMark = '<i class="mark best" role="img" aria-label="best"></i>';
export const losesMark = '<i class="mark loses" role="img" aria-label="loses"></i>';

function isLosing({ contestant, ratioToRaw, ratioToBestPeer }: BenchRow): boolean {
  return contestant === "moorage" && ((ratioToRaw ?? 1) < 0.9 || (ratioToBestPeer ?? 1) < 1);
}

/** One word for a narrow cell; the whole text is in the case's own table. */
function shortFailure(failure: string): string {
  const beginning = failure.trimStart().toLowerCase();
  if (beginning.startsWith("not yet")) return "not yet";
  if (beginning.startsWith("left out")) return "left out";
  return beginning.startsWith("not run") ? "not run" : "fails";
}

interface DetailColumn {
  readonly head: string;
  cell(row: BenchRow, kind: RateKind): string;
}

const columns: readonly DetailColumn[] = [
  { head: "median", cell: (row) => measure(row, row.median) },
  { head: "min", cell: (row) => measure(row, row.min) },
  { head: "max", cell: (row) => measure(row, row.max) },
  { head: "spread", cell: ({ spread }) => shown(spread, formatPercent) },
  { head: "samples", cell: ({ samples, iterations }) => `${samples} \u00d7 ${iterations}` },
  { head: "\u00d7 raw", cell: ({ ratioToRaw }) => shown(ratioToRaw, formatRatio) },
  { head: "\u00d7 best peer", cell: ({ ratioToBestPeer }) => shown(ratioToBestPeer, formatRatio) },
  { head: "of limit", cell: ({ fractionOfLimit }) => shown(fractionOfLimit, formatPercent) },
  {
    head: "rate",
    cell: (row, kind) =>
      kind === "time" || kind === "memory"
        ? "\u2013"
        : shown(rateOf(row, kind), (rate) => formatRate(rate, kind, micro)),
  },
  { head: "peak", cell: ({ peakDeviceBytes }) => shown(peakDeviceBytes, formatBytes) },
  { head: "held", cell: ({ heldDeviceBytes }) => shown(heldDeviceBytes, formatBytes) },
  { head: "buffers", cell: ({ buffersCreated }) => shown(buffersCreated, formatCount) },
  { head: "bind groups", cell: ({ bindGroupsCreated }) => shown(bindGroupsCreated, formatCount) },
  { head: "pipelines", cell: ({ pipelinesCreated }) => shown(pipelinesCreated, formatCount) },
  { head: "heap", cell: ({ heapBytes }) => shown(heapBytes, formatBytes) },
  { head: "error", cell: ({ maxError }) => shown(maxError, formatError) },
];

/** Every figure of one case, closed until it is asked for. */
export function caseDetails(
  rows: readonly BenchRow[],
  contestants: readonly ContestantInfo[],
): string {
  const kind = rateKindOf(rows);
  const name = rows[0]!.case;
  const order = contestants.map((contestant) => contestant.name);
  const head = ["contestant", ...columns.map((column) => column.head), "variant"]
    .map((text) => `<th scope="col">${escapeHtml(text)}</th>`)
    .join("");
  const bodies = byProblem(rows).map((problem) => {
    const title = `<tr class="size"><th scope="rowgroup" colspan="${columns.length + 2}"><span>${escapeHtml(problem[0]!.size)}</span></th></tr>`;
    const lines = problem
      .toSorted((a, b) => order.indexOf(a.contestant) - order.indexOf(b.contestant))
      .map((row) => detailLine(row, kind));
    return `<tbody>${title}${lines.join("")}</tbody>`;
  });
  const table = `<table><thead><tr>${head}</tr></thead>${bodies.join("")}</table>`;
  return `<details><summary>${escapeHtml(name)}</summary>${scrollable(`Every figure: ${name}`, table)}</details>`;
}

function detailLine(row: BenchRow, kind: RateKind): string {
  const own = row.contestant === "moorage" ? ' class="own"' : "";
  const name = `<th scope="row">${escapeHtml(row.contestant)}</th>`;
  if (row.failure !== null) {
    const text = `<q>${escapeHtml(row.failure)}</q>`;
    return `<tr${own}>${name}<td class="failure" colspan="${columns.length + 1}">${text}</td></tr>`;
  }
  const cells = columns.map((column) => `<td>${escapeHtml(column.cell(row, kind))}</td>`).join("");
  return `<tr${own}>${name}${cells}<td class="text">${escapeHtml(row.variant ?? "")}</td></tr>`;
}

/** A box that scrolls sideways by itself, with the keyboard too, so that the page need not. */
function scrollable(label: string, table: string): string {
  return `<div class="scroll" tabindex="0" role="region" aria-label="${escapeHtml(label)}">${table}</div>`;
}

function measure({ unit }: BenchRow, value: number | null): string {
  return shown(value, (known) => formatMeasure(known, unit, micro));
}

function formatError(error: number): string {
  return error === 0 || error >= 0.01 ? formatNumber(error) : error.toExponential(1);
}

function shown(value: number | null, format: (value: number) => string): string {
  return value === null ? "\u2013" : format(value);
}
