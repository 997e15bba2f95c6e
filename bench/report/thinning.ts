/** Long recordings made short without losing their peaks. */

export interface MemoryPoint {
  readonly milliseconds: number;
  readonly liveBytes: number;
}

/**
 * At most about `2 * slices` of the points: of each slice of time the highest, and the last, which
 * holds into the next slice.
 */
export function thinned(points: readonly MemoryPoint[], slices: number): MemoryPoint[] {
  if (points.length <= 2 * slices) return [...points];
  const start = points[0]!.milliseconds;
  const slice = Math.max(points.at(-1)!.milliseconds - start, 1e-9) / slices;
  const kept: MemoryPoint[] = [];
  let first = 0;
  while (first < points.length) {
    const index = Math.floor((points[first]!.milliseconds - start) / slice);
    let end = first;
    let highest = first;
    while (
      end < points.length &&
      Math.floor((points[end]!.milliseconds - start) / slice) <= index
    ) {
      if (points[end]!.liveBytes > points[highest]!.liveBytes) highest = end;
      end++;
    }
    kept.push(points[highest]!);
    if (highest !== end - 1) kept.push(points[end - 1]!);
    first = end;
  }
  return kept;
}
