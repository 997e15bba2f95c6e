/** The bench's host in Node: one adapter through Dawn for every contestant. */

import { openAdapter } from "moorage/node";
import type { AdapterChoice } from "moorage/node";
import { PerformanceObserver } from "node:perf_hooks";

import type { BenchHost } from "../core/contract.ts";
import { installCounting } from "../core/counting.ts";
import { openDevice } from "../core/open-device.ts";
import { installWaiting, waitingPolicy } from "./waiting.ts";

export interface NodeHost extends BenchHost {
  /** For people: the adapter and its driver. */
  readonly description: string;
  readonly waitingPolicy: string;
}

let collections = 0;
let isInterrupted = false;
let isWatched = false;

/** Of the process, not of a host: once, however many hosts there are. */
function watchProcess(): void {
  if (isWatched) return;
  isWatched = true;
  process.once("SIGINT", () => {
    isInterrupted = true;
    process.once("SIGINT", () => process.exit(130));
  });
  new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  }).observe({ entryTypes: ["gc"] });
}

/**
 * Opens the adapter (`MOORAGE_ADAPTER` chooses), and gives peers what they look for in a browser:
 * `navigator.gpu`, and the WebGPU globals.
 */
export async function openNodeHost(choice?: AdapterChoice): Promise<NodeHost> {
  const { gpu, adapter, description } = await openAdapter({ adapter: choice });
  installCounting();
  installWaiting();
  let spare: GPUAdapter | null = adapter;
  const requestAdapter = async (): Promise<GPUAdapter> => {
    // An adapter gives one device; the next one is asked of the same instance.
    const next = spare ?? (await gpu.requestAdapter());
    spare = null;
    if (next === null) throw new Error("the adapter that was there a moment ago is gone");
    return next;
  };
  offerNavigator(gpu, requestAdapter);
  watchProcess();
  return {
    environment: "node",
    description,
    waitingPolicy,
    requestAdapter,
    requestDevice: async (label) => await openDevice(await requestAdapter(), label),
    wait: async (device) => await device.queue.onSubmittedWorkDone(),
    now: () => performance.now(),
    heap: () => ({ usedBytes: process.memoryUsage().heapUsed, collectionCount: collections }),
    collectGarbage: () => globalThis.gc?.(),
    collectYoungGarbage: () => globalThis.gc?.({ type: "minor", execution: "sync" }),
    isInterrupted: () => isInterrupted,
  };
}

/** What the peers look for: a browser's `navigator.gpu`, on the same adapter. */
function offerNavigator(gpu: GPU, requestAdapter: () => Promise<GPUAdapter>): void {
  const offered = {
    requestAdapter,
    getPreferredCanvasFormat: () => "bgra8unorm",
    wgslLanguageFeatures: gpu.wgslLanguageFeatures,
  };
  Object.defineProperty(globalThis, "navigator", {
    value: { gpu: offered, userAgent: "Node", hardwareConcurrency: 1 },
    configurable: true,
    writable: true,
  });
}
