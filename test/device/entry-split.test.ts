/** Whole entry points that are run in parts: the same result, wherever the cuts fall. */

import { defineKernel, KiB } from "moorage";
import type { EntryKernel, KernelSplit } from "moorage";
import type { Runtime } from "moorage/node";
import { expect, test } from "vitest";

import type { DeviceContext } from "../../src/device/context.ts";
import { useRuntime } from "../harness.ts";
import { caught, codeOf } from "../support/caught.ts";

const wide = useRuntime();
const opened = useRuntime();

/** A runtime whose device binds 16 KiB at once. */
function limited(): Runtime {
  const { pool, pages } = (opened() as unknown as { readonly context: DeviceContext }).context;
  pool.maxBindingBytes = 16 * KiB;
  (pages as { pageBytes: number }).pageBytes = 4 * KiB;
  return opened();
}

function numbers(count: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, (_, index) => ((index * 37) % 199) - 99);
}

/** Each row's sum, weighted by a vector that every part is given whole, and each row scaled by it. */
const rowSums = (
  split?: KernelSplit,
  halves = false,
): EntryKernel<
  { readonly x: "float32"; readonly weights: "float32" },
  { readonly sums: "float32"; readonly bytes: "uint8" }
> =>
  defineKernel({
    label: "row sums",
    inputs: { x: "float32", weights: "float32" },
    outputs: { sums: "float32", bytes: "uint8" },
    workgroup: [8],
    ...(split && { split }),
    wgsl: `@compute @workgroup_size(8) fn main(@builtin(global_invocation_id) id: vec3u) {
  ${halves ? "for (var row = 2u * id.x; row < 2u * id.x + 2u; row++) {" : "let row = id.x; {"}
    if (row >= sums_extent0()) { return; }
    var sum = 0.0;
    for (var column = 0u; column < x_extent1(); column++) {
      sum += x_get(row, column) * weights_get(column);
    }
    sums_set(row, sum);
    for (var column = 0u; column < bytes_extent1(); column++) {
      bytes_set(row, column, u32(abs(x_get(row, column))) & 255u);
    }
  }
}`,
  });

const along = { axes: { x: 0, sums: 0, bytes: 0 } };

test.each([
  [700, 37, false],
  [4097, 3, false],
  [2, 3000, false],
  [701, 37, true],
])("%d rows of %d, two to an invocation: %s", async (rows, columns, halves) => {
  const results = await Promise.all(
    [wide(), limited()].map((rt) =>
      rt.scope(async (s) => {
        const options = { shape: [rows, columns], dtype: "float32" } as const;
        const x = s.tensor(numbers(rows * columns), options);
        const weights = s.tensor(numbers(columns), { shape: [columns], dtype: "float32" });
        const kernel = rowSums(along, halves);
        const { sums, bytes } = s.run(kernel, {
          inputs: { x, weights },
          shapes: { sums: [rows], bytes: [rows, columns] },
          invocations: [halves ? Math.ceil(rows / 2) : rows],
        });
        return await Promise.all([sums.data(), bytes.data()]);
      }),
    ),
  );
  expect(results[1]).toEqual(results[0]);
  expect(results[0]![1].some((byte) => byte > 0)).toBe(true);
});

test("inputs may be cut along another axis than outputs, and lie any way", async () => {
  const kernel = defineKernel({
    label: "transposed copy",
    inputs: { a: "float32" },
    outputs: { t: "float32" },
    workgroup: [4, 4],
    split: { axes: { a: 1, t: 0 }, invocations: 1 },
    wgsl: `@compute @workgroup_size(4, 4) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.y >= t_extent0() || id.x >= t_extent1()) { return; }
  t_set(id.y, id.x, a_get(id.x, id.y));
}`,
  });
  const rt = limited();
  const x = rt.tensor(numbers(60 * 500), { shape: [500, 60], dtype: "float32", label: "x" });
  // The columns of what is given are rows in memory.
  const { t } = rt.run(kernel, {
    inputs: { a: x.transpose() },
    shapes: { t: [500, 60] },
    invocations: [60, 500],
  });
  expect(await t.data()).toEqual(numbers(60 * 500));
  for (const tensor of [x, t]) tensor.dispose();
});

