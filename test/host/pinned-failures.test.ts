import { expect, test } from "vitest";

import { InvalidArgumentError, KiB } from "../../src/index.ts";
import { caught, codeOf, rejected } from "../support/caught.ts";
import { expectBytes, kibibyte, open } from "../support/plain-pinned.ts";

test("a buffer that cannot be mapped again is lost, with the reason, and gone when disposed", async () => {
  const parts = open();
  const { heap, source } = parts;
  const tensor = heap.tensor({ shape: [256], dtype: "float32", label: "unlucky" });
  tensor.block.unmap();
  source.mapFailure = new Error("device lost");
  const error = await rejected(tensor.mapped());
  expect(error).toMatchObject({ code: "NOT_MAPPED", cause: source.mapFailure });
  expect(tensor.state).toBe("lost");
  expect(caught(() => tensor.data)).toMatchObject({ code: "NOT_MAPPED", label: "unlucky" });
  expectBytes(parts, { live: KiB });
  tensor.dispose();
  expectBytes(parts, {});
});

test("disposed in flight with a mapping that fails, nothing is left and nothing is thrown", async () => {
  const parts = open();
  const block = parts.heap.alloc(kibibyte);
  block.unmap();
  parts.source.mapFailure = new Error("device lost");
  parts.heap.free(block);
  expectBytes(parts, { deferred: KiB });
  await parts.heap.settled();
  expectBytes(parts, {});
});

test("a platform without memory is OUT_OF_MEMORY with its cause; other errors stay themselves", () => {
  const parts = open();
  const refusal = new RangeError("cannot map");
  parts.source.refusal = refusal;
  expect(caught(() => parts.heap.alloc(kibibyte))).toMatchObject({
    code: "OUT_OF_MEMORY",
    cause: refusal,
    requestedBytes: KiB,
  });
  const foreign = new InvalidArgumentError("LIMIT_EXCEEDED", "too large");
  parts.source.refusal = foreign;
  expect(caught(() => parts.heap.alloc(kibibyte))).toBe(foreign);
  expectBytes(parts, {});
  parts.heap.free(parts.heap.alloc(kibibyte));
  expectBytes(parts, { free: KiB });
});

test("close destroys everything; what was alive is lost, and its dispose harmless", async () => {
  const parts = open();
  const { heap, source } = parts;
  const alive = heap.tensor({ shape: [256], dtype: "float32", label: "alive" });
  const retained = alive.retain();
  heap.free(heap.alloc({ byteLength: 2 * KiB }));
  const flying = heap.alloc(kibibyte);
  flying.unmap();
  heap.free(flying);
  heap.close();
  expect(alive.state).toBe("lost");
  expect(codeOf(() => retained.data)).toBe("NOT_MAPPED");
  await heap.settled();
  expectBytes(parts, {});
  alive.dispose();
  retained.dispose();
  expectBytes(parts, {});
  expect(source.alive.size).toBe(0);
  expect(heap.stats()).toMatchObject({ allocationCount: 3, freeCount: 3 });
});
