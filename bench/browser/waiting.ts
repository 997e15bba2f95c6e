/**
 * How every contestant waits in a page. Browsers tell the end of the device's work in two ways,
 * `onSubmittedWorkDone` and `mapAsync` on a buffer that was copied to, and may tell the one much later
 * than the other: both are tried when the bench opens, behind a little work, and one serves everybody.
 *
 * Neither is hurried. Chromium looks for finished work every 2 ms or so; an empty submit now and then
 * would bring the shortest waits from 2.4 to 0.5 ms, but takes the core that a software adapter
 * computes on, and nobody's program does it.
 */

import { median } from "../core/statistics.ts";

export interface Waiting {
  readonly wait: (device: GPUDevice) => Promise<void>;
  /** For people: which way was chosen, and what both took. */
  readonly policy: string;
}

interface Marker {
  readonly source: GPUBuffer;
  readonly target: GPUBuffer;
  isPending: boolean;
}

const markers = new WeakMap<GPUDevice, Marker>();

/**
 * `createBuffer` as the platform has it: this module is evaluated before `installCounting` wraps the
 * prototype. The two buffers of 4 bytes by which a device is waited for are the bench's own, and are
 * not booked on a contestant: neither as created nor, after it has closed, as still held.
 */
const createUncounted =
  typeof GPUDevice === "undefined"
    ? undefined
    : (Object.getOwnPropertyDescriptor(GPUDevice.prototype, "createBuffer")?.value as
        | ((this: GPUDevice, descriptor: GPUBufferDescriptor) => GPUBuffer)
        | undefined);

/** Copies 4 bytes behind everything that was submitted, and maps them. */
async function waitByMapping(device: GPUDevice): Promise<void> {
  const marker = markerOf(device);
  if (marker.isPending) {
    // Somebody was given up as late, and still waits; a buffer cannot be mapped twice.
    await device.queue.onSubmittedWorkDone();
    return;
  }
  const encoder = device.createCommandEncoder({ label: "bench: wait" });
  encoder.copyBufferToBuffer(marker.source, 0, marker.target, 0, 4);
  device.queue.submit([encoder.finish()]);
  marker.isPending = true;
  try {
    await marker.target.mapAsync(GPUMapMode.READ);
    marker.target.unmap();
  } finally {
    marker.isPending = false;
  }
}

async function waitForQueue(device: GPUDevice): Promise<void> {
  await device.queue.onSubmittedWorkDone();
}

/** Mapping costs a submit of its own, and is taken where it ends a wait this much sooner. */
const clearly = 0.8;

/** Tries both ways on a device that nothing else is done on. */
export async function chooseWaiting(device: GPUDevice, now: () => number): Promise<Waiting> {
  const work = device.createBuffer({
    label: "bench: what is waited for",
    size: 2 ** 20,
    usage: GPUBufferUsage.COPY_DST,
  });
  const timed = async (wait: Waiting["wait"]): Promise<number> => {
    const encoder = device.createCommandEncoder({ label: "bench: what is waited for" });
    encoder.clearBuffer(work);
    const started = now();
    device.queue.submit([encoder.finish()]);
    await wait(device);
    return now() - started;
  };
  // In blocks: a wait's length depends on where in the browser's beat the one before it ended.
  const block = async (wait: Waiting["wait"]): Promise<number> => {
    const times: number[] = [];
    for (let round = 0; round < 8; round++) times.push(await timed(wait));
    return median(times.slice(2));
  };
  const [mapMs, queueMs] = [await block(waitByMapping), await block(waitForQueue)];
  const isMapping = mapMs <= clearly * queueMs;
  const [chosen, other] = isMapping
    ? (["a mapped copy of 4 bytes", "onSubmittedWorkDone"] as const)
    : (["onSubmittedWorkDone", "a mapped copy of 4 bytes"] as const);
  const [took, otherTook] = isMapping ? [mapMs, queueMs] : [queueMs, mapMs];
  return {
    wait: isMapping ? waitByMapping : waitForQueue,
    policy: `browser: ${chosen}, ${took.toFixed(2)} ms behind a small clear (${other}: ${otherTook.toFixed(2)} ms)`,
  };
}

function markerOf(device: GPUDevice): Marker {
  const known = markers.get(device);
  if (known !== undefined) return known;
  const make = (label: string, usage: number): GPUBuffer => {
    const descriptor = { label, size: 4, usage };
    return createUncounted?.call(device, descriptor) ?? device.createBuffer(descriptor);
  };
  const marker = {
    source: make("bench: wait source", GPUBufferUsage.COPY_SRC),
    target: make("bench: wait target", GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ),
    isPending: false,
  };
  markers.set(device, marker);
  return marker;
}
