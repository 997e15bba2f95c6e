/** A pinned heap at the edges: what its pool keeps, who asks for a submission, and what is lost when. */

import { describe, expect, test, vi } from "vitest";

import { KiB } from "../../src/index.ts";
import type { PinnedBlock, PinnedHeap } from "../../src/index.ts";
import { caught, codeOf, codeOfRejection } from "../support/caught.ts";
import { expectBytes, kibibyte, open, settle } from "../support/plain-pinned.ts";

const readback = { ...kibibyte, direction: "readback" } as const;

function freeAll(heap: PinnedHeap, blocks: Iterable<PinnedBlock>): void {
  for (const block of blocks) heap.free(block);
}

describe("what nobody has wanted", () => {
  test("goes with the second call, and what was wanted meanwhile stays", () => {
    const parts = open();
    const { heap } = parts;
    const take = (count: number): PinnedBlock[] =>
      Array.from({ length: count }, () => heap.alloc(kibibyte));
    expect([heap.decay(), heap.pooledBytes]).toEqual([false, 0]);
    const blocks = take(5);
    freeAll(heap, blocks.splice(1));
    // The pool was empty since the last call: all that is in it came later.
    expect([heap.decay(), heap.pooledBytes]).toEqual([true, 4 * KiB]);
    freeAll(heap, take(3));
    freeAll(heap, take(1));
    // One of the four was never taken.
    expect([heap.decay(), heap.pooledBytes]).toEqual([true, 3 * KiB]);
    expectBytes(parts, { live: KiB, free: 3 * KiB });
    expect([heap.decay(), heap.pooledBytes]).toEqual([false, 0]);
    expectBytes(parts, { live: KiB });
    freeAll(heap, blocks);
    expect([heap.decay(), heap.decay(), heap.decay()]).toEqual([true, false, false]);
    expectBytes(parts, {});
  });

  test("is no more than what is pooled, where the pool was trimmed meanwhile", () => {
    const parts = open();
    const { heap } = parts;
    freeAll(heap, [heap.alloc(kibibyte), heap.alloc(kibibyte), heap.alloc(kibibyte)]);
    heap.decay();
    heap.trim(KiB);
    expect([heap.decay(), heap.pooledBytes]).toEqual([false, 0]);
    expectBytes(parts, {});
  });

  test("trimming to less than nothing is trimming to nothing", () => {
    const parts = open();
    parts.heap.free(parts.heap.alloc(kibibyte));
    parts.heap.trim(-1);
    expectBytes(parts, {});
  });
});

describe("a submission", () => {
  test("is asked for by who waits, and not by who frees", async () => {
    const { heap, source } = open(KiB);
    const asked = vi.spyOn(source, "whenSubmitted");
    const block = heap.alloc(kibibyte);
    block.unmap();
    await block.map();
    expect(asked.mock.calls).toEqual([[true]]);
    block.unmap();
    heap.free(block);
    expect(asked.mock.calls).toEqual([[true], [false]]);
    heap.free(await heap.allocAsync(kibibyte));
    expect(asked.mock.calls).toEqual([[true], [false], [true]]);
  });

  test("is no affair of memory that is mapped", async () => {
    const { heap, source } = open();
    const asked = vi.spyOn(source, "whenSubmitted");
    const tensor = heap.tensor({ shape: [4], dtype: "float32", label: "still here" });
    const array = tensor.data.fill(3);
    expect(await tensor.mapped()).toBe(tensor);
    expect([tensor.state, tensor.data === array, array[3]]).toEqual(["mapped", true, 3]);
    expect(asked).not.toHaveBeenCalled();
    tensor.dispose();
  });

  test("that waits for others does not delay a request that is wrong", async () => {
    const { heap, source } = open(KiB);
    source.holdMappings();
    const block = heap.alloc(kibibyte);
    block.unmap();
    heap.free(block);
    const heard: string[] = [];
    const wrong = codeOfRejection(heap.allocAsync({ byteLength: 0 })).then((c) => heard.push(c));
    await settle();
    expect(heard).toEqual(["INVALID_ARGUMENT"]);
    source.release();
    await Promise.all([wrong, heap.settled()]);
    expect(heap.stats().failedCount).toBe(0);
  });
});

test("one owner of several may end while the memory is read or written, the last may not", () => {
  const parts = open();
  const first = parts.heap.tensor({ shape: [256], dtype: "float32", label: "shared" });
  const second = first.retain();
  const use = second.block.use();
  first.dispose();
  expect(caught(() => second.dispose())).toMatchObject({ code: "IN_USE", label: "shared" });
  use.dispose();
  second.dispose();
  expectBytes(parts, { free: KiB });
});

test("a readback buffer that was waited for once needs no wait the next time, where nothing was copied", async () => {
  const parts = open();
  const { heap, source } = parts;
  const block = heap.alloc(readback);
  block.receive();
  heap.free(block);
  await heap.settled();
  expectBytes(parts, { free: KiB });
  heap.free(heap.alloc(readback));
  expectBytes(parts, { free: KiB });
  expect(source.createdCount).toBe(1);
});

describe("a device that is lost", () => {
  test("twice, or before the heap is closed, counts what was alive once", () => {
    const parts = open();
    const { heap } = parts;
    const block = heap.alloc(kibibyte);
    heap.lose();
    heap.lose();
    heap.close();
    expectBytes(parts, {});
    expect(heap.stats().freeCount).toBe(1);
    heap.free(block);
    expectBytes(parts, {});
  });

  test("in the moment when a mapping has succeeded takes the memory nevertheless", async () => {
    const parts = open();
    const { heap } = parts;
    const block = heap.alloc(kibibyte);
    const mapAsync = async (): Promise<void> => heap.lose();
    Object.assign(block.unmap(), { mapAsync });
    await block.map();
    expect(block.state).toBe("lost");
    expect(codeOf(() => block.memory())).toBe("NOT_MAPPED");
    heap.free(block);
    expectBytes(parts, {});
  });
});