test("more workgroups than a dispatch has are several dispatches", async () => {
  const kernel = defineKernel({
    label: "one each",
    inputs: { x: "uint8" },
    outputs: { y: "uint8" },
    workgroup: [1],
    split: { axes: { x: 0, y: 0 } },
    wgsl: `@compute @workgroup_size(1) fn main(@builtin(workgroup_id) id: vec3u) {
  if (id.x < y_extent0()) { y_set(id.x, x_get(id.x) + 1u); }
}`,
  });
  const count = 70_001;
  const data = Uint8Array.from({ length: count }, (_, index) => index % 251);
  const x = wide().tensor(data, { shape: [count], dtype: "uint8" });
  const before = wide().stats().dispatchCount;
  const use = { inputs: { x }, shapes: { y: [count] }, invocations: [count] } as const;
  const { y } = wide().run(kernel, use);
  expect(await y.data()).toEqual(data.map((value) => value + 1));
  expect(wide().stats().dispatchCount - before).toBe(2);
  for (const tensor of [x, y]) tensor.dispose();
});

test("a share of the invocations that is no whole number fills a dispatch, and no more", async () => {
  const kernel = defineKernel({
    label: "some each",
    inputs: { x: "float32" },
    outputs: { y: "float32" },
    workgroup: [1],
    split: { axes: { x: 0, y: 0 } },
    wgsl: `@compute @workgroup_size(1) fn main(@builtin(workgroup_id) id: vec3u) {
  if (id.x < y_extent0()) { y_set(id.x, x_get(id.x) + 1.0); }
}`,
  });
  // The share of 1,799 steps is 65,535 exactly; multiplied by the share of one, it is a bit more.
  const count = 2100;
  const x = wide().zeros([count], { dtype: "float32" });
  const use = { inputs: { x }, shapes: { y: [count] }, invocations: [76_500] } as const;
  const { y } = wide().run(kernel, use);
  expect((await y.data()).every((value) => value === 1)).toBe(true);
  for (const tensor of [x, y]) tensor.dispose();
});

test.each<[string, KernelSplit]>([
  ["names z", { axes: { ...along.axes, z: 0 } }],
  ["gives x the axis -1", { axes: { ...along.axes, x: -1 } }],
  ["leaves out the output bytes", { axes: { x: 0, sums: 0 } }],
  ["goes along invocations[3]", { ...along, invocations: 3 as 0 }],
])("a split that %s is refused where it is defined", (what, split) => {
  const error = caught(() => rowSums(split));
  expect(error.code).toBe("INVALID_ARGUMENT");
  expect(error.message).toContain(what);
});

test("what cannot be cut is refused with its reason, and leaves nothing", () => {
  const rt = limited();
  const x = rt.zeros([3, 9000], { dtype: "float32", label: "wide" });
  const weights = rt.zeros([9000], { dtype: "float32", label: "weights" });
  const run = (rows: number, split?: KernelSplit): unknown =>
    rt.run(rowSums(split), {
      inputs: { x, weights },
      shapes: { sums: [rows], bytes: [3, 9000] },
      invocations: [3],
    });
  const before = rt.live().length;
  // One row is more than can be bound; without a split the executor says so.
  const steps = caught(() => run(3, along));
  expect([steps.code, steps.message.includes("one of them is more")]).toEqual([
    "LIMIT_EXCEEDED",
    true,
  ]);
  const none = caught(() => run(3));
  expect([none.code, none.message.includes("declare a split")]).toEqual(["LIMIT_EXCEEDED", true]);
  expect(codeOf(() => run(4, along))).toBe("INVALID_LAYOUT");
  expect(codeOf(() => run(3, { axes: { x: 2, sums: 0, bytes: 0 } }))).toBe("INVALID_LAYOUT");
  expect(rt.live()).toHaveLength(before);
  for (const tensor of [x, weights]) tensor.dispose();
});
