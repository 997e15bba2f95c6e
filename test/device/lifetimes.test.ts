import { inspect } from "node:util";
import { describe, expect, test } from "vitest";

import type { DeviceContext } from "../../src/device/context.ts";
import type { DeviceAllocation } from "../../src/device/memory/block-table.ts";
import type { Tensor } from "../../src/index.ts";
import { openRuntime, useRuntime } from "../harness.ts";
import { caught, codeOf, codeOfRejection, rejected } from "../support/caught.ts";

const rt = useRuntime();

/** The elements 0, 1, 2 … */
function range(count: number, label = "x"): Tensor<"float32"> {
  const data = Float32Array.from({ length: count }, (_, index) => index);
  return rt().tensor(data, { shape: [count], dtype: "float32", label });
}

/** Every way to use a tensor that a user has. */
function uses(x: Tensor<"float32">): (() => unknown)[] {
  return [
    () => (x.layout.isContiguous ? x.reshape([x.size]) : x.slice()),
    () => x.transpose(),
    () => x.slice(),
    () => x.broadcastTo([2, ...x.shape]),
    () => x.retain(),
    () => rt().add(x, 1),
    () => rt().sum(x),
    () => rt().copy(x),
    () => rt().fill(x, 1),
    () => rt().assign(x, x),
  ];
}

async function expectDead(x: Tensor<"float32">, code: string, named: string): Promise<void> {
  for (const use of uses(x)) {
    const error = caught(use);
    expect(error, use.toString()).toMatchObject({ code, label: x.label });
    expect(error.message).toContain(`"${named}"`);
  }
  for (const read of [x.data(), x.toArray()])
    expect(await rejected(read)).toMatchObject({ code, label: x.label });
}

describe("owners and views", () => {
  test("a disposed tensor refuses every use by name, and disposing twice is harmless", async () => {
    const x = range(4, "weights");
    x.dispose();
    const { freeCount } = rt().stats().deviceHeap;
    x.dispose();
    x[Symbol.dispose]();
    expect(rt().stats().deviceHeap.freeCount).toBe(freeCount);
    await expectDead(x, "USE_AFTER_DISPOSE", "weights");
    expect(codeOf(() => rt().write(x, new Float32Array(4)))).toBe("USE_AFTER_DISPOSE");
  });

  test("disposing twice does not free the memory of the one that came after", async () => {
    const x = range(4);
    x.dispose();
    using heir = range(4, "heir");
    x.dispose();
    expect(await heir.toArray()).toEqual([0, 1, 2, 3]);
  });

  test("views borrow: the owner's end ends them, and they name it", async () => {
    const owner = range(6, "owner");
    const view = owner.reshape([2, 3]).transpose();
    const part = view.slice([1, 3]);
    expect(await part.toArray()).toEqual([
      [1, 4],
      [2, 5],
    ]);
    owner.dispose();
    expect([view.state, part.state]).toEqual(["disposed", "disposed"]);
    for (const borrowed of [view, part]) {
      const error = caught(() => rt().add(borrowed, 1));
      expect(error.code).toBe("USE_AFTER_DISPOSE");
      expect(error.message).toMatch(/its owner "owner" was disposed/);
    }
    await expectDead(part, "USE_AFTER_DISPOSE", "owner");
  });

  test("disposing a view ends the view alone", async () => {
    using owner = range(4);
    const view = owner.slice([1, 3]);
    view.dispose();
    view.dispose();
    expect(codeOf(() => rt().add(view, 1))).toBe("USE_AFTER_DISPOSE");
    expect(await owner.toArray()).toEqual([0, 1, 2, 3]);
  });

  test("retain gives an owner of its own, of a view too", async () => {
    const x = range(6, "x");
    const second = x.retain();
    const part = x.slice([2, 4]).retain();
    x.dispose();
    expect(rt().live()).toHaveLength(1);
    expect(await second.toArray()).toEqual([0, 1, 2, 3, 4, 5]);
    second.dispose();
    // A view of an owner that is alive no more, but the memory is kept.
    expect(await part.toArray()).toEqual([2, 3]);
    await expectDead(second, "USE_AFTER_DISPOSE", "x");
    part.dispose();
    expect(rt().live()).toEqual([]);
  });

  test("freeing in the region is not dispose: twice throws", () => {
    const { heap } = (rt() as unknown as { readonly context: DeviceContext }).context;
    const block: DeviceAllocation = heap.alloc({ byteLength: 16, label: "raw" });
    heap.free(block);
    expect(caught(() => heap.free(block))).toMatchObject({ code: "DOUBLE_FREE", label: "raw" });
  });
});

