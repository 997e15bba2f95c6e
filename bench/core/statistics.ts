/** Order statistics over a few samples. */

/** The middle value; the mean of the two middle ones of an even number. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Linear between neighbours. `values` must not be empty. */
export function quantile(values: readonly number[], fraction: number): number {
  if (values.length === 0) throw new Error("no samples");
  const sorted = values.toSorted((a, b) => a - b);
  const position = fraction * (sorted.length - 1);
  const below = Math.floor(position);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return low + (high - low) * (position - below);
}

/** Half the distance between the quartiles, as a fraction of the median. */
export function spread(values: readonly number[]): number {
  const middle = median(values);
  return middle === 0 ? 0 : (quantile(values, 0.75) - quantile(values, 0.25)) / 2 / middle;
}

/**
 * How far off the median of these may be, as a fraction of it: half the distance between the order
 * statistics that hold the true median in two runs of three. It asks nothing of the distribution, only
 * that the values do not depend on each other. Infinite for fewer than four values.
 */
export function medianError(values: readonly number[]): number {
  const count = values.length;
  if (count < 4) return Number.POSITIVE_INFINITY;
  const reach = 0.5 / Math.sqrt(count);
  const middle = median(values);
  const width = quantile(values, 0.5 + reach) - quantile(values, 0.5 - reach);
  return middle === 0 ? Number.POSITIVE_INFINITY : width / 2 / Math.abs(middle);
}

/**
 * The standard error of the mean of these, as a fraction of it; infinite for fewer than two values, and
 * for values that are not numbers.
 */
export function meanError(values: readonly number[]): number {
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const error = Math.sqrt(squares / (count - 1) / count) / Math.abs(mean);
  return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
}

/**
 * The ratio of two contestants over the pairs of samples that were taken in the same rounds: drift of
 * the machine between rounds cancels. `others` and `own` are indexed by round; a hole is a round that
 * a contestant sat out.
 */
export function pairedRatios(
  others: readonly (number | undefined)[],
  own: readonly (number | undefined)[],
): number[] {
  const ratios: number[] = [];
  for (let round = 0; round < own.length; round++) {
    const [other, mine] = [others[round], own[round]];
    if (other !== undefined && mine !== undefined && mine > 0) ratios.push(other / mine);
  }
  return ratios;
}
