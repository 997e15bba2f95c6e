/** The regions that the page shows, in the order of its table and of its plot, bottom first. */

import type { Balance, RuntimeStats } from "moorage";

export const regions = [
  { key: "deviceHeap", name: "Device heap", hint: "tensors that live on" },
  { key: "deviceArena", name: "Device arenas", hint: "scratch of scopes" },
  { key: "pinned", name: "Pinned heap", hint: "mapped staging" },
  { key: "hot", name: "Hot arenas", hint: "host temporaries" },
] as const;

export type RegionKey = (typeof regions)[number]["key"];

/** The terms of the identity and their sum, as the table's columns order them. */
export const terms = [
  { key: "liveBytes", name: "live" },
  { key: "paddingBytes", name: "padding" },
  { key: "deferredBytes", name: "deferred" },
  { key: "freeBytes", name: "free" },
  { key: "reservedBytes", name: "reserved" },
] as const satisfies readonly { key: keyof Balance; name: string }[];

/** A term summed over all regions. */
export function together(stats: RuntimeStats, term: keyof Balance): number {
  return regions.reduce((sum, { key }) => sum + stats[key][term], 0);
}
