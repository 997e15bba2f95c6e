/** Who has the memory: what an out-of-memory error says beside the numbers. */

import type { MemoryShare } from "../errors.ts";
import { formatBytes } from "../units.ts";

/** So many are named; the others are summed. */
const mostNamed = 8;

/** Live bytes by region and label, the most first. O(live). */
export function breakdownOf(
  allocations: Iterable<{
    readonly label: string;
    readonly byteLength: number;
    readonly region: string;
  }>,
): MemoryShare[] {
  const shares = new Map<string, { -readonly [K in keyof MemoryShare]: MemoryShare[K] }>();
  for (const { region, label, byteLength } of allocations) {
    const key = `${region}\n${label}`;
    const share = shares.get(key);
    if (share === undefined) shares.set(key, { region, label, byteLength, count: 1 });
    else {
      share.byteLength += byteLength;
      share.count++;
    }
  }
  return [...shares.values()].sort((a, b) => b.byteLength - a.byteLength);
}

/** The same for people, in one line. */
export function formatBreakdown(shares: readonly MemoryShare[]): string {
  if (shares.length === 0) return "nothing is live";
  const named = shares
    .slice(0, mostNamed)
    .map(
      ({ region, label, byteLength, count }) =>
        `${count > 1 ? `${count} x ` : ""}"${label}" ${formatBytes(byteLength)} in ${region}`,
    );
  const others = shares.slice(mostNamed);
  if (others.length > 0) {
    const bytes = others.reduce((sum, { byteLength }) => sum + byteLength, 0);
    named.push(`${others.length} more labels with ${formatBytes(bytes)}`);
  }
  return named.join(", ");
}
