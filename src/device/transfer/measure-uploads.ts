/** Looks which way to upload is the fastest on the adapter at hand, for each size. */

import { contiguousLayout } from "../../host/layout.ts";
import { KiB, MiB } from "../../host/units.ts";
import type { DeviceContext } from "../context.ts";
import type { AnyTensor } from "../executor.ts";
import { UploadBelt } from "./upload-belt.ts";
import { always, rememberPlan, uploadWays } from "./upload-ways.ts";
import type { UploadPlan, UploadWay } from "./upload-ways.ts";

type TimeByWay = { readonly [W in UploadWay]: number | null };

export interface UploadTimes extends TimeByWay {
  readonly byteLength: number;
}

export interface UploadMeasurement extends UploadPlan {
  /** Medians, in microseconds for one upload of `byteLength`, the device's work included; `null`: not that way. */
  readonly times: readonly UploadTimes[];
}

const measuredBytes = [4 * KiB, 64 * KiB, MiB, 16 * MiB];
/** Bytes that are uploaded in a row, so that starting and waiting is a small part of it. */
const rowBytes = 4 * MiB;
const rounds = 5;
/** Another way than the queue has to be so much faster. */
const margin = 0.95;

/**
 * Times the three ways on this device, takes the fastest of each size from now on, and remembers them
 * for this process's other runtimes on the same adapter. Some tenths of a second; takes up to 16 MiB of
 * device memory and 20 MiB of staging meanwhile, and leaves out the sizes that there is no room for.
 */
export async function measureUploads(context: DeviceContext): Promise<UploadMeasurement> {
  const times: UploadTimes[] = [];
  for (const byteLength of measuredBytes) {
    const count = Math.max(1, rowBytes / byteLength);
    if (byteLength > context.pool.availableBytes || 2 * byteLength > context.pinned.budgetBytes)
      break;
    const layout = contiguousLayout([byteLength]);
    const spec = { dtype: "uint8", layout, label: "upload measurement" } as const;
    const target = context.executor.place(spec, context.heap, 0);
    try {
      times.push({ byteLength, ...(await medians(context, target, count)) });
    } finally {
      target.dispose();
    }
  }
  const plan = { steps: stepsOf(times) };
  context.ways.set(plan);
  rememberPlan(context.device, plan);
  return { ...plan, times };
}

async function medians(
  context: DeviceContext,
  target: AnyTensor,
  count: number,
): Promise<TimeByWay> {
  const data = new Uint8Array(target.size);
  const taken: { [W in UploadWay]: number[] } = { queue: [], belt: [], fresh: [] };
  // The first round makes what later ones find: buffers, and compiled code.
  for (let round = 0; round <= rounds; round++) {
    for (const way of uploadWays) {
      if (way === "belt" && target.size > UploadBelt.largestBytes) continue;
      await context.whenDone();
      const start = performance.now();
      for (let upload = 0; upload < count; upload++) {
        context.transfers.fromArrayBy(way, data, target.block);
      }
      context.stream.flush();
      await context.whenDone();
      if (round > 0) taken[way].push(((performance.now() - start) * 1000) / count);
    }
  }
  const median = (times: number[]): number | null =>
    times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? null;
  return { queue: median(taken.queue), belt: median(taken.belt), fresh: median(taken.fresh) };
}

/** Where one way ends and the next begins: half-way between two sizes, as sizes are spaced. */
function stepsOf(times: UploadMeasurement["times"]): UploadPlan["steps"] {
  const steps = times.map(({ byteLength, ...byWay }, index) => {
    const next = times[index + 1]?.byteLength;
    const timeOf = (way: UploadWay): number => byWay[way] ?? Infinity;
    const best = uploadWays.reduce((least, way) => (timeOf(way) < timeOf(least) ? way : least));
    const way = timeOf(best) < timeOf("queue") * margin ? best : ("queue" as const);
    return {
      upToBytes: next === undefined ? Number.MAX_SAFE_INTEGER : Math.sqrt(byteLength * next),
      way,
    };
  });
  return steps.length > 0 ? steps : always("queue").steps;
}
