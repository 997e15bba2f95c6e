/** Rows by suite, by case and by size, in the order in which the run has them. */

import type { BenchRow } from "../core/results.ts";

export function bySuite(rows: readonly BenchRow[]): BenchRow[][] {
  return grouped(rows, ({ suite }) => suite);
}

export function byCase(rows: readonly BenchRow[]): BenchRow[][] {
  return grouped(rows, (row) => JSON.stringify([row.suite, row.case]));
}

/** One group for each problem: a case at one size. */
export function byProblem(rows: readonly BenchRow[]): BenchRow[][] {
  return grouped(rows, (row) => JSON.stringify([row.suite, row.case, row.size]));
}

export function grouped<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return [...groups.values()];
}
