/** One trace through one allocator: what it took, and what memory it held. */

import type { Allocator } from "./allocator.ts";
import { eventKinds } from "./trace.ts";
import type { Trace } from "./trace.ts";

export interface ReplayResult {
  readonly name: string;
  /** Of all events and the final frees; waits for the device are left out. Null where it was not timed. */
  readonly milliseconds: number | null;
  readonly eventsPerSecond: number | null;
  /** The most requested bytes that were live at one time: no allocator can do with less. */
  readonly peakLiveBytes: number;
  readonly peakReservedBytes: number;
  /** After everything was freed. */
  readonly endReservedBytes: number;
  /** After `trim()` on top; null where users cannot ask for that. */
  readonly trimmedReservedBytes: number | null;
  /** `peakReservedBytes` over `peakLiveBytes`. */
  readonly overhead: number;
  readonly bufferCreates: number;
  readonly bufferDestroys: number;
  readonly cacheHits: number;
  /** Why the trace could not be replayed to its end, or was not timed. */
  readonly failure: string | null;
}

export interface ReplayOptions {
  /** Milliseconds. */
  readonly now: () => number;
  /** After which it is given up; never unless told. */
  readonly patienceMs?: number;
}

export async function replay<Handle extends object>(
  trace: Trace,
  allocator: Allocator<Handle>,
  { now, patienceMs = Number.POSITIVE_INFINITY }: ReplayOptions,
): Promise<ReplayResult> {
  const { kinds, ids, bytes, labels: indices, count } = trace.events;
  const { labels } = trace;
  const live: (Handle | undefined)[] = [];
  const deadline = now() + patienceMs;
  let failure: string | null = null;
  let elapsed = 0;
  let index = 0;
  let started = now();
  try {
    for (; index < count; index++) {
      const kind = kinds[index];
      const id = ids[index]!;
      if (kind === eventKinds.allocate) {
        live[id] = allocator.allocate(bytes[index]!, labels[indices[index]!]!);
      } else if (kind === eventKinds.free) {
        allocator.free(live[id]!);
        live[id] = undefined;
      } else {
        allocator.step();
        const stopped = now();
        if (stopped > deadline) {
          failure = `given up after ${patienceMs / 1000} s, at event ${index} of ${count}`;
          break;
        }
        const settling = allocator.settle?.();
        if (settling !== undefined) {
          elapsed += stopped - started;
          await settling;
          started = now();
        }
      }
    }
  } catch (error) {
    failure = `event ${index} of ${count}: ${(error as Error).message}`;
  }
  for (const handle of live) if (handle !== undefined) allocator.free(handle);
  allocator.step();
  elapsed += now() - started;
  const end = allocator.stats();
  await allocator.trim?.();
  const trimmed = allocator.stats();
  const isComplete = failure === null;
  return {
    name: allocator.name,
    milliseconds: isComplete ? elapsed : null,
    eventsPerSecond: isComplete ? (count * 1000) / elapsed : null,
    peakLiveBytes: trace.peakLiveBytes,
    peakReservedBytes: end.peakReservedBytes,
    endReservedBytes: end.reservedBytes,
    trimmedReservedBytes: allocator.trim === undefined ? null : trimmed.reservedBytes,
    overhead: end.peakReservedBytes / Math.max(1, trace.peakLiveBytes),
    bufferCreates: end.bufferCreates,
    bufferDestroys: end.bufferDestroys,
    cacheHits: end.cacheHits,
    failure,
  };
}
