/** Softmax and convolution along any axis, by either way of computing them. */

import type { DType } from "moorage";
import { describe, expect, test } from "vitest";

import { expectTensor, put, putInside, tolerance, useStrictRuntime } from "../support/device.ts";
import {
  build,
  convolved,
  made,
  random,
  sliced,
  softmaxOf,
  store,
  transposed,
} from "../support/reference.ts";
import type { Reference } from "../support/reference.ts";

const rt = useStrictRuntime();
const { transcendental } = tolerance;

describe("softmax", () => {
  test.each([
    [[7], 0],
    [[5, 9], 0],
    [[5, 9], 1],
    [[2, 3, 4], 1],
    [[70, 4099], 1],
    [[4099, 3], 0],
    [[2, 20_001], -1],
    [[100_000], 0],
  ])("of shape %j along axis %i", async (shape, axis) => {
    for (const dtype of ["float32", "float16"] as const) {
      const x = made(dtype, shape, 71, [-9, 9]);
      await rt().scope(async (s) => {
        const result = s.softmax(put(s, x), { axis });
        await expectTensor(
          result,
          softmaxOf(x, axis < 0 ? axis + shape.length : axis),
          transcendental,
          dtype,
        );
      });
    }
  });

  test("of large values, of equal values, of a transposed view; not of integers", async () => {
    await rt().scope(async (s) => {
      for (const base of [3e38, 1e4, -1e4, -3e38]) {
        const x = s.full([4], base, { dtype: "float32" });
        expect(await s.softmax(x, { axis: 0 }).toArray()).toEqual([0.25, 0.25, 0.25, 0.25]);
      }
      const wide = made("float32", [2, 9000], 72, [900, 1000]);
      await expectTensor(
        s.softmax(put(s, wide), { axis: 1 }),
        softmaxOf(wide, 1),
        { relative: 1e-4, absolute: 1e-6 },
        "long",
      );
      const x = made("float32", [6, 5], 73);
      await expectTensor(
        s.softmax(put(s, x).transpose(), { axis: 1 }),
        softmaxOf(transposed(x), 1),
        transcendental,
        "view",
      );
      expect(() => s.softmax(s.zeros([3], { dtype: "int32" }), { axis: 0 })).toThrowError(
        /cast\(\)/,
      );
    });
  });
});

describe("convolve", () => {
  const weights = (count: number, dtype: DType = "float32"): Reference =>
    made(dtype, [count], count, [0, 1]);

  test.each([
    [[31], 0, 5],
    [[6, 9], 0, 3],
    [[6, 9], 1, 7],
    [[3, 4, 5], 1, 3],
    [[3, 4, 5], -1, 1],
    [[2, 3], 1, 21],
    [[1, 1], 0, 9],
    [[300, 400], 0, 13],
  ])("shape %j along axis %i with %i weights", async (shape, axis, count) => {
    for (const dtype of ["float32", "float16"] as const) {
      const [x, w] = [made(dtype, shape, 81), weights(count, dtype)];
      await rt().scope(async (s) => {
        const should = convolved(x, w, axis < 0 ? axis + shape.length : axis);
        const limit =
          dtype === "float16"
            ? { relative: 0, absolute: 2 ** -8 }
            : { relative: 0, absolute: 1e-5 };
        await expectTensor(s.convolve(put(s, x), put(s, w), { axis }), should, limit, dtype);
        await expectTensor(
          s.convolve(putInside(s, x), putInside(s, w), { axis }),
          should,
          limit,
          `${dtype} inside`,
        );
      });
    }
  });

  test("separably, of a strided view, with strided weights, with itself", async () => {
    const x = made("float32", [40, 30], 82);
    const [across, down] = [weights(5), weights(9)];
    const next = random(3);
    const row = build("float32", [1, 7], () => store("float32", next()));
    await rt().scope(async (s) => {
      const both = convolved(convolved(transposed(x), across, 1), down, 0);
      const limit = { relative: 0, absolute: 3e-5 };
      const view = put(s, x).transpose();
      const sparse = sliced(down, [[0, 9, 2]]);
      await expectTensor(
        s.convolveSeparable(view, put(s, across), put(s, down)),
        both,
        limit,
        "separable",
      );
      await expectTensor(
        s.convolve(view, put(s, down).slice([0, 9, 2]), { axis: 0 }),
        convolved(transposed(x), sparse, 0),
        limit,
        "strided weights",
      );
      const same = put(s, row).reshape([7]);
      const flat = { ...row, shape: [7] };
      await expectTensor(
        s.convolve(same, same, { axis: 0 }),
        convolved(flat, flat, 0),
        limit,
        "itself",
      );
    });
  });

  test("wants an odd number of weights in one axis, of the same dtype", async () => {
    await rt().scope((s) => {
      const x = s.zeros([8], { dtype: "float32" });
      for (const shape of [[4], [3, 3], []])
        expect(() => s.convolve(x, s.zeros(shape, { dtype: "float32" }), { axis: 0 })).toThrowError(
          /odd number/,
        );
      const half = s.zeros([3], { dtype: "float16" });
      expect(() => s.convolve(x, half as never, { axis: 0 })).toThrowError(/cast\(\)/);
    });
  });
});
