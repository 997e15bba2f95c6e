/**
 * What a case's time is turned into, so that sizes and machines can be compared: bandwidth,
 * arithmetic, or the time of one operation. One kind holds for all sizes of a case.
 */

import type { BenchRow, MachineLimits } from "../core/results.ts";
import { formatBytes, formatBytesPerSecond, formatFlopsPerSecond, formatTime } from "./units.ts";
import type { Micro } from "./units.ts";

/**
 * - `flops`, `bytes`, `transfer`, `host`: that amount of work to the second
 * - `operation`: milliseconds for each operation
 * - `time`: milliseconds of an iteration, where nothing is known of its work
 * - `memory`: the case measures bytes
 */
export type RateKind = "flops" | "bytes" | "transfer" | "host" | "operation" | "time" | "memory";

/**
 * From this many operations for each byte on, arithmetic is the measure. Not taken from the machine's
 * limits, so that every report shows a case in the same unit.
 */
const flopsPerByte = 4;

/** The kind for the rows of one case. */
export function rateKindOf(rows: readonly BenchRow[]): RateKind {
  const [first] = rows;
  if (first === undefined) return "time";
  if (rows.some(({ unit }) => unit === "bytes")) return "memory";
  const has = (name: keyof BenchRow["work"], above = 0): boolean =>
    rows.some(({ work }) => (work[name] ?? 0) > above);
  const isRate = first.suite === "kernels" || first.suite === "transfer";
  const hasOperations = has("operations", 1);
  if (hasOperations && !isRate) return "operation";
  if (rows.some(({ work }) => (work.flops ?? 0) >= flopsPerByte * Math.max(work.bytes ?? 0, 1)))
    return "flops";
  if (has("transferBytes")) return "transfer";
  if (has("bytes")) return "bytes";
  if (has("hostBytes")) return "host";
  return hasOperations ? "operation" : "time";
}

/** How much of the kind's work an iteration does; what a rate is plotted against. */
export function amountOf({ work }: BenchRow, kind: RateKind): number | null {
  switch (kind) {
    case "flops":
      return work.flops ?? null;
    case "bytes":
      return work.bytes ?? null;
    case "transfer":
      return work.transferBytes ?? null;
    case "host":
      return work.hostBytes ?? null;
    case "operation":
      return work.operations ?? 1;
    case "time":
    case "memory":
      return null;
  }
}

/** Units of work to the second, or milliseconds, or bytes; null where the row has no median. */
export function rateOf(row: BenchRow, kind: RateKind): number | null {
  const { median } = row;
  if (median === null) return null;
  if (kind === "memory" || kind === "time") return median;
  const amount = amountOf(row, kind);
  if (amount === null || amount === 0) return null;
  if (kind === "operation") return median / amount;
  return median > 0 ? amount / (median / 1000) : null;
}

/** What the machine could do at best of the kind. */
export function limitOf(kind: RateKind, limits: MachineLimits): number | null {
  switch (kind) {
    case "flops":
      return limits.fmaFlopsPerSecond;
    case "bytes":
      return limits.deviceCopyBytesPerSecond;
    case "host":
      return limits.hostCopyBytesPerSecond;
    case "transfer":
      // The limit counts a byte twice, read and written; a transfer counts it once.
      return limits.hostCopyBytesPerSecond / 2;
    case "operation":
    case "time":
    case "memory":
      return null;
  }
}

export function formatRate(rate: number, kind: RateKind, micro: Micro = "us"): string {
  switch (kind) {
    case "flops":
      return formatFlopsPerSecond(rate);
    case "bytes":
    case "transfer":
    case "host":
      return formatBytesPerSecond(rate);
    case "operation":
      return `${formatTime(rate, micro)}/op`;
    case "time":
      return formatTime(rate, micro);
    case "memory":
      return formatBytes(rate);
  }
}

/** A median, or its like, in the row's own unit. */
export function formatMeasure(value: number, unit: BenchRow["unit"], micro: Micro = "us"): string {
  return unit === "bytes" ? formatBytes(value) : formatTime(value, micro);
}
