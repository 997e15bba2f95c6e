/**
 * The report as one HTML file that needs nothing else: no script, no network, no font. It opens with
 * where Moorage loses, then says what was measured on what, then goes through the suites.
 */

import type { BenchResult, BenchRow } from "../core/results.ts";
import { suitePlots } from "./charts.ts";
import { byCase, bySuite } from "./grouping.ts";
import { bestMark, caseDetails, losesMark, overviewTable } from "./html-tables.ts";
import { legend } from "./looks.ts";
import { moorageProblemCount, whereWeLose } from "./losses.ts";
import type { Loss } from "./losses.ts";
import { escapeHtml } from "./markup.ts";
import { styleSheet } from "./style.ts";
import { formatBytes, formatBytesPerSecond, formatFlopsPerSecond, formatRatio } from "./units.ts";

/** The policy forbids what the page does without anyway: a hostile label could load nothing. */
const head = `<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>Moorage's bench</title>`;

/** The whole document. */
export function renderHtml(result: BenchResult): string {
  const suites = bySuite(result.cases);
  return `<!doctype html>
<html lang="en">
<head>
${head}
<style>${styleSheet}</style>
</head>
<body>
<header>
<h1>Moorage's bench</h1>
<p class="soft">${escapeHtml(result.adapter)}, ${escapeHtml(result.machine.date)}</p>
</header>
<main>
${lossSection(result)}
${runSection(result)}
${suiteLinks(suites)}
${suites.map((rows, index) => suiteSection(rows, index, result)).join("\n")}
</main>
</body>
</html>
`;
}

function lossSection(result: BenchResult): string {
  const losses = whereWeLose(result);
  const count = moorageProblemCount(result);
  const summary =
    count === 0
      ? "Moorage took no part in this run."
      : losses.length === 0
        ? `In none of ${count} problems: not behind any peer, not behind raw by more than 10 %, and nothing is missing.`
        : `${losses.length} of ${count} problems: not there yet, behind raw by more than 10 %, or behind the best peer at all.`;
  const list =
    losses.length === 0 ? "" : `<ol class="losses">${losses.map(lossItem).join("")}</ol>`;
  return `<section><h2>Where we lose</h2><p>${summary}</p>${list}</section>`;
}

function lossItem({ kind, ratio, row, sentence }: Loss): string {
  const badge =
    ratio === null ? (kind === "not-yet" ? "not yet" : "fails") : `${formatRatio(ratio)}\u00d7`;
  const isGrave = kind !== "behind" || (ratio ?? 1) < 0.9;
  const name = escapeHtml(`${row.case} ${row.size}`);
  // Both are escaped alike, so the one begins with the other.
  const rest = proper(escapeHtml(sentence).slice(name.length));
  return `<li><span class="badge${isGrave ? " grave" : ""}">${badge}</span><span><b>${name}</b>${rest}</span></li>`;
}

/** A number stays with its unit, and a microsecond gets its sign. */
function proper(text: string): string {
  return text
    .replaceAll(/(?<=\d) (?=(?:[num]?s|[KMG]iB|B|%)(?![\p{L}\p{N}]))/gu, "\u00a0")
    .replaceAll(/(?<=\d\u00a0)us/g, "\u00b5s");
}

function runSection({ machine, adapter, wait, limits, contestants }: BenchResult): string {
  const tiles = [
    [
      "Copying on the device",
      formatBytesPerSecond(limits.deviceCopyBytesPerSecond),
      "read and written",
    ],
    [
      "Multiply-adds on the device",
      formatFlopsPerSecond(limits.fmaFlopsPerSecond),
      "two operations each",
    ],
    [
      "Copying on the host",
      formatBytesPerSecond(limits.hostCopyBytesPerSecond),
      "read and written",
    ],
  ] as const;
  const cores = machine.coreCount === 1 ? "1 core" : `${machine.coreCount} cores`;
  const repetitions =
    machine.repetitionCount === 1 ? "1 repetition" : `${machine.repetitionCount} repetitions`;
  const facts = [
    ["Adapter", adapter],
    ["Waiting", wait],
    [
      "Machine",
      `${machine.platform}, ${machine.processor}, ${cores}, ${formatBytes(machine.memoryBytes)}`,
    ],
    ["Engine", machine.engine],
    [
      "Run",
      `${machine.date}, ${machine.quick ? "quick" : "full"}, ${repetitions}, seed ${machine.seed}, ${machine.seconds.toFixed(0)} s`,
    ],
  ] as const;
  const tileList = tiles.map(
    ([name, value, note]) =>
      `<div><dt>${name}</dt><dd><b>${escapeHtml(value)}</b> <span class="soft">${note}</span></dd></div>`,
  );
  const factList = facts.map(
    ([name, value]) => `<div><dt>${name}</dt><dd>${escapeHtml(value)}</dd></div>`,
  );
  return `<section><h2>The machine and its limits</h2>
<dl class="tiles">${tileList.join("")}</dl>
<dl class="facts">${factList.join("")}</dl>
${legend(contestants)}
</section>`;
}

function suiteLinks(suites: readonly (readonly BenchRow[])[]): string {
  if (suites.length < 2) return "";
  const links = suites.map(
    ([row], index) => `<a href="#suite-${index + 1}">${escapeHtml(row!.suite)}</a>`,
  );
  return `<nav aria-label="Suites">${links.join(" ")}</nav>`;
}

function suiteSection(rows: readonly BenchRow[], index: number, result: BenchResult): string {
  const { contestants } = result;
  const present = contestants.filter(({ name }) => rows.some((row) => row.contestant === name));
  const plots = suitePlots(rows, result);
  const grid =
    plots.length === 0 ? "" : `${legend(present)}<div class="plots">${plots.join("")}</div>`;
  const details = byCase(rows).map((of) => caseDetails(of, contestants));
  return `<section id="suite-${index + 1}"><h2>${escapeHtml(rows[0]!.suite)}</h2>
${grid}
<h3>Medians of one iteration</h3>
<p class="note">Under each its speed over raw's, above 1 is faster (for bytes: less). ${bestMark}is the best of the line, ${losesMark}is where Moorage loses.</p>
${overviewTable(rows, contestants)}
<h3>Every figure</h3>
<div class="cases">${details.join("")}</div>
</section>`;
}
