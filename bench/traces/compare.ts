/**
 * One trace through several allocators. Models first only count what they would hold: that is what is
 * reported of their memory, and which of them a device can be asked to bear. Then all are timed in
 * turn, each time on a new device, and the medians are kept.
 */

import { formatBytes } from "moorage";

import { median } from "../core/statistics.ts";
import type { Contender } from "./allocator.ts";
import { replay } from "./replay.ts";
import type { ReplayResult } from "./replay.ts";
import type { Trace, TraceOrigin } from "./trace.ts";

export interface TraceSummary extends TraceOrigin {
  readonly eventCount: number;
  readonly peakLiveBytes: number;
}

export interface ReplayComparison {
  readonly trace: TraceSummary;
  readonly results: readonly ReplayResult[];
}

export interface CompareOptions {
  /** Milliseconds. */
  readonly now: () => number;
  /** Default 3. */
  readonly repetitionCount?: number;
  /** A model that would hold more is not timed; default 2 GiB. */
  readonly heldLimitBytes?: number;
  /** For each replay on a device; default 30 s. */
  readonly patienceMs?: number;
  readonly isInterrupted?: () => boolean;
}

/** A contender with what is known of it so far. */
interface Course {
  readonly contender: Contender;
  readonly account: ReplayResult | undefined;
  readonly runs: ReplayResult[];
  failure: string | null;
}

export async function compareAllocators(
  trace: Trace,
  contenders: readonly Contender[],
  options: CompareOptions,
): Promise<ReplayComparison> {
  const { now, repetitionCount = 3, heldLimitBytes = 2 * 2 ** 30, patienceMs = 30_000 } = options;
  const courses: Course[] = [];
  for (const contender of contenders) {
    const model = contender.account?.();
    const account = model === undefined ? undefined : await replay(trace, model, { now });
    const held = account?.peakReservedBytes ?? 0;
    const failure =
      account?.failure ??
      (held > heldLimitBytes
        ? `not timed: it would hold ${formatBytes(held)} of buffers, more than the ${formatBytes(heldLimitBytes)} that a replay takes`
        : null);
    courses.push({ contender, account, runs: [], failure });
  }
  for (let repetition = 0; repetition < repetitionCount; repetition++) {
    for (let turn = 0; turn < courses.length; turn++) {
      if (options.isInterrupted?.() === true) break;
      const course = courses[(turn + repetition) % courses.length]!;
      if (course.failure === null) await runOnce(trace, course, { now, patienceMs });
    }
  }
  const { generator, seed, architecture, parameters, events, peakLiveBytes } = trace;
  return {
    trace: { generator, seed, architecture, parameters, eventCount: events.count, peakLiveBytes },
    results: courses.map((course) => resultOf(course, trace)),
  };
}

async function runOnce(
  trace: Trace,
  course: Course,
  options: { readonly now: () => number; readonly patienceMs: number },
): Promise<void> {
  const opened = await course.contender.open();
  try {
    const result = await replay(trace, opened.allocator, options);
    course.runs.push(result);
    course.failure = result.failure ?? opened.failure();
  } finally {
    await opened.close();
  }
}

function resultOf({ contender, account, runs, failure }: Course, trace: Trace): ReplayResult {
  const times = runs.flatMap(({ milliseconds }) => milliseconds ?? []);
  const isTimed = failure === null && times.length > 0;
  const milliseconds = isTimed ? median(times) : null;
  const memory = account ?? runs[0] ?? nothing(trace);
  return {
    ...memory,
    name: contender.name,
    milliseconds,
    eventsPerSecond: milliseconds === null ? null : (trace.events.count * 1000) / milliseconds,
    failure: failure ?? (isTimed ? null : "not run: interrupted"),
  };
}

function nothing({ peakLiveBytes }: Trace): Omit<ReplayResult, "name"> {
  return {
    milliseconds: null,
    eventsPerSecond: null,
    peakLiveBytes,
    peakReservedBytes: 0,
    endReservedBytes: 0,
    trimmedReservedBytes: null,
    overhead: 0,
    bufferCreates: 0,
    bufferDestroys: 0,
    cacheHits: 0,
    failure: null,
  };
}
