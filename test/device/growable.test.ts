/** Tensors that grow: what is appended is there, and appending costs what is appended. */

import { describe, expect, test } from "vitest";

import { randomFrom } from "../../bench/core/random.ts";
import type { DType, GrowableTensor } from "../../src/index.ts";
import { buffersCreated, openRuntime, useRuntime } from "../harness.ts";
import { caught, codeOf } from "../support/caught.ts";

const rt = useRuntime();

const arrays = {
  float32: (values: readonly number[]) => Float32Array.from(values),
  float16: (values: readonly number[]) => Uint16Array.from(values),
  int32: (values: readonly number[]) => Int32Array.from(values),
  uint32: (values: readonly number[]) => Uint32Array.from(values),
  uint8: (values: readonly number[]) => Uint8Array.from(values),
} as const satisfies { readonly [D in DType]: unknown };

/** What it holds, flat in the user's order. */
async function contents(growing: GrowableTensor): Promise<number[]> {
  return Array.from(await growing.view().data());
}

describe.each(["float32", "float16", "int32", "uint32", "uint8"] as const)("of %s", (dtype) => {
  test.each([
    [0, [3]],
    [0, []],
    [1, [2, 3]],
    [2, [2, 3]],
  ] as const)("along axis %d with rows of shape %j, in every form", async (axis, shapeOfRow) => {
    const rowShape: readonly number[] = shapeOfRow;
    const random = randomFrom(7);
    const growing = rt().growable({ rowShape, axis, dtype, label: "cache" });
    const rowCount = rowShape.reduce((product, extent) => product * extent, 1);
    /** Row by row, as it lies in memory. */
    const model: number[][] = [];
    for (let step = 0; step < 24; step++) {
      const count = 1 + random.integer(3);
      const rows = Array.from({ length: count }, () =>
        Array.from({ length: rowCount }, () => random.integer(200)),
      );
      const shape = rowShape.toSpliced(axis, 0, count);
      const flat = arranged(rows, rowShape, axis);
      const array = arrays[dtype](flat);
      if (step % 3 === 0) growing.append(array);
      else {
        const single = step % 3 === 1 && count === 1;
        const x = rt().tensor(array, { shape: single ? rowShape : shape, dtype });
        growing.append(x);
        x.dispose();
      }
      model.push(...rows);
      expect(growing.length).toBe(model.length);
      expect(growing.shape).toEqual(rowShape.toSpliced(axis, 0, model.length));
      expect(await contents(growing)).toEqual(arranged(model, rowShape, axis));
    }
    growing.truncate(5);
    growing.append(growing.view(1, 3));
    model.splice(5, model.length, model[1]!, model[2]!);
    expect(await contents(growing)).toEqual(arranged(model, rowShape, axis));
    growing.trim();
    expect(growing.capacity).toBe(7);
    expect(await contents(growing)).toEqual(arranged(model, rowShape, axis));
    growing.dispose();
  });
});

/** Rows with the axis that grows in its place, flat. */
function arranged(
  rows: readonly (readonly number[])[],
  rowShape: readonly number[],
  axis: number,
): number[] {
  const inner = rowShape.slice(axis).reduce((product, extent) => product * extent, 1);
  const outer = rowShape.slice(0, axis).reduce((product, extent) => product * extent, 1);
  const flat: number[] = [];
  for (let block = 0; block < outer; block++)
    for (const row of rows) flat.push(...row.slice(block * inner, (block + 1) * inner));
  return flat;
}

test("2,000 rows take few buffers, few copies of everything, and a quarter of room at most", async () => {
  const own = await openRuntime();
  const growing = own.growable({ rowShape: [64], dtype: "float32", label: "cache" });
  const row = new Float32Array(64);
  let moves = 0;
  let capacity = growing.capacity;
  const before = buffersCreated();
  for (let step = 0; step < 2000; step++) {
    growing.append(row.fill(step));
    if (growing.capacity !== capacity) moves++;
    ({ capacity } = growing);
    expect(capacity).toBeLessThanOrEqual(Math.ceil(1.25 * growing.length) + 1);
  }
  expect(moves).toBeLessThan(40);
  expect(buffersCreated() - before).toBeLessThanOrEqual(3);
  const data = await growing.view(1990).data();
  expect(data).toEqual(
    Float32Array.from({ length: 640 }, (_, index) => 1990 + Math.floor(index / 64)),
  );
  growing.dispose();
  await own.dispose();
});

test("a view ends with the next growth, by name, and stays while there is room", async () => {
  const growing = rt().growable({ rowShape: [4], dtype: "int32", capacity: 2, label: "log" });
  const four = new Int32Array(4);
  growing.append(four.fill(1));
  const view = growing.view();
  growing.append(four.fill(2));
  expect(Array.from(await view.data())).toEqual([1, 1, 1, 1]);
  growing.append(four.fill(3));
  expect(caught(() => view.reshape([4]))).toMatchObject({
    code: "USE_AFTER_DISPOSE",
    label: "log",
  });
  growing.dispose();
  growing.dispose();
  expect(codeOf(() => growing.append(four))).toBe("USE_AFTER_DISPOSE");
  expect(codeOf(() => growing.view())).toBe("USE_AFTER_DISPOSE");
});

test("where memory runs out, nothing has changed", async () => {
  const own = await openRuntime({ budget: { deviceBytes: 2 ** 20 }, slabBytes: 2 ** 20 });
  const growing = own.growable({ rowShape: [1024], dtype: "float32", label: "cache" });
  // Once the slab is there for certain, what is alone in it grows in place.
  await own.sync();
  const row = new Float32Array(1024);
  let appended = 0;
  const error = caught(() => {
    for (; appended < 1000; appended++) growing.append(row.fill(appended));
  });
  expect(error.code).toBe("OUT_OF_MEMORY");
  expect(appended).toBe(256);
  expect(growing.length).toBe(256);
  const data = await growing.view().data();
  expect([data[0], data[1024 * 255]]).toEqual([0, 255]);
  growing.dispose();
  await own.dispose();
});

test.each([
  [{ rowShape: [0], dtype: "float32" }, "INVALID_LAYOUT"],
  [{ rowShape: [2], dtype: "float32", axis: 2 }, "INVALID_ARGUMENT"],
  [{ rowShape: [2], dtype: "float32", axis: -1 }, "INVALID_ARGUMENT"],
  [{ rowShape: [2], dtype: "float32", capacity: 0 }, "INVALID_LAYOUT"],
] as const)("%j is refused", (options, code) => {
  expect(codeOf(() => rt().growable(options))).toBe(code);
});

test("rows that do not fit are refused, and nothing has changed", () => {
  const growing = rt().growable({ rowShape: [2, 3], axis: 1, dtype: "float32", label: "cache" });
  growing.append(new Float32Array(6));
  const wrong = rt().zeros([3, 2], { dtype: "float32" });
  const other = rt().zeros([2, 3], { dtype: "int32" });
  expect(codeOf(() => growing.append(wrong))).toBe("INVALID_LAYOUT");
  expect(codeOf(() => growing.append(other as never))).toBe("UNSUPPORTED_DTYPE");
  expect(codeOf(() => growing.append(new Float32Array(7)))).toBe("INVALID_LAYOUT");
  expect(codeOf(() => growing.append(new Float32Array(0)))).toBe("INVALID_LAYOUT");
  expect(codeOf(() => growing.truncate(2))).toBe("INVALID_ARGUMENT");
  expect(codeOf(() => growing.view(0, 2))).toBe("INVALID_LAYOUT");
  expect(growing.length).toBe(1);
  for (const one of [wrong, other, growing]) one.dispose();
});
