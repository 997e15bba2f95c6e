/**
 * Tensors that are larger than what a dispatch can bind. The limit is set low, and every operation must
 * give what it gives on a runtime without one.
 */

import { array, assert as assertProperty, asyncProperty, integer, nat } from "fast-check";
import type { DType, Operations, Tensor } from "moorage";
import { defineElementwise, defineKernel, KiB, MiB } from "moorage";
import type { Runtime } from "moorage/node";
import { describe, expect, test } from "vitest";

import type { DeviceContext } from "../../src/device/context.ts";
import { openRuntime, useRuntime } from "../harness.ts";
import { codeOf, codeOfRejection } from "../support/caught.ts";
import { expectClose, tolerance } from "../support/device.ts";

const limitBytes = 16 * KiB;

function contextOf(rt: Runtime): DeviceContext {
  return (rt as unknown as { readonly context: DeviceContext }).context;
}

function narrow(rt: Runtime): Runtime {
  const { pool, pages } = contextOf(rt);
  pool.maxBindingBytes = limitBytes;
  // Pages are far smaller than what can be bound.
  (pages as { pageBytes: number }).pageBytes = limitBytes / 4;
  return rt;
}

const wide = useRuntime();
const opened = useRuntime();
const limited = (): Runtime => narrow(opened());

function numbers(count: number, seed = 1): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, (_, index) => ((index * 37 + seed * 11) % 199) - 99);
}

type Body = <S>(on: Operations<S>, x: Tensor<"float32", S>) => Tensor<DType, S>;

/** Runs `body` over the same numbers with and without the limit. */
async function expectSame(
  shape: readonly number[],
  body: Body,
  allowed: { readonly relative: number; readonly absolute: number } = tolerance.exact,
): Promise<void> {
  const count = shape.reduce((product, extent) => product * extent, 1);
  const [is, should] = await Promise.all(
    [limited(), wide()].map(
      async (rt) =>
        await rt.scope(async (s) => {
          const x = s.tensor(numbers(count), { shape, dtype: "float32", label: "x" });
          const made = body(s, x);
          return { data: await made.data(), shape: made.shape, dtype: made.dtype };
        }),
    ),
  );
  expect(is!.shape).toEqual(should!.shape);
  expect(is!.dtype).toBe(should!.dtype);
  expectClose(is!.data, should!.data, allowed, `of shape ${shape.join(" × ")}`);
}

const shapes = [[4097], [70, 81], [3, 5000], [5000, 3], [2, 70, 81]];

describe.each(shapes.map((shape) => ({ shape })))("element by element, $shape", ({ shape }) => {
  test("copies, numbers, fills, dtypes", async () => {
    await expectSame(shape, (on, x) => on.multiply(on.add(x, 1), x));
    await expectSame(shape, (on, x) => on.cast(x, "uint8"));
    await expectSame(shape, (on, x) => on.cast(on.cast(x, "float16"), "float32"));
    await expectSame(shape, (on, x) => on.cast(on.cast(x, "uint8"), "int32"));
    await expectSame(shape, (on) => on.full(shape, 7, { dtype: "float32" }));
  });

  test("broadcast, transposed, sliced, written into", async () => {
    await expectSame(shape, (on, x) => on.add(x, x.slice([0, 1])));
    await expectSame(shape, (on, x) => on.add(on.sum(x), x), tolerance.sum);
    await expectSame(shape, (on, x) => on.copy(x.transpose()));
    await expectSame(shape, (on, x) =>
      on.add(x.slice([1, shape[0]!]), x.slice([0, shape[0]! - 1])),
    );
    await expectSame(shape, (on, x) => {
      const y = on.zeros(shape, { dtype: "float32" });
      on.assign(y.slice([1, shape[0]!]), x.slice([0, shape[0]! - 1]));
      on.fill(y.slice([0, 1]), 3);
      return y;
    });
    await expectSame(shape, (on, x) => {
      const bytes = on.zeros([...shape, 2], { dtype: "uint8" });
      on.assign(bytes.slice(...shape.map(() => null), 1), on.cast(x, "uint8"));
      return bytes;
    });
  });

  test("a kernel of one's own over elements", async () => {
    const kernel = defineElementwise({
      label: "shifted",
      inputs: ["a", "b"],
      output: "float32",
      parameters: { by: "f32" },
      expression: "a * P.by - b",
    });
    await expectSame(shape, (on, x) => on.map(kernel, [x, x], { parameters: { by: 3 } }));
  });
});

