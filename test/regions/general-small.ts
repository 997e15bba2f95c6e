/** A general heap of small regions that collects nothing by itself, and blocks with known bytes in it. */

import { GeneralHeap } from "../../src/index.ts";
import type { GeneralBlock, GeneralHeapOptions } from "../../src/index.ts";
import { pattern } from "./subject.ts";

export const regionBytes = 16 * 1024;

export function open(options: GeneralHeapOptions = {}): GeneralHeap {
  return new GeneralHeap({
    regionBytes,
    budgetBytes: 64 * regionBytes,
    youngRegions: 0,
    growth: 0,
    finalizers: () => ({ register() {}, unregister() {} }),
    onIgnoredPressure: () => {},
    ...options,
  });
}

export function filled(heap: GeneralHeap, byteLength: number, seed: number): GeneralBlock {
  const block = heap.alloc({ byteLength, label: `block ${seed}` });
  block.bytes().set(pattern(byteLength, seed));
  return block;
}

export function end(blocks: Iterable<{ dispose(): void }>): void {
  for (const block of blocks) block.dispose();
}
