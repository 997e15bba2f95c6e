/** Listeners to pressure that use the heap while it is at work. */

import { expect, test } from "vitest";

import type { GeneralBlock } from "../../src/index.ts";
import { open, regionBytes } from "./general-small.ts";

const pressed = { budgetBytes: 10 * regionBytes, watermarks: { high: 0.2, critical: 1 } };

test("a listener that allocates while a nursery begins has bytes of its own", () => {
  const heap = open(pressed);
  const all: GeneralBlock[] = [];
  const take = (): void => {
    const block = heap.alloc({ byteLength: 4000 });
    block.bytes().fill(all.push(block));
  };
  heap.onPressure(take);
  for (let count = 0; count < 20; count++) take();
  expect(all.map((block) => block.bytes()[0])).toEqual(all.map((_, at) => at + 1));
});

test("a listener may collect while a nursery begins", () => {
  const heap = open(pressed);
  const all: GeneralBlock[] = [];
  heap.onPressure(() => void heap.collect());
  for (let count = 0; count < 20; count++) all.push(heap.alloc({ byteLength: 4000 }));
  expect(all.length).toBe(20);
});

test("the engine is told of what a listener allocated when it was told of a refusal", () => {
  const told = new Set<object>();
  const heap = open({
    budgetBytes: 4 * regionBytes,
    watermarks: { high: 1, critical: 1 },
    finalizers: () => ({ register: (block) => void told.add(block), unregister() {} }),
  });
  const hoard = [1, 2, 3].map(() => heap.alloc({ byteLength: regionBytes }));
  const mine: GeneralBlock[] = [];
  heap.onPressure(() => {
    for (const block of hoard.splice(0)) block.dispose();
    mine.push(heap.alloc({ byteLength: 4000 }));
  });
  const block = heap.withNoGC(() => heap.alloc({ byteLength: 4000 }));
  for (let count = 0; count < 3; count++) heap.collect();
  // Else it would never end, unreachable though it is.
  expect([told.has(block), told.has(mine[0]!)]).toEqual([true, true]);
});
