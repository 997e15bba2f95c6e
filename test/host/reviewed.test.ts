/** What a review found, in the regions of the host; each has happened once. */

import { expect, test } from "vitest";

import { mostEntries } from "../../src/host/general/handle-table.ts";
import { GeneralHeap, HotArena, KiB, PagePool, PinnedHeap } from "../../src/index.ts";
import { FakeSource } from "../regions/fake-mappable.ts";
import { caught, codeOf } from "../support/caught.ts";

test("an alignment that is none is refused, with an observer and without", () => {
  const arena = new HotArena(new PagePool());
  const first = arena.array("uint8", 8).fill(1);
  for (const alignment of [0, Number.NaN, 3, -8]) {
    expect(codeOf(() => arena.array("uint8", 8, "second", alignment))).toBe(
      "UNSUPPORTED_ALIGNMENT",
    );
  }
  expect(first[0]).toBe(1);
  arena.end();
});

test("a block of exactly one region is served from memory that such a block left", () => {
  const bytes = 64 * KiB;
  const heap = new GeneralHeap({ regionBytes: bytes, budgetBytes: 64 * bytes, growth: 0 });
  for (let count = 0; count < 20; count++) heap.alloc({ byteLength: bytes }).dispose();
  expect(heap.stats().reserved.total).toBe(bytes);
});

test("what was used since the last decay stays, where the pool was trimmed meanwhile", () => {
  const heap = new PinnedHeap(new FakeSource(), { budgetBytes: 64 * KiB });
  const blocks = [1, 2, 3].map(() => heap.alloc({ byteLength: KiB }));
  for (const block of blocks) heap.free(block);
  heap.decay();
  heap.trim(KiB);
  heap.free(heap.alloc({ byteLength: 2 * KiB }));
  heap.decay();
  expect(heap.pooledBytes).toBe(2 * KiB);
});

test("less than nothing is nothing, where memory is trimmed", () => {
  const pool = new PagePool();
  const arena = new HotArena(pool);
  arena.array("uint8", 8);
  arena.end();
  pool.trim(-1);
  expect(pool.ledger.reserved).toBe(0);
});

test("a full table of handles refuses by label, and is counted", () => {
  const heap = new GeneralHeap({ growth: 0 });
  heap.table.generation = new Uint32Array(mostEntries);
  const error = caught(() => heap.alloc({ byteLength: 8, label: "row" }));
  expect(error).toMatchObject({ code: "OUT_OF_MEMORY", label: "row" });
  expect(heap.stats().failedCount).toBe(1);
});

test("who waits for memory in flight has it, though all of it came back while work was submitted", async () => {
  const source = new FakeSource();
  const heap = new PinnedHeap(source, { budgetBytes: 4 * KiB });
  source.holdMappings();
  const block = heap.alloc({ byteLength: 4 * KiB });
  block.unmap();
  heap.free(block);
  source.whenSubmitted = async () => {
    source.release();
    await new Promise((resolve) => setImmediate(resolve));
  };
  expect((await heap.allocAsync({ byteLength: 4 * KiB })).byteLength).toBe(4 * KiB);
});
