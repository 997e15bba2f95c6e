/** A pinned heap over plain memory, and what its statistics must be. */

import { expect } from "vitest";

import { KiB, PinnedHeap } from "../../src/index.ts";
import { FakeSource } from "../regions/fake-mappable.ts";

export interface Parts {
  readonly source: FakeSource;
  readonly heap: PinnedHeap;
}

/** A heap over a source of its own. */
export function open(budgetBytes = 64 * KiB): Parts {
  const source = new FakeSource();
  return { source, heap: new PinnedHeap(source, { budgetBytes }) };
}

/** Lets everything that waits only for other promises happen. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
export const kibibyte = { byteLength: KiB, label: "k" };

/** The statistics of a heap with this much of each. */
export function expectBytes(
  { heap, source }: Parts,
  bytes: { live?: number; deferred?: number; free?: number },
): void {
  const { live = 0, deferred = 0, free = 0 } = bytes;
  const reserved = live + deferred + free;
  expect(heap.stats()).toMatchObject({
    liveBytes: live,
    paddingBytes: 0,
    deferredBytes: deferred,
    freeBytes: free,
    reservedBytes: reserved,
  });
  expect(source.aliveBytes).toBe(reserved);
}
