/**
 * Which way an array goes to the device, by its size:
 *
 * - `queue`: `writeBuffer`, which copies it twice and asks for nothing;
 * - `belt`: chunks of mapped memory that many uploads share;
 * - `fresh`: a mapped buffer of its own, out of the pool of pinned memory.
 *
 * Which is the fastest depends on the adapter. `writeBuffer` was, at every size, on the software adapters
 * that this was measured on, so it is what is taken until `measureUploads` has looked.
 */

import { InvalidArgumentError } from "../../host/errors.ts";

export type UploadWay = "queue" | "belt" | "fresh";

/** Plain data: what was measured on one machine may be stored, and given to `createRuntime` again. */
export interface UploadPlan {
  /** By rising size; the last one is for everything larger, too. */
  readonly steps: readonly { readonly upToBytes: number; readonly way: UploadWay }[];
}

export const uploadWays: readonly UploadWay[] = ["queue", "belt", "fresh"];

/** Plans by adapter, as far as this process has measured any. */
const known = new Map<string, UploadPlan>();

export class UploadWays {
  /** Whether the queue takes everything. */
  isQueueOnly = true;
  #steps: UploadPlan["steps"] = [];

  constructor(plan: UploadPlan | UploadWay | undefined, device: GPUDevice) {
    if (typeof plan === "object") this.set(plan);
    else this.set((plan === undefined && known.get(adapterKey(device))) || always(plan ?? "queue"));
  }

  /** The way for so many bytes. O(steps), O(1) where the queue takes all. */
  wayFor(byteLength: number): UploadWay {
    if (this.isQueueOnly) return "queue";
    for (const { upToBytes, way } of this.#steps) if (byteLength <= upToBytes) return way;
    return this.#steps.at(-1)!.way;
  }

  /** Throws `INVALID_ARGUMENT` for a plan that cannot be right. */
  set(plan: UploadPlan): void {
    const { steps } = plan;
    const isRising = steps.every(
      ({ upToBytes }, at) => upToBytes > (steps[at - 1]?.upToBytes ?? 0),
    );
    if (steps.length === 0 || !isRising || !steps.every(({ way }) => uploadWays.includes(way))) {
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `a plan of uploads has steps of rising upToBytes, each with a way (${uploadWays.join(", ")}); give one that measureUploads() returned, or none`,
      );
    }
    this.#steps = steps;
    this.isQueueOnly = steps.every(({ way }) => way === "queue");
  }
}

/** Other runtimes of this process on the same adapter start with this plan. O(1). */
export function rememberPlan(device: GPUDevice, plan: UploadPlan): void {
  const key = adapterKey(device);
  if (key !== "") known.set(key, plan);
}

export function always(way: UploadWay): UploadPlan {
  return { steps: [{ upToBytes: Number.MAX_SAFE_INTEGER, way }] };
}

/** What tells an adapter from others; empty where the platform does not say. */
function adapterKey(device: { readonly adapterInfo?: GPUAdapterInfo }): string {
  const info = device.adapterInfo;
  if (info === undefined) return "";
  return [info.vendor, info.architecture, info.device, info.description].join(" ").trim();
}
