/** Whom an error of the platform is about: it knows buffers, and their users know tensors. */

import { lostNode } from "./memory/block-table.ts";
import type { BlockTable } from "./memory/block-table.ts";
import type { SlabPool } from "./memory/slab-pool.ts";

/** More names than this help nobody. */
const mostNames = 8;

/**
 * The labels of the tensors in the slabs that a message names; only of those in the ranges that it gives,
 * where it gives any. Empty where it names no slab. O(live tensors).
 */
export function involvedTensors(
  { table, pool }: { readonly table: BlockTable; readonly pool: SlabPool },
  message: string,
): string {
  const serials = new Set(
    [...message.matchAll(/moorage slab (\d+)/g)].map(([, serial]) => +serial!),
  );
  if (serials.size === 0) return "";
  const ranges = [...message.matchAll(/offset: (\d+), size: (\d+)/g)].map(([, offset, size]) => ({
    start: +offset!,
    end: +offset! + +size!,
  }));
  const labels = new Set<string>();
  const named = pool.slabs.filter(({ serial }) => serials.has(serial)).map(({ index }) => index);
  for (const { row, label } of table.live()) {
    // A slab that was lost may have a successor at its place.
    if (table.node[row] === lostNode || !named.includes(table.slab[row]!)) continue;
    const start = table.offset[row]!;
    const end = start + table.extent[row]!;
    const isInRange = ranges.some((range) => start < range.end && end > range.start);
    if (ranges.length === 0 || isInRange) labels.add(`"${label}"`);
  }
  const names = [...labels];
  const more = names.length > mostNames ? `, and ${names.length - mostNames} more` : "";
  return names.slice(0, mostNames).join(", ") + more;
}
