/**
 * External fragmentation of a heap that moves its blocks: how much of what it holds is free, but lies
 * between live blocks, right after it has compacted itself and given back what is empty.
 */

import { GeneralHeap, KiB, MiB } from "moorage";
import type { GeneralBlock } from "moorage";

import { eventKinds } from "./trace.ts";
import type { Trace } from "./trace.ts";

export interface Fragmentation {
  /** Free bytes over reserved bytes, each summed over all looks. */
  readonly average: number;
  /** Of one look. */
  readonly worst: number;
  readonly collections: number;
  /** All sizes of the trace were divided by it. */
  readonly scale: number;
}

/** Traces that hold more are scaled down: moving bytes says nothing more where there are more of them. */
const mostLiveBytes = 64 * MiB;
const regionBytes = 256 * KiB;
const looks = 50;

/** Replays a trace on a general heap, and compacts it all along. O(events, and bytes moved). */
export function fragmentationOf(trace: Trace): Fragmentation {
  const { kinds, ids, bytes, count } = trace.events;
  const scale = Math.max(1, Math.ceil(trace.peakLiveBytes / mostLiveBytes));
  const heap = new GeneralHeap({
    label: "fragmentation",
    regionBytes,
    budgetBytes: 8 * mostLiveBytes,
    growth: 0,
    onIgnoredPressure: () => {},
  });
  const live: (GeneralBlock | undefined)[] = [];
  let [freeSum, reservedSum, worst, collections] = [0, 0, 0, 0];
  const every = Math.max(1, Math.floor(count / looks));
  for (let index = 0; index < count; index++) {
    const id = ids[index]!;
    if (kinds[index] === eventKinds.allocate) {
      live[id] = heap.alloc({ byteLength: Math.max(1, Math.ceil(bytes[index]! / scale)) });
    } else if (kinds[index] === eventKinds.free) {
      live[id]!.dispose();
      live[id] = undefined;
    }
    if (index % every !== every - 1) continue;
    heap.collect();
    heap.trim();
    collections++;
    const { liveBytes, paddingBytes, reservedBytes } = heap.stats();
    // Between two steps of some traces nothing lives, and nothing is held.
    if (reservedBytes === 0) continue;
    const free = reservedBytes - liveBytes - paddingBytes;
    freeSum += free;
    reservedSum += reservedBytes;
    worst = Math.max(worst, free / reservedBytes);
  }
  for (const block of live) block?.dispose();
  const average = reservedSum === 0 ? 0 : freeSum / reservedSum;
  return { average, worst, collections, scale };
}
