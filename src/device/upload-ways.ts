/**
 * Which way an array goes to the device, by its size:
 *
 * - `queue`: `writeBuffer`, which copies it twice and asks for nothing;
 * - `belt`: chunks of mapped memory that many uploads share;
 * - `fresh`: a mapped buffer of its own, out of the pool of pinned memory.
 *
 * Which is the fastest depends on the adapter. `writeBuffer` was, at every size, on the software adapters
 * that this was measured on, so it is what is taken until {@link measureUploads} has looked.
 */

import { InvalidArgumentError } from "../host/errors.ts";
import { contiguousLayout } from "../host/layout.ts";
import { KiB, MiB } from "../host/units.ts";
import type { DeviceContext } from "./context.ts";
import type { AnyTensor } from "./executor.ts";
import { UploadBelt } from "./upload-belt.ts";

export type UploadWay = "queue" | "belt" | "fresh";

/** Plain data: what was measured on one machine may be stored, and given to `createRuntime` again. */
export interface UploadPlan {
  /** By rising size; the last one is for everything larger, too. */
  readonly steps: readonly { readonly upToBytes: number; readonly way: UploadWay }[];
}

type TimeByWay = { readonly [W in UploadWay]: number | null };

export interface UploadTimes extends TimeByWay {
  readonly byteLength: number;
}

export interface UploadMeasurement extends UploadPlan {
  /** Medians, in microseconds for one upload of `byteLength`, the device's work included; `null`: not that way. */
  readonly times: readonly UploadTimes[];
}

const ways: readonly UploadWay[] = ["queue", "belt", "fresh"];

const measuredBytes = [4 * KiB, 64 * KiB, MiB, 16 * MiB];
/** Bytes that are uploaded in a row, so that starting and waiting is a small part of it. */
const rowBytes = 4 * MiB;
const rounds = 5;
/** Another way than the queue has to be so much faster. */
const margin = 0.95;

/** Plans by adapter, as far as this process has measured any. */
const known = new Map<string, UploadPlan>();

export class UploadWays {
  #steps: UploadPlan["steps"] | null = null;

  constructor(plan: UploadPlan | UploadWay | undefined, device: GPUDevice) {
    if (typeof plan === "object") this.set(plan);
    else this.set((plan === undefined && known.get(adapterKey(device))) || always(plan ?? "queue"));
  }

  /** The way for so many bytes. O(steps), O(1) where the queue takes all. */
  wayFor(byteLength: number): UploadWay {
    if (this.#steps === null) return "queue";
    for (const { upToBytes, way } of this.#steps) if (byteLength <= upToBytes) return way;
    return this.#steps.at(-1)!.way;
  }

  /** Throws `INVALID_ARGUMENT` for a plan that cannot be right. */
  set(plan: UploadPlan): void {
    const { steps } = plan;
    const isRising = steps.every(
      ({ upToBytes }, at) => upToBytes > (steps[at - 1]?.upToBytes ?? 0),
    );
    if (steps.length === 0 || !isRising || !steps.every(({ way }) => ways.includes(way))) {
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `a plan of uploads has steps of rising upToBytes, each with a way (${ways.join(", ")}); give one that measureUploads() returned, or none`,
      );
    }
    this.#steps = steps.every(({ way }) => way === "queue") ? null : steps;
  }
}

function always(way: UploadWay): UploadPlan {
  return { steps: [{ upToBytes: Number.MAX_SAFE_INTEGER, way }] };
}

/** What tells an adapter from others; empty where the platform does not say. */
function adapterKey(device: { readonly adapterInfo?: GPUAdapterInfo }): string {
  const info = device.adapterInfo;
  if (info === undefined) return "";
  return [info.vendor, info.architecture, info.device, info.description].join(" ").trim();
}

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
  const key = adapterKey(context.device);
  if (key !== "") known.set(key, plan);
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
    for (const way of ways) {
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
    const best = ways.reduce((least, way) => (timeOf(way) < timeOf(least) ? way : least));
    const way = timeOf(best) < timeOf("queue") * margin ? best : ("queue" as const);
    return {
      upToBytes: next === undefined ? Number.MAX_SAFE_INTEGER : Math.sqrt(byteLength * next),
      way,
    };
  });
  return steps.length > 0 ? steps : always("queue").steps;
}
