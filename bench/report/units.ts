/**
 * Numbers as people read them: three digits and a unit that fits. Terminals get ASCII; a page may ask
 * for the proper sign of a microsecond.
 */

export type Micro = "us" | "\u00b5s";

/** Three significant digits from 0.01 on, without an exponent. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (!Number.isFinite(value)) return String(value);
  if (size >= 99.95) return value.toFixed(0);
  if (size >= 9.995) return value.toFixed(1);
  if (size >= 0.00995) return value.toFixed(2);
  return size < 1e-6 ? value.toExponential(0) : String(Number(value.toPrecision(1)));
}

export function formatTime(milliseconds: number, micro: Micro = "us"): string {
  if (milliseconds === 0) return `0 ${micro}`;
  return scaled(milliseconds * 1e-3, [
    [1e-9, "ns"],
    [1e-6, micro],
    [1e-3, "ms"],
    [1, "s"],
  ]);
}

export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${Math.round(bytes)} B`;
  const [size, unit] = scale(bytes, [
    [2 ** 10, "KiB"],
    [2 ** 20, "MiB"],
    [2 ** 30, "GiB"],
  ]);
  // Most buffers are a round number of units, and read better so.
  return `${Number.isInteger(size) ? size : formatNumber(size)} ${unit}`;
}

export function formatBytesPerSecond(rate: number): string {
  return scaled(rate, [
    [1e3, "kB/s"],
    [1e6, "MB/s"],
    [1e9, "GB/s"],
    [1e12, "TB/s"],
  ]);
}

export function formatFlopsPerSecond(rate: number): string {
  return scaled(rate, [
    [1e6, "MFLOP/s"],
    [1e9, "GFLOP/s"],
    [1e12, "TFLOP/s"],
  ]);
}

export function formatFlops(flops: number): string {
  return scaled(flops, [
    [1, "FLOP"],
    [1e3, "kFLOP"],
    [1e6, "MFLOP"],
    [1e9, "GFLOP"],
    [1e12, "TFLOP"],
  ]);
}

/** A ratio of speeds. What is below 1 never reads as 1.00. */
export function formatRatio(ratio: number): string {
  if (ratio < 1 && ratio >= 0.995) return Math.min(ratio, 0.999).toFixed(3);
  return formatNumber(ratio);
}

/** A fraction as a percentage. */
export function formatPercent(fraction: number): string {
  const percent = fraction * 100;
  if (percent !== 0 && Math.abs(percent) < 0.05) return "<0.1 %";
  return `${percent.toFixed(Math.abs(percent) < 9.95 ? 1 : 0)} %`;
}

/** A count for each iteration: whole where it is whole. */
export function formatCount(count: number): string {
  return Number.isInteger(count) ? String(count) : formatNumber(count);
}

type Units = readonly (readonly [size: number, name: string])[];

function scaled(value: number, units: Units): string {
  const [size, unit] = scale(value, units);
  return `${formatNumber(size)} ${unit}`;
}

/** The largest unit of which there is one at least, after rounding; the smallest for what is less. */
function scale(value: number, units: Units): [size: number, unit: string] {
  const fitting = units.findLast(([size]) => value >= 0.9995 * size) ?? units[0]!;
  return [value / fitting[0], fitting[1]];
}