describe.each(shapes.map((shape) => ({ shape })))("along an axis, $shape", ({ shape }) => {
  const axes = [undefined, ...shape.keys()];

  test.each(axes)("axis %s", async (axis) => {
    const options = axis === undefined ? {} : { axis };
    const isRowLarge = shape.slice((axis ?? -1) + 1).reduce((a, b) => a * b, 4) > limitBytes;
    await expectSame(shape, (on, x) => on.sum(x, options), tolerance.sum);
    await expectSame(shape, (on, x) => on.min(x, options));
    await expectSame(shape, (on, x) => on.max(on.cast(x, "float16"), options));
    await expectSame(shape, (on, x) => on.sum(on.cast(x, "uint8"), options));
    if (axis !== undefined) {
      await expectSame(shape, (on, x) => on.softmax(x, { axis }), tolerance.transcendental);
    }
    if (axis === undefined || !isRowLarge)
      await expectSame(shape, (on, x) => on.argmax(x, options));
  });
});

test("what has no parts says so, and leaves nothing", async () => {
  const rt = limited();
  const x = rt.zeros([2, 5000], { dtype: "float32", label: "x" });
  const weights = rt.zeros([3], { dtype: "float32" });
  expect(codeOf(() => rt.argmax(x, { axis: 0 }))).toBe("LIMIT_EXCEEDED");
  expect(codeOf(() => rt.convolve(x, weights, { axis: 1 }))).toBe("LIMIT_EXCEEDED");
  const kernel = defineKernel({
    label: "first",
    inputs: { x: "float32" },
    outputs: { y: "float32" },
    workgroup: [1],
    wgsl: "@compute @workgroup_size(1) fn main() { y_set(0, x_get(0, 3)); }",
  });
  const use = { shapes: { y: [1] }, invocations: [1] } as const;
  expect(codeOf(() => rt.run(kernel, { inputs: { x }, ...use }))).toBe("LIMIT_EXCEEDED");
  rt.fill(x.slice(1, [3, 4]), 5);
  // A part of it can be bound.
  const { y } = rt.run(kernel, { inputs: { x: x.slice([1, 2], [0, 100]) }, ...use });
  expect(await y.item()).toBe(5);
  for (const tensor of [x, weights, y]) tensor.dispose();
});

test("convolutions of many rows", async () => {
  await expectSame([80, 90], (on, x) => {
    const weights = on.tensor(new Float32Array([1, 2, -1]), { shape: [3], dtype: "float32" });
    return on.convolve(x, weights, { axis: 1 });
  });
  await expectSame([9, 30, 33], (on, x) => {
    const weights = on.tensor(new Float32Array([1, 2, -1]), { shape: [3], dtype: "float32" });
    return on.convolve(x, weights, { axis: 1 });
  });
});

describe("matrix products", () => {
  test.each([
    [700, 13, 4],
    [4, 700, 13],
    [13, 4, 700],
    [90, 90, 90],
    [1, 9000, 2],
    [5000, 1, 3],
    [3, 1, 5000],
  ])("%d × %d × %d", async (rows, inner, columns) => {
    const right = (on: Operations<unknown>): Tensor<"float32", unknown> =>
      on.tensor(numbers(inner * columns, 5), { shape: [inner, columns], dtype: "float32" });
    await expectSame([rows, inner], (on, x) => on.matmul(x, right(on as never)), tolerance.sum);
    await expectSame(
      [inner, rows],
      (on, x) => on.matmul(x.transpose(), right(on as never)),
      tolerance.sum,
    );
    const turned = (on: Operations<unknown>): Tensor<"float32", unknown> =>
      on
        .tensor(numbers(inner * columns, 5), { shape: [columns, inner], dtype: "float32" })
        .transpose();
    await expectSame([rows, inner], (on, x) => on.matmul(x, turned(on as never)), tolerance.sum);
  });

  test("of batches", async () => {
    await expectSame([6, 40, 30], (on, x) => on.matmul(x, x.transpose([0, 2, 1])), tolerance.sum);
    await expectSame(
      [2, 3, 30, 40],
      (on, x) => on.matmul(x, x.slice(0, [0, 1]).transpose([0, 2, 1])),
      tolerance.sum,
    );
  });
});

