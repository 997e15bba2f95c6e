/**
 * Counts the GPU objects that really exist, under every contestant alike: the prototypes of the
 * platform's classes are wrapped once, and what is made is booked on its device.
 *
 * A buffer counts from `createBuffer` until `destroy()` is called on it or on its device. One that is
 * only dropped counts as live: when the platform will take it back is nobody's promise.
 */

import type { BenchHost } from "./contract.ts";

export interface DeviceCounts {
  liveBytes: number;
  /** Since `startPeak`. */
  peakBytes: number;
  buffersCreated: number;
  bindGroupsCreated: number;
  pipelinesCreated: number;
  dispatches: number;
  submits: number;
}

/** One change of what is live on a device. */
export interface MemoryPoint {
  readonly milliseconds: number;
  readonly liveBytes: number;
}

/** What is told of every change, while somebody records. */
let recording: { readonly counts: DeviceCounts; readonly told: () => void } | undefined;

const countsOf = new WeakMap<GPUDevice, DeviceCounts>();
const encoderDevices = new WeakMap<object, DeviceCounts>();
const bufferBytes = new WeakMap<GPUBuffer, { bytes: number; counts: DeviceCounts }>();
let isInstalled = false;

/** The counts of a device; they change as it works. Zero for one that was opened before `installCounting`. */
export function deviceCounts(device: GPUDevice): DeviceCounts {
  let counts = countsOf.get(device);
  if (counts === undefined) {
    counts = {
      liveBytes: 0,
      peakBytes: 0,
      buffersCreated: 0,
      bindGroupsCreated: 0,
      pipelinesCreated: 0,
      dispatches: 0,
      submits: 0,
    };
    countsOf.set(device, counts);
  }
  return counts;
}

/** Starts a new peak at what is live now. */
export function startPeak(device: GPUDevice): void {
  const counts = deviceCounts(device);
  counts.peakBytes = counts.liveBytes;
}

export function copyCounts(device: GPUDevice): DeviceCounts {
  return { ...deviceCounts(device) };
}

/** Records every change of what is live on a device while `work` runs; one recording at a time. */
export async function recordMemory<T>(
  host: Pick<BenchHost, "now">,
  device: GPUDevice,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly points: readonly MemoryPoint[] }> {
  const counts = deviceCounts(device);
  const started = host.now();
  const points: MemoryPoint[] = [];
  const told = (): void => {
    points.push({ milliseconds: host.now() - started, liveBytes: counts.liveBytes });
  };
  recording = { counts, told };
  told();
  try {
    const result = await work();
    told();
    return { result, points };
  } finally {
    recording = undefined;
  }
}

/** Wraps the platform's prototypes; harmless twice. The WebGPU globals have to be there. */
export function installCounting(): void {
  if (isInstalled) return;
  isInstalled = true;
  const devices = GPUDevice.prototype;
  wrap(devices, "createBuffer", (device, buffer: GPUBuffer) => {
    const counts = deviceCounts(device);
    bufferBytes.set(buffer, { bytes: buffer.size, counts });
    counts.buffersCreated++;
    counts.liveBytes += buffer.size;
    if (counts.liveBytes > counts.peakBytes) counts.peakBytes = counts.liveBytes;
    if (recording?.counts === counts) recording.told();
  });
  wrap(devices, "createBindGroup", (device) => deviceCounts(device).bindGroupsCreated++);
  wrap(devices, "createComputePipeline", (device) => deviceCounts(device).pipelinesCreated++);
  wrap(devices, "createComputePipelineAsync", (device) => deviceCounts(device).pipelinesCreated++);
  wrap(GPUBuffer.prototype, "destroy", (buffer) => {
    const booked = bufferBytes.get(buffer);
    if (booked === undefined) return;
    bufferBytes.delete(buffer);
    booked.counts.liveBytes -= booked.bytes;
    if (recording?.counts === booked.counts) recording.told();
  });
  wrap(devices, "destroy", (device) => {
    deviceCounts(device).liveBytes = 0;
  });
}

/**
 * Counts dispatches as well, which costs each of them a little: for checking what a contestant
 * records where nothing is executed, not for timing.
 */
export async function countDispatches<T>(
  device: GPUDevice,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly dispatches: number }> {
  const devices = GPUDevice.prototype;
  const encoders = GPUCommandEncoder.prototype;
  const passes = GPUComputePassEncoder.prototype;
  const undo = [
    wrap(devices, "createCommandEncoder", (owner, encoder: GPUCommandEncoder) =>
      encoderDevices.set(encoder, deviceCounts(owner)),
    ),
    wrap(encoders, "beginComputePass", (encoder, pass: GPUComputePassEncoder) => {
      const counts = encoderDevices.get(encoder);
      if (counts !== undefined) encoderDevices.set(pass, counts);
    }),
    wrap(passes, "dispatchWorkgroups", (pass) => {
      const counts = encoderDevices.get(pass);
      if (counts !== undefined) counts.dispatches++;
    }),
  ];
  const before = deviceCounts(device).dispatches;
  try {
    const result = await work();
    return { result, dispatches: deviceCounts(device).dispatches - before };
  } finally {
    for (const restore of undo) restore();
  }
}

/** Calls `after` with the object and the result of each call of a method; gives a function that undoes it. */
function wrap<T extends object>(
  prototype: T,
  name: keyof T & string,
  // The result's type depends on the method; each caller above names the one it takes.
  after: (self: T, result: never) => unknown,
): () => void {
  const original = prototype[name] as unknown as (...args: unknown[]) => unknown;
  const wrapped = function wrapped(this: T, ...args: unknown[]): unknown {
    const result = original.apply(this, args);
    after(this, result as never);
    return result;
  };
  Object.defineProperty(prototype, name, { value: wrapped, configurable: true, writable: true });
  return () =>
    Object.defineProperty(prototype, name, {
      value: original,
      configurable: true,
      writable: true,
    });
}