describe("other runtimes", () => {
  test("a tensor of another runtime is foreign to every operation", async () => {
    const other = await openRuntime({ label: "other" });
    const theirs = other.zeros([4], { dtype: "float32", label: "theirs" });
    using mine = range(4);
    for (const use of [
      () => rt().add(theirs, 1),
      () => rt().add(mine, theirs),
      () => rt().write(theirs, new Float32Array(4)),
      () => rt().assign(mine, theirs),
      () => rt().cast(theirs, "int32"),
    ])
      expect(caught(use)).toMatchObject({ code: "FOREIGN_HANDLE", label: "theirs" });
    await rt().scope((s) => {
      expect(codeOf(() => s.keep(theirs))).toBe("FOREIGN_HANDLE");
    });
    expect(await theirs.toArray()).toEqual([0, 0, 0, 0]);
    theirs.dispose();
    await other.dispose();
  });

  test("what is not a tensor is named", () => {
    for (const wrong of [null, undefined, 3, new Float32Array(2), { label: "fake" }])
      expect(codeOf(() => rt().add(wrong as never, 1))).toBe("INVALID_ARGUMENT");
  });

  test("after dispose every use is RUNTIME_DISPOSED, by its label, and no buffer is made", async () => {
    const leaks: string[] = [];
    const runtime = await openRuntime({
      label: "short",
      onLeak: (all) => leaks.push(...all.map(({ label }) => label)),
    });
    const x = runtime.zeros([4], { dtype: "float32", label: "forgotten" });
    await Promise.all([runtime.dispose(), runtime.dispose()]);
    expect(leaks).toEqual(["forgotten"]);
    const created = runtime.stats().gpuBuffers.createdCount;
    for (const use of [
      () => runtime.add(x, 1),
      () => runtime.empty([4], { dtype: "float32" }),
      () => runtime.tensor(new Float32Array(1), { shape: [1], dtype: "float32" }),
      () => runtime.write(x, new Float32Array(4)),
    ])
      expect(caught(use)).toMatchObject({ code: "RUNTIME_DISPOSED", label: "short" });
    for (const work of [x.data(), runtime.scope(() => 1), runtime.reserve(1024), runtime.sync()])
      expect(await codeOfRejection(work)).toBe("RUNTIME_DISPOSED");
    x.dispose();
    expect(runtime.stats().gpuBuffers).toMatchObject({ createdCount: created, liveCount: 0 });
  });

  test("a scope that is open when the runtime is disposed makes nothing more", async () => {
    const runtime = await openRuntime({ onLeak: () => {} });
    await runtime.scope(async (s) => {
      const x = s.zeros([4], { dtype: "float32" });
      await runtime.dispose();
      const made = runtime.stats().gpuBuffers.createdCount;
      expect(codeOf(() => s.add(x, 1))).toBe("RUNTIME_DISPOSED");
      expect(codeOf(() => s.empty([1 << 24], { dtype: "float32" }))).toBe("RUNTIME_DISPOSED");
      expect(runtime.stats().gpuBuffers.createdCount).toBe(made);
    });
    expect(runtime.stats().deviceArena).toMatchObject({ liveBytes: 0, reservedBytes: 0 });
  });
});

test("a tensor prints its dtype, shape, region, label and state, in every state", async () => {
  const x = range(6, "x");
  const view = x.reshape([2, 3]);
  expect(inspect(x)).toBe('Tensor float32[6] "x" (device heap, ready)');
  expect(inspect({ view })).toContain('Tensor float32[2, 3] "x" (device heap, ready)');
  x.dispose();
  for (const dead of [x, view]) expect(String(dead)).toContain("(device heap, disposed)");
  const image = rt().pinned.tensor({ shape: [2], dtype: "uint8", label: "p" });
  expect(inspect(image)).toBe('PinnedTensor uint8[2] "p" (pinned, mapped)');
  using uploaded = rt().upload(image);
  expect(inspect(image)).toContain("(pinned, in-flight)");
  image.dispose();
  expect(inspect(image)).toBe('PinnedTensor uint8[2] "p" (pinned, disposed)');
  expect(inspect(uploaded)).toBe('Tensor uint8[2] "p" (device heap, ready)');
  let escaped: unknown;
  await rt().scope(
    (s) => {
      escaped = s.zeros([1], { dtype: "int32", label: "y" });
      expect(inspect(escaped)).toBe('Tensor int32[1] "y" (scope "inner", ready)');
    },
    { label: "inner" },
  );
  expect(inspect(escaped)).toBe('Tensor int32[1] "y" (scope "inner", escaped)');
  await rt().pinned.settled();
});
