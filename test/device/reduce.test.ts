/** Reductions along any axis of tensors that lie anyhow. */

import {
  array,
  assert as assertProperty,
  asyncProperty,
  boolean,
  constantFrom,
  integer,
  nat,
} from "fast-check";
import type { DType, Operations, ReduceOptions, Tensor } from "moorage";
import { dtypes } from "moorage";
import { describe, expect, test } from "vitest";

import { expectTensor, put, putInside, tolerance, useStrictRuntime } from "../support/device.ts";
import type { Tolerance } from "../support/device.ts";
import { folded, made, sliced, store, transposed } from "../support/reference.ts";
import type { Reference } from "../support/reference.ts";

const rt = useStrictRuntime();
const { exact, sum } = tolerance;

interface Fold {
  readonly run: <S>(
    on: Operations<S>,
    x: Tensor<DType, S>,
    options: ReduceOptions,
  ) => Tensor<DType, S>;
  readonly f: (row: Float64Array) => number;
  readonly dtype: (of: DType) => DType;
  readonly limit: Tolerance;
}
const folds: { readonly [N in "sum" | "min" | "max" | "argmax"]: Fold } = {
  sum: {
    run: (on, x, options) => on.sum(x, options),
    f: (row) => row.reduce((a, b) => a + b, 0),
    dtype: (of) => (of === "uint8" ? "uint32" : of),
    limit: sum,
  },
  min: {
    run: (on, x, options) => on.min(x, options),
    f: (row) => row.reduce((a, b) => Math.min(a, b)),
    dtype: (of) => of,
    limit: exact,
  },
  max: {
    run: (on, x, options) => on.max(x, options),
    f: (row) => row.reduce((a, b) => Math.max(a, b)),
    dtype: (of) => of,
    limit: exact,
  },
  argmax: {
    run: (on, x, options) => on.argmax(x, options),
    f: (row) => row.reduce((best, value, index) => (value > row[best]! ? index : best), 0),
    dtype: () => "uint32",
    limit: exact,
  },
};
const names = Object.keys(folds) as (keyof typeof folds)[];

function reduced(
  name: keyof typeof folds,
  x: Reference,
  axis: number | null,
  keepDims: boolean,
): Reference {
  const { f, dtype } = folds[name];
  const result = folded(x, axis, keepDims, dtype(x.dtype), f);
  const isFloat = x.dtype === "float32" || x.dtype === "float16";
  return isFloat
    ? result
    : { ...result, values: result.values.map((value) => store(result.dtype, value)) };
}

/** An input whose largest element stands at several places: the first of them counts. */
function withTies(dtype: DType, shape: readonly number[], seed: number): Reference {
  // Few values in long rows, so that every maximum is met again and again.
  return made(dtype, shape, seed, dtype === "uint32" || dtype === "uint8" ? [0, 9] : [-4, 5]);
}

describe.each(names)("%s", (name) => {
  const { run, limit } = folds[name];
  test.each(dtypes)("of %s over all and each axis, with and without keepDims", async (dtype) => {
    const x = withTies(dtype, [3, 7, 5], 61);
    await rt().scope(async (s) => {
      const given = put(s, x);
      for (const axis of [null, 0, 1, 2, -1]) {
        for (const keepDims of [false, true]) {
          const options = axis === null ? { keepDims } : { axis, keepDims };
          const should = reduced(name, x, axis === null ? null : (axis + 3) % 3, keepDims);
          await expectTensor(
            run(s, given, options),
            should,
            limit,
            `axis ${axis} keepDims ${keepDims}`,
          );
        }
      }
    });
  });

  test("of rows of every kind of length: one chunk, several, not a multiple of four or of a chunk", async () => {
    for (const length of [1, 2, 3, 4, 5, 63, 1023, 1024, 1025, 1028, 4099, 65_536, 99_999]) {
      for (const dtype of ["float32", "uint8"] as const) {
        const x =
          dtype === "float32" && name !== "sum"
            ? made(dtype, [length], length)
            : withTies(dtype, [length], length);
        await rt().scope(async (s) => {
          const tolerated = name === "sum" ? { relative: 2e-6, absolute: 1e-3 } : limit;
          await expectTensor(
            run(s, put(s, x), {}),
            reduced(name, x, null, false),
            tolerated,
            `${dtype} ${length}`,
          );
        });
      }
    }
  });

  test("along long rows beside each other, also strided and misaligned", async () => {
    const x = withTies("float32", [3, 2500], 62);
    const flipped = transposed(x);
    await rt().scope(async (s) => {
      const given = putInside(s, x, 1);
      await expectTensor(
        run(s, given, { axis: 1 }),
        reduced(name, x, 1, false),
        limit,
        "inner axis",
      );
      await expectTensor(
        run(s, given.transpose(), { axis: 0 }),
        reduced(name, flipped, 0, false),
        limit,
        "transposed",
      );
      await expectTensor(
        run(s, s.copy(given.transpose()), { axis: 0 }),
        reduced(name, flipped, 0, false),
        limit,
        "outer axis",
      );
      const part = sliced(x, [
        [0, 3, 2],
        [1, 2500, 2],
      ]);
      const view = given.slice([0, 3, 2], [1, 2500, 2]);
      await expectTensor(run(s, view, { axis: -1 }), reduced(name, part, 1, false), limit, "slice");
      // So many rows that they are not split.
      const many = withTies("float32", [4100, 1030], 63);
      await expectTensor(
        run(s, put(s, many), { axis: 1 }),
        reduced(name, many, 1, false),
        limit,
        "many rows",
      );
    });
  });
});

test("any shape, any axis, any dtype", async () => {
  const shape = array(integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 });
  await assertProperty(
    asyncProperty(
      constantFrom(...names),
      constantFrom(...dtypes),
      shape,
      nat(),
      boolean(),
      async (name, dtype, extents, seed, keepDims) => {
        const axis = seed % extents.length;
        const x = withTies(dtype, extents, seed);
        await rt().scope(async (s) => {
          const result = folds[name].run(s, putInside(s, x, seed % 6), {
            axis: axis - extents.length,
            keepDims,
          });
          await expectTensor(result, reduced(name, x, axis, keepDims), folds[name].limit, name);
        });
      },
    ),
    { numRuns: 60, seed: 9 },
  );
});

test("infinities are numbers: rows of nothing else keep them", async () => {
  await rt().scope(async (s) => {
    const data = Float32Array.of(
      -Infinity,
      -Infinity,
      Infinity,
      Infinity,
      -Infinity,
      Infinity,
      1,
      2,
    );
    const x = s.tensor(data, { shape: [4, 2], dtype: "float32" });
    expect(await s.max(x, { axis: 1 }).toArray()).toEqual([-Infinity, Infinity, Infinity, 2]);
    expect(await s.min(x, { axis: 1 }).toArray()).toEqual([-Infinity, Infinity, -Infinity, 1]);
    const row = s.full([8], -Infinity, { dtype: "float32" });
    expect(await s.max(row).item()).toBe(-Infinity);
  });
});

test("an axis that does not exist is refused", async () => {
  await rt().scope((s) => {
    const x = s.zeros([2, 3], { dtype: "float32" });
    for (const axis of [2, -3, 0.5]) expect(() => s.sum(x, { axis })).toThrowError(/axis/);
  });
});
