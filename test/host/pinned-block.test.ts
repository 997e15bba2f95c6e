/** A pinned block by itself: what it says when it cannot be touched, and who holds it. */

import { expect, test } from "vitest";

import { KiB } from "../../src/index.ts";
import { caught, codeOf } from "../support/caught.ts";
import { expectBytes, kibibyte, open, settle } from "../support/plain-pinned.ts";

test("elements of every dtype are as many as fit", () => {
  const { heap } = open();
  const block = heap.alloc({ byteLength: 10 });
  expect(block.array("uint8")).toHaveLength(10);
  expect(block.array("float32")).toHaveLength(2);
  expect(block.array("float64")).toHaveLength(1);
  heap.free(block);
});

test("lost memory is told as lost, and not as on its way", () => {
  const { heap } = open();
  const block = heap.alloc({ ...kibibyte, label: "batch" });
  heap.lose();
  const error = caught(() => block.memory());
  expect(error).toMatchObject({ code: "NOT_MAPPED", label: "batch" });
  expect(error.message).toMatch(/"batch".*device that is lost/);
  expect(error.message).not.toContain("await");
});

test("a use ends once, holds the block meanwhile, and shows nothing afterwards", () => {
  const parts = open();
  const { heap } = parts;
  const block = heap.alloc({ ...kibibyte, label: "batch" });
  const [first, second] = [block.use(), block.use()];
  expect(first.bytes()).toHaveLength(KiB);
  const refusal = caught(() => heap.free(block));
  expect(refusal).toMatchObject({ code: "IN_USE", label: "batch" });
  expect(refusal.message).toContain("2 reads or writes");
  first.dispose();
  first.dispose();
  expect(codeOf(() => first.bytes())).toBe("USE_AFTER_DISPOSE");
  expect(caught(() => block.unmap()).message).toContain("1 reads or writes");
  second[Symbol.dispose]();
  heap.free(block);
  expectBytes(parts, { free: KiB });
});

test("what was given to the GPU is waited for before it serves again, and what was not is not", async () => {
  const parts = open();
  const { heap, source } = parts;
  const block = heap.alloc(kibibyte);
  block.unmap();
  source.holdMappings();
  heap.free(block);
  await settle();
  const other = heap.alloc(kibibyte);
  expect(source.createdCount).toBe(2);
  source.release();
  await settle();
  heap.free(other);
  const [again, more] = [heap.alloc(kibibyte), heap.alloc(kibibyte)];
  expect(source.createdCount).toBe(2);
  for (const one of [again, more]) heap.free(one);

  const readback = heap.alloc({ ...kibibyte, direction: "readback" });
  readback.receive();
  source.holdMappings();
  heap.free(readback);
  await settle();
  const next = heap.alloc({ ...kibibyte, direction: "readback" });
  expect(source.createdCount).toBe(4);
  source.release();
  await settle();
  heap.free(next);
  expectBytes(parts, { free: 4 * KiB });
});
