import { expect, test } from "vitest";

import type { PinnedTensor } from "../../src/index.ts";
import { buffersCreated, openRuntime, useRuntime } from "../harness.ts";
import { caught, codeOf, codeOfRejection } from "../support/caught.ts";

const rt = useRuntime();

function batch(value: number, label = "batch"): PinnedTensor<"float32"> {
  const tensor = rt().pinned.tensor({ shape: [1000], dtype: "float32", label });
  tensor.data.fill(value);
  return tensor;
}

async function all(read: Promise<ArrayLike<number>>, value: number): Promise<void> {
  const data = await read;
  expect(data.length).toBe(1000);
  expect(Array.from(data).every((element) => element === value)).toBe(true);
}

test("an upload detaches the raw array, and access through the tensor names it", async () => {
  using image = batch(3);
  const raw = image.data;
  const memory = raw.buffer;
  using x = rt().upload(image);
  expect([raw.length, memory.byteLength]).toEqual([0, 0]);
  raw[0] = 99;
  expect(image.state).toBe("in-flight");
  expect(caught(() => image.data)).toMatchObject({ code: "NOT_MAPPED", label: "batch" });
  expect(codeOf(() => rt().upload(image))).toBe("NOT_MAPPED");
  expect(codeOf(() => rt().write(x, image))).toBe("NOT_MAPPED");
  await all(x.data(), 3);
});

test("after mapped() the memory is written again, and the first upload keeps its values", async () => {
  using image = batch(1);
  using first = rt().upload(image, { label: "first" });
  await image.mapped();
  expect(image.state).toBe("mapped");
  expect(image.data[999]).toBe(1);
  image.data.fill(2);
  using second = rt().upload(image, { label: "second" });
  await all(first.data(), 1);
  await all(second.data(), 2);
});

test("disposed in flight it is deferred, still arrives, and its buffer is used again, mapped", async () => {
  rt().trim();
  await rt().pinned.settled();
  rt().trim();
  const image = batch(4);
  using x = rt().upload(image);
  image.dispose();
  expect(rt().stats().pinned).toMatchObject({ liveBytes: 0, deferredBytes: 4096 });
  await rt().pinned.settled();
  expect(rt().stats().pinned).toMatchObject({ deferredBytes: 0, freeBytes: 4096 });
  const created = buffersCreated();
  using again = batch(5);
  expect(buffersCreated()).toBe(created);
  expect(again.state).toBe("mapped");
  await all(x.data(), 4);
});

test("a hundred uploads, each disposed at once, all arrive", async () => {
  const tensors = Array.from({ length: 100 }, (_, index) => {
    using image = batch(index);
    return rt().upload(image);
  });
  for (const [index, tensor] of tensors.entries()) {
    await all(tensor.data(), index);
    tensor.dispose();
  }
  await rt().pinned.settled();
});

test("a second owner outlives the first across an upload", async () => {
  const first = batch(6);
  using second = first.retain();
  using x = rt().upload(first);
  first.dispose();
  expect(second.state).toBe("in-flight");
  await second.mapped();
  expect(second.data[0]).toBe(6);
  await all(x.data(), 6);
});

test("memory of another runtime is foreign", async () => {
  const other = await openRuntime({ label: "other" });
  const image = other.pinned.tensor({ shape: [4], dtype: "float32", label: "theirs" });
  using x = rt().zeros([4], { dtype: "float32" });
  for (const use of [() => rt().upload(image), () => rt().write(x, image)])
    expect(caught(use)).toMatchObject({ code: "FOREIGN_HANDLE", label: "theirs" });
  expect(image.state).toBe("mapped");
  image.dispose();
  await other.dispose();
});

test("a write from memory of another dtype or size is refused, and leaves both alone", async () => {
  using image = batch(8);
  using bytes = rt().full([1000], 1, { dtype: "uint8", label: "bytes" });
  using few = rt().full([10], 1, { dtype: "float32", label: "few" });
  const wide: PinnedTensor<"float32" | "uint8"> = image;
  expect(codeOf(() => rt().write(bytes, wide))).toBe("UNSUPPORTED_DTYPE");
  expect(codeOf(() => rt().write(few, image))).toBe("INVALID_ARGUMENT");
  expect(image.data[0]).toBe(8);
  await all(bytes.data(), 1);
});

test("after dispose of the runtime the memory is gone, and no new one is made", async () => {
  const runtime = await openRuntime({ onLeak: () => {} });
  const image = runtime.pinned.tensor({ shape: [4], dtype: "float32", label: "left" });
  const raw = image.data;
  await runtime.dispose();
  expect(raw.length).toBe(0);
  expect(image.state).toBe("lost");
  expect(codeOf(() => image.data)).toBe("NOT_MAPPED");
  expect(await codeOfRejection(image.mapped())).toBe("NOT_MAPPED");
  const created = buffersCreated();
  expect(codeOf(() => runtime.pinned.tensor({ shape: [4], dtype: "float32" }))).toBe(
    "RUNTIME_DISPOSED",
  );
  expect(codeOf(() => runtime.upload(image))).toBe("NOT_MAPPED");
  expect(buffersCreated()).toBe(created);
  image.dispose();
  expect(runtime.stats().pinned).toMatchObject({ liveBytes: 0, reservedBytes: 0, freeBytes: 0 });
});