test("random shapes and slices", async () => {
  const shape = array(integer({ min: 2, max: 9 }), { minLength: 1, maxLength: 2 });
  await assertProperty(
    asyncProperty(shape, nat(30), nat(2), async (inner, drop, turn) => {
      const extents = [...inner, 113];
      await expectSame(extents, (on, x) => {
        const view = x.slice(...inner.map(() => null), [drop, 113, 1 + turn]);
        const order = extents.map((_, axis) => (axis + turn) % extents.length);
        const turned = view.transpose(order);
        return on.add(turned, on.copy(turned));
      });
    }),
    { numRuns: 12, seed: 7 },
  );
});

test("large tensors travel, grow, end and come back like others", async () => {
  const rt = narrow(await openRuntime({ budget: { pinnedBytes: 64 * KiB } }));
  const count = 50_000;
  const values = numbers(count);
  const x = rt.tensor(values, { shape: [count], dtype: "float32", label: "x" });
  expectClose(await x.data(), values, tolerance.exact, "read back");
  const y = rt.produce({ shape: [count], dtype: "float32", label: "y" }, (own) => own.set(values));
  expectClose(await y.data(), values, tolerance.exact, "produced");
  const into = new Float32Array(count);
  await y.readInto(into);
  expectClose(into, values, tolerance.exact, "read into");
  await rt.writeFrom(y, (piece, offset) => piece.fill(offset === 0 ? 1 : 2), {
    windowBytes: 16 * KiB,
  });
  expect((await y.slice(0).item()) === (await y.slice(count - 1).item())).toBe(false);
  const part = await rt.scope((s) => s.keep(s.multiply(x, 2)));
  expect(await part.slice(count - 1).item()).toBe(values[count - 1]! * 2);
  const rows = rt.growable({ rowShape: [1000], dtype: "float32", label: "rows" });
  for (let row = 0; row < 20; row++) rows.append(values.subarray(row * 1000, (row + 1) * 1000));
  expectClose(await rows.view().data(), values.subarray(0, 20_000), tolerance.exact, "grown");
  const { slabs, deviceHeap } = rt.stats();
  expect(slabs.count).toBeGreaterThan(3);
  expect(deviceHeap.liveBytes).toBeGreaterThan(3 * 4 * count);
  await rt.compact();
  for (const tensor of [x, y, part, rows]) tensor.dispose();
  await rt.sync();
  await rt.compact();
  rt.trim();
  expect(rt.stats().deviceHeap.reservedBytes).toBeLessThan(4 * MiB);
  await rt.dispose();
});

test("a large tensor is one buffer: past its limit it is refused", async () => {
  const rt = limited();
  contextOf(rt).pool.maxBufferBytes = MiB;
  try {
    expect(codeOf(() => rt.empty([MiB], { dtype: "float32", label: "x" }))).toBe("LIMIT_EXCEEDED");
    expect(await codeOfRejection(rt.reserve(2 * MiB))).toBe("LIMIT_EXCEEDED");
    await rt.reserve(MiB);
    const x = rt.empty([MiB / 4], { dtype: "float32", label: "x" });
    const small = rt.empty([4], { dtype: "float32", label: "small" });
    for (const tensor of [x, small]) tensor.dispose();
  } finally {
    contextOf(rt).pool.measure();
    rt.trim();
  }
});
