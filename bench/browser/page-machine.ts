/** What a page can know of the machine and of its own means of measuring. */

import type { HeapState } from "../core/contract.ts";
import type { MachineInfo } from "../core/results.ts";

export type PageMachine = Pick<
  MachineInfo,
  "platform" | "processor" | "coreCount" | "memoryBytes" | "engine"
>;

/** What only some browsers have. */
interface Hints {
  readonly userAgentData?: {
    readonly brands: readonly { readonly brand: string; readonly version: string }[];
    readonly platform: string;
  };
  /** In GiB, rounded and capped by the browser. */
  readonly deviceMemory?: number;
}

export function pageMachine(clockStepMs: number): PageMachine {
  const { userAgentData, deviceMemory = 0 } = navigator as Navigator & Hints;
  const isolated = crossOriginIsolated ? "cross-origin isolated" : "not cross-origin isolated";
  return {
    platform: userAgentData?.platform ?? navigator.platform,
    processor: "a processor that pages are not told",
    coreCount: navigator.hardwareConcurrency,
    memoryBytes: deviceMemory * 2 ** 30,
    engine: `${browserName()}, clock in steps of ${(clockStepMs * 1000).toFixed(0)} us, ${isolated}`,
  };
}

/** The browser's name and version, as far as it tells. */
export function browserName(): string {
  const { userAgentData } = navigator as Navigator & Hints;
  // Among the brands is one that means nothing, and the engine beside the product.
  const brands = (userAgentData?.brands ?? []).filter(({ brand }) => !/not.?a.?brand/i.test(brand));
  const brand = brands.find(({ brand: name }) => name !== "Chromium") ?? brands[0];
  if (brand !== undefined) return `${brand.brand} ${brand.version}`;
  const agent = navigator.userAgent;
  const firefox = /Firefox\/([\d.]+)/.exec(agent)?.[1];
  if (firefox !== undefined) return `Firefox ${firefox}`;
  const safari = /Version\/([\d.]+).* Safari\//.exec(agent)?.[1];
  return safari === undefined ? agent : `Safari ${safari}`;
}

/** The smallest step that the page's clock was seen to make, in milliseconds. */
export function clockStep(): number {
  let smallest = Number.POSITIVE_INFINITY;
  let last = performance.now();
  // Some clocks step by a whole millisecond: this takes 20 ms at most.
  for (let steps = 0; steps < 20;) {
    const now = performance.now();
    if (now === last) continue;
    smallest = Math.min(smallest, now - last);
    last = now;
    steps++;
  }
  return smallest;
}

/**
 * Reads the JavaScript heap, or is undefined where the browser gives no number that could say what an
 * iteration costs: most round it to megabytes, or refresh it every minute.
 */
export function heapReader(): (() => HeapState) | undefined {
  const { memory } = performance as Performance & {
    readonly memory?: { readonly usedJSHeapSize: number };
  };
  if (memory === undefined) return undefined;
  const before = memory.usedJSHeapSize;
  const kept = Array.from({ length: 2000 }, (_, index) => ({ index }));
  const growth = memory.usedJSHeapSize - before;
  if (growth < kept.length || growth > 1000 * kept.length) return undefined;
  let last = before;
  let collectionCount = 0;
  return () => {
    const usedBytes = memory.usedJSHeapSize;
    // Pages are not told of collections, but nothing else makes the heap smaller.
    if (usedBytes < last) collectionCount++;
    last = usedBytes;
    return { usedBytes, collectionCount };
  };
}
