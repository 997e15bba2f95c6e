/**
 * Where Moorage loses, as every report opens with it: what it cannot run, where raw is more than 10 %
 * ahead, and where a peer is ahead at all.
 */

import type { BenchResult, BenchRow } from "../core/results.ts";
import { byProblem } from "./grouping.ts";
import { formatMeasure } from "./rates.ts";
import { formatNumber } from "./units.ts";

export interface Loss {
  /** `not-yet`: Moorage says that it lacks it. `failed`: it did not come through, for any reason. */
  readonly kind: "not-yet" | "failed" | "behind";
  /** Moorage's row. */
  readonly row: BenchRow;
  /** The smallest of the rivals' ratios; null where Moorage did not run. */
  readonly ratio: number | null;
  /** Who is ahead, raw first. */
  readonly rivals: readonly Rival[];
  /** For people: begins with the case and its size. */
  readonly sentence: string;
}

export interface Rival {
  readonly title: string;
  /** Moorage's speed over the rival's, below 1. */
  readonly ratio: number;
  readonly row: BenchRow | undefined;
}

/** Below this, raw is ahead by more than what noise and habit explain. */
const enoughOfRaw = 0.9;

/** Sorted: what is not there yet, then what failed, then by the smallest ratio. */
export function whereWeLose(result: BenchResult): Loss[] {
  const rank = { "not-yet": 0, failed: 1, behind: 2 };
  return byProblem(result.cases)
    .flatMap((rows) => lossOf(rows, result) ?? [])
    .toSorted((a, b) => rank[a.kind] - rank[b.kind] || (a.ratio ?? 0) - (b.ratio ?? 0));
}

/** How many problems Moorage took part in. */
export function moorageProblemCount({ cases }: BenchResult): number {
  return cases.filter(({ contestant }) => contestant === "moorage").length;
}

function lossOf(rows: readonly BenchRow[], result: BenchResult): Loss | undefined {
  const row = rows.find(({ contestant }) => contestant === "moorage");
  if (row === undefined) return undefined;
  const others = rows.filter((other) => other !== row && other.median !== null);
  if (row.failure !== null) {
    // Stopped, or too long for this machine whoever computes it: nobody won.
    const isNobodys = /^(not run|left out)/.test(row.failure) && others.length === 0;
    return isNobodys ? undefined : failureOf(row, row.failure, others, result);
  }
  const rivals: Rival[] = [];
  if (row.ratioToRaw !== null && row.ratioToRaw < enoughOfRaw) {
    const raw = others.find(({ contestant }) => contestant === "raw");
    rivals.push({ title: "raw", ratio: row.ratioToRaw, row: raw });
  }
  if (row.ratioToBestPeer !== null && row.ratioToBestPeer < 1) {
    const peer = fastest(others.filter((other) => isPeer(other, result)));
    const title = peer === undefined ? "the best peer" : titleOf(peer, result);
    rivals.push({ title, ratio: row.ratioToBestPeer, row: peer });
  }
  if (rivals.length === 0) return undefined;
  return {
    kind: "behind",
    row,
    ratio: Math.min(...rivals.map(({ ratio }) => ratio)),
    rivals,
    sentence: `${nameOf(row)} ${rivals.map((rival, index) => behind(row, rival, index === 0)).join(" and ")}.`,
  };
}

function failureOf(
  row: BenchRow,
  failure: string,
  others: readonly BenchRow[],
  result: BenchResult,
): Loss {
  const isNotYet = failure.trimStart().toLowerCase().startsWith("not yet");
  const what = isNotYet ? "is not there yet" : "does not run";
  const best = fastest(others);
  const other =
    best === undefined
      ? "nor does any other"
      : `${titleOf(best, result)} ${best.unit === "bytes" ? "needs" : "takes"} ${formatMeasure(best.median!, best.unit)}`;
  return {
    kind: isNotYet ? "not-yet" : "failed",
    row,
    ratio: null,
    rivals: [],
    sentence: `${nameOf(row)} ${what}: "${failure.trim()}"; ${other}.`,
  };
}

/** "takes 1.40 times as long as raw (8.20 ms against 5.86 ms)" */
function behind(own: BenchRow, rival: Rival, isFirst: boolean): string {
  const isBytes = own.unit === "bytes";
  const values = bothMedians(own, rival.row);
  if (rival.ratio <= 0)
    return `${isFirst ? "needs some " : ""}where ${rival.title} needs none${values}`;
  const times = 1 / rival.ratio;
  const [much, more] = isBytes ? ["as much as", "more"] : ["as long as", "longer"];
  const verb = !isFirst ? "" : isBytes ? "needs " : "takes ";
  if (times >= 1.5) return `${verb}${formatNumber(times)} times ${much} ${rival.title}${values}`;
  const percent = (times - 1) * 100;
  const share = percent < 0.1 ? "less than 0.1 %" : `${percent.toFixed(percent < 9.95 ? 1 : 0)} %`;
  return `${verb}${share} ${more} than ${rival.title}${values}`;
}

/** Ratios are taken pair by pair; medians that say the contrary would only confuse. */
function bothMedians(own: BenchRow, other: BenchRow | undefined): string {
  const [mine, theirs] = [own.median, other?.median ?? null];
  if (mine === null || theirs === null || theirs > mine) return "";
  return ` (${formatMeasure(mine, own.unit)} against ${formatMeasure(theirs, own.unit)})`;
}

function fastest(rows: readonly BenchRow[]): BenchRow | undefined {
  return rows.toSorted((a, b) => a.median! - b.median!)[0];
}

function isPeer({ contestant }: BenchRow, { contestants }: BenchResult): boolean {
  return contestants.some(({ name, kind }) => name === contestant && kind === "peer");
}

function titleOf({ contestant }: BenchRow, { contestants }: BenchResult): string {
  if (contestant === "raw") return "raw";
  return contestants.find(({ name }) => name === contestant)?.title ?? contestant;
}

function nameOf(row: BenchRow): string {
  return `${row.case} ${row.size}`;
}
