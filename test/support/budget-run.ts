/** The job within a budget, watched from outside: what the device itself was asked for. */

import { expect } from "vitest";

import { edgeMap, runtimeOptionsFor } from "../../demo/edge-map.ts";
import type { EdgeMapResult } from "../../demo/edge-map.ts";
import type { Picture } from "../../demo/png.ts";
import { buffersCreated, liveBufferBytes, openRuntime } from "../harness.ts";

/** Notes the most bytes of real buffers that a device had at one time, from its own `createBuffer`. */
function watchPeak(device: GPUDevice): () => number {
  let peak = liveBufferBytes(device);
  const create = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    peak = Math.max(peak, liveBufferBytes(device));
    return buffer;
  };
  return () => peak;
}

export interface BudgetRun {
  /** One result for each run. */
  readonly results: readonly EdgeMapResult[];
  /** The most bytes of real buffers at one time. */
  readonly peakBytes: number;
  /** Buffers that runs after the first one created. */
  readonly createdLater: number;
}

/** Runs the job several times in a runtime of its own that keeps the budget. */
export async function runWithin(
  budgetBytes: number,
  picture: Picture,
  sigma: number,
  runs = 2,
): Promise<BudgetRun> {
  const runtime = await openRuntime(runtimeOptionsFor(budgetBytes, picture, sigma));
  try {
    const peak = watchPeak(runtime.device);
    const results = [await edgeMap(runtime, picture, { sigma, budgetBytes })];
    const created = buffersCreated();
    while (results.length < runs)
      results.push(await edgeMap(runtime, picture, { sigma, budgetBytes }));
    expect(runtime.live()).toEqual([]);
    expect(runtime.stats().gpuBuffers.liveBytes).toBe(liveBufferBytes(runtime.device));
    return { results, peakBytes: peak(), createdLater: buffersCreated() - created };
  } finally {
    await runtime.dispose();
  }
}
