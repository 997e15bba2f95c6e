/**
 * The engine's own collector at work: graphs of objects that hold blocks, cut at random, with a
 * collection of both heaps at every safe point.
 */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";

import { randomFrom } from "../../bench/core/random.ts";
import { GeneralHeap } from "../../src/index.ts";
import type { GeneralBlock, Pin } from "../../src/index.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** The engine collects, and tells of it in tasks of its own. */
async function engineCollects(): Promise<void> {
  for (let round = 0; round < 3; round++) {
    collectGarbage();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Something of a program that holds a block, or only a view of one, and knows others. */
interface Node {
  block: GeneralBlock | null;
  view: Uint8Array | null;
  readonly value: number;
  readonly byteLength: number;
  readonly edges: Node[];
  pin: Pin | null;
}

/** All nodes that can be reached from the roots. */
function reachable(roots: readonly Node[]): Set<Node> {
  const seen = new Set<Node>();
  const stack = [...roots];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    stack.push(...node.edges);
  }
  return seen;
}

test.each([1, 2, 3])(
  "what can be reached lives, and what cannot is gone (%d)",
  { timeout: 60_000 },
  async (seed) => {
    const heap = new GeneralHeap({
      regionBytes: 64 * 1024,
      budgetBytes: 64 * 2 ** 20,
      youngRegions: 0,
    });
    const random = randomFrom(seed);
    let roots: Node[] = [];
    let next = 0;
    const grow = (): void => {
      for (let count = 0; count < 400; count++) {
        const byteLength = 16 + random.integer(3000);
        const value = next++ & 0xff;
        const block = heap.alloc({ byteLength, label: `node ${next}` });
        block.bytes().fill(value);
        const node: Node = { block, view: null, value, byteLength, edges: [], pin: null };
        const parent = roots[random.integer(roots.length + 1)];
        if (parent === undefined || random.integer(3) === 0) roots.push(node);
        else parent.edges.push(node);
        // Cycles are no obstacle.
        if (parent !== undefined && random.integer(4) === 0) node.edges.push(parent);
        if (random.integer(20) === 0) node.pin = block.pin();
      }
    };
    const cut = (): void => {
      roots = roots.filter(() => random.integer(3) > 0);
      for (const node of reachable(roots)) {
        if (random.integer(10) === 0) node.edges.splice(0, random.integer(node.edges.length + 1));
      }
    };
    const stale: { readonly view: Uint8Array; readonly value: number }[] = [];
    // In frames of their own: what an asynchronous one held last, it holds to its end.
    const look = (): Map<Node, Uint8Array> => {
      const pinned = [...reachable(roots)].filter(({ pin }) => pin !== null);
      for (const { block, value } of reachable(roots)) {
        if (random.integer(10) === 0) stale.push({ view: block!.bytes(), value });
      }
      return new Map(pinned.map((node) => [node, node.pin!.bytes()]));
    };
    const expectWhole = (places: Map<Node, Uint8Array>): void => {
      // Nothing is lost, nothing that is pinned has moved.
      for (const node of reachable(roots)) {
        const bytes = node.block!.bytes();
        expect(bytes.length).toBe(node.byteLength);
        expect(bytes.every((byte) => byte === node.value)).toBe(true);
      }
      for (const [node, view] of places) {
        expect(view.buffer).toBe(node.block!.bytes().buffer);
        expect(view.byteOffset).toBe(node.block!.byteOffset);
      }
      places.clear();
      // A pin is a duty: it is kept until it is disposed.
      for (const node of reachable(roots)) {
        node.pin?.dispose();
        node.pin = null;
      }
    };
    const expectNoOthers = (): void => {
      // A raw view of before is empty, or its block has not moved: it never shows another's bytes.
      const read = stale.filter(({ view }) => view.length > 0);
      expect(read.every(({ view, value }) => view.every((byte) => byte === value))).toBe(true);
      expect(read.length).toBeLessThan(stale.length / 2);
      // Even so, a view keeps its block alive.
      stale.length = 0;
    };
    for (let round = 0; round < 4; round++) {
      grow();
      const places = look();
      heap.collect();
      await engineCollects();
      expectWhole(places);
      cut();
    }
    heap.collect();
    expectNoOthers();
    const live = reachable(roots);
    // Of what its own frames held last, the engine may keep one or two; and it comes when it comes.
    const due = 1600 - live.size - 2;
    for (let turn = 0; turn < 20 && heap.collectionStats().reclaimedCount < due; turn++) {
      await engineCollects();
    }
    expect(heap.collectionStats().reclaimedCount).toBeGreaterThanOrEqual(due);
    for (let collection = 0; collection < 3; collection++) heap.collect();
    const liveBytes = [...live].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(heap.stats().liveBytes).toBeGreaterThanOrEqual(liveBytes);
    expect(heap.stats().liveBytes).toBeLessThanOrEqual(liveBytes + 2 * 3016);
    for (const { block } of live) block!.dispose();
    heap.collect();
    expect(heap.stats().liveBytes).toBeLessThanOrEqual(2 * 3016);
  },
);

test(
  "a view keeps its block alive when the handle is lost; subarray of it does not",
  { timeout: 30_000 },
  async () => {
    const heap = new GeneralHeap({ regionBytes: 64 * 1024, budgetBytes: 2 ** 20, youngRegions: 0 });
    const make = (): readonly [Uint8Array, Uint8Array] => {
      const [a, b] = [heap.alloc({ byteLength: 1000 }), heap.alloc({ byteLength: 1000 })];
      // From now on the engine decides on them, and the views are all that holds them.
      heap.collect();
      return [a.bytes().fill(7), b.bytes().subarray(1)];
    };
    const [kept, part] = make();
    await engineCollects();
    expect(heap.stats().liveBytes).toBe(1000);
    expect([kept.length, kept[0], part.length]).toEqual([1000, 7, 999]);
  },
);

test(
  "a view from before the engine was told of its block keeps it alive, too",
  { timeout: 30_000 },
  async () => {
    const heap = new GeneralHeap({
      regionBytes: 64 * 1024,
      budgetBytes: 2 ** 20,
      youngRegions: 9,
      evacuateBelow: 0.001,
    });
    const make = (): Uint8Array => {
      const view = heap.alloc({ byteLength: 1000 }).bytes().fill(7);
      // Fills the nursery, so that the engine decides on the first block, which stays where it is.
      for (let count = 0; count < 8; count++) heap.alloc({ byteLength: 10_000 }).dispose();
      while (heap.safePoint());
      return view;
    };
    const kept = make();
    await engineCollects();
    expect([heap.stats().liveBytes, heap.collectionStats().reclaimedCount]).toEqual([1000, 0]);
    expect([kept.length, kept[0], kept[999]]).toEqual([1000, 7, 7]);
  },
);
