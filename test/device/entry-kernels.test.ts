/** Kernels written as whole entry points, when they are right. */

import { defineKernel } from "moorage";
import { expect, test } from "vitest";

import { expectTensor, put, putInside, tolerance, useStrictRuntime } from "../support/device.ts";
import { build, made, store, transposed } from "../support/reference.ts";

const rt = useStrictRuntime();
const { exact, rounded } = tolerance;

const split = defineKernel({
  label: "split rows",
  inputs: { x: "float32", pick: "uint8" },
  outputs: { small: "uint8", half: "float16", sums: "float32", cube: "int32" },
  parameters: { bias: "f32", times: "i32" },
  workgroup: [4, 2],
  wgsl: `@compute @workgroup_size(4, 2)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
let column = id.x; let row = id.y;
if (row >= x_extent0() || column >= x_extent1()) { return; }
let value = x_get(row, column) + P.bias;
small_set(row, column, u32(pick_get(column)) + row);
half_set(column, row, value);
cube_set(0u, row, column, i32(column) * P.times);
if (column == 0u) {
  var total = 0.0;
  for (var c = 0u; c < x_extent1(); c++) { total += x_get(row, c); }
  sums_set(row, total);
}
}`,
});
const shapes = (rows: number, columns: number) =>
  ({
    small: [rows, columns],
    half: [columns, rows],
    sums: [rows],
    cube: [1, rows, columns],
  }) as const;

test.each([
  [5, 7],
  [1, 1],
  [13, 3],
])("several outputs of several ranks and dtypes: %i × %i", async (rows, columns) => {
  const [x, pick] = [made("float32", [rows, columns], 111), made("uint8", [columns], 112)];
  const at = (r: number, c: number): number => x.values[r * columns + c]!;
  await rt().scope(async (s) => {
    for (const [given, chosen] of [
      [put(s, x), put(s, pick)],
      [put(s, transposed(x)).transpose(), putInside(s, pick)],
    ] as const) {
      const { small, half, sums, cube } = s.run(split, {
        inputs: { x: given as never, pick: chosen as never },
        shapes: shapes(rows, columns),
        parameters: { bias: 0.5, times: -3 },
        invocations: [columns, rows],
      });
      await expectTensor(
        small,
        build("uint8", [rows, columns], ([r, c]) => store("uint8", pick.values[c!]! + r!)),
        exact,
        "uint8",
      );
      await expectTensor(
        half,
        build("float16", [columns, rows], ([c, r]) => at(r!, c!) + 0.5),
        rounded,
        "float16",
      );
      await expectTensor(
        sums,
        build("float32", [rows], ([r]) =>
          Array.from({ length: columns }, (_, c) => at(r!, c)).reduce((a, b) => a + b, 0),
        ),
        tolerance.sum,
        "sums",
      );
      await expectTensor(
        cube,
        build("int32", [1, rows, columns], ([, , c]) => c! * -3),
        exact,
        "int32",
      );
    }
  });
});

test("a stray index reads and writes nothing of its neighbours", async () => {
  const stray = defineKernel({
    label: "stray",
    inputs: { x: "uint32" },
    outputs: { y: "uint32", seen: "uint32" },
    workgroup: [64],
    wgsl: `@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
for (var far = 0u; far < 4096u; far += 1u) { y_set(far * 16u + 3u + id.x * 67u, 0xdeadu); }
seen_set(id.x, x_get(id.x * 61u + 7u) + x_get(id.x * 0x1000000u));
y_set(id.x * 0x1000000u, 0xbeefu);
}`,
  });
  const count = 64;
  // On the heap, side by side in the same slabs as input and output.
  const neighbours = Array.from({ length: 24 }, (_, n) =>
    rt().full([count], n, { dtype: "uint32" }),
  );
  neighbours.filter((_, n) => n % 3 === 1).forEach((tensor) => tensor.dispose());
  using x = rt().full([count], 1, { dtype: "uint32" });
  const { y, seen } = rt().run(stray, {
    inputs: { x },
    shapes: { y: [count], seen: [count] },
    invocations: [64],
  });
  for (const [n, tensor] of neighbours.entries()) {
    if (n % 3 !== 1) expect(new Set(await tensor.data())).toEqual(new Set([n]));
    tensor.dispose();
  }
  // What it read was its own input, or nothing.
  for (const value of await seen.data()) expect([0, 1, 2]).toContain(value);
  expect(new Set(await x.data())).toEqual(new Set([1]));
  y.dispose();
  seen.dispose();
});

test("what is wrong in a description or a run is said at the call", async () => {
  const parts = { label: "k", outputs: { y: "float32" }, workgroup: [1], wgsl: "" } as const;
  expect(() => defineKernel({ ...parts, inputs: { y: "float32" } })).toThrowError(/twice/);
  expect(() => defineKernel({ ...parts, inputs: { "a b": "float32" } })).toThrowError(/a b/);
  expect(() => defineKernel({ ...parts, inputs: {}, outputs: {} })).toThrowError(/output/);
  expect(() => defineKernel({ ...parts, inputs: { x: "int64" as never } })).toThrowError(/int64/);
  await rt().scope((s) => {
    const [x, pick] = [s.zeros([2, 2], { dtype: "float32" }), s.zeros([2], { dtype: "uint8" })];
    const use = {
      inputs: { x, pick },
      shapes: shapes(2, 2),
      parameters: { bias: 1, times: 1 },
      invocations: [2, 2],
    } as const;
    expect(() => s.run(split, { ...use, inputs: { x } as never })).toThrowError(/input pick/);
    expect(() => s.run(split, { ...use, inputs: { x: pick, pick } as never })).toThrowError(
      /float32.*uint8|cast\(\)/,
    );
    expect(() => s.run(split, { ...use, parameters: { bias: 1 } as never })).toThrowError(
      /parameter times/,
    );
    expect(() =>
      s.run(split, { ...use, shapes: { ...use.shapes, sums: undefined } as never }),
    ).toThrowError(/sums/);
    expect(() => s.run(split, { ...use, shapes: { ...use.shapes, sums: [0] } })).toThrowError(
      /sums/,
    );
    for (const invocations of [
      [NaN, 1],
      [-1, 1],
      [1e9, 1],
      [1, 1, 70_000],
    ] as const)
      expect(() => s.run(split, { ...use, invocations })).toThrowError(/invocations/);
  });
});
