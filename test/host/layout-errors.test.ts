import { describe, expect, test } from "vitest";

import {
  broadcastLayout,
  byteSize,
  contiguousLayout,
  normaliseAxis,
  reshapeLayout,
  sameShape,
  shapeText,
  sliceLayout,
  transposeLayout,
} from "../../src/host/layout.ts";
import type { SliceRange } from "../../src/host/layout.ts";
import { caught, codeOf } from "../support/caught.ts";

describe("refused, and never clamped", () => {
  const layout = contiguousLayout([3, 4]);

  test.each<[string, readonly SliceRange[]]>([
    ["an index at the end", [3]],
    ["an index before the start", [-4]],
    ["a fraction", [0.5]],
    ["NaN", [NaN]],
    ["a stop past the end", [[0, 4]]],
    ["a start past the end", [[3, 4]]],
    ["a start before the start", [[-4, 2]]],
    ["an empty range", [[2, 2]]],
    ["a reversed range", [[2, 1]]],
    ["step zero", [[0, 3, 0]]],
    ["a negative step", [[0, 3, -1]]],
    ["a broken step", [[0, 3, 1.5]]],
    ["a stop of NaN", [[0, NaN]]],
    ["an infinite stop", [[0, Infinity]]],
    ["too many ranges", [null, null, null]],
    ["the second axis", [null, [0, 5]]],
  ])("slice: %s", (_, parts) => {
    const error = caught(() => sliceLayout(layout, parts));
    expect(error.code).toBe("INVALID_LAYOUT");
    expect(error.message).toContain("[3, 4]");
  });

  test.each([[[0]], [[3, 0, 2]], [[-1]], [[1.5]], [[NaN]], [[Infinity]], [[2 ** 53]]])(
    "shape %j",
    (shape) => {
      for (const make of [
        () => contiguousLayout(shape, "w"),
        () => reshapeLayout(layout, shape),
        () => broadcastLayout(contiguousLayout(shape.map(() => 1)), shape),
      ])
        expect(codeOf(make)).toBe("INVALID_LAYOUT");
      const error = caught(() => contiguousLayout(shape, "w"));
      expect(error.label).toBe("w");
      expect(error.message).toContain(shapeText(shape));
    },
  );

  test("counts and byte sizes past 2^53 - 1", () => {
    expect(codeOf(() => contiguousLayout([2 ** 27, 2 ** 27]))).toBe("SIZE_OVERFLOW");
    expect(codeOf(() => contiguousLayout(Array<number>(300).fill(2 ** 20)))).toBe("SIZE_OVERFLOW");
    expect(codeOf(() => broadcastLayout(contiguousLayout([1, 1]), [2 ** 27, 2 ** 27]))).toBe(
      "SIZE_OVERFLOW",
    );
    const { count, shape } = contiguousLayout([2 ** 26, 2 ** 26], "big");
    expect(count).toBe(2 ** 52);
    expect(byteSize(count, 1, shape, "big")).toBe(2 ** 52);
    const error = caught(() => byteSize(count, 4, shape, "big"));
    expect(error).toMatchObject({ code: "SIZE_OVERFLOW", label: "big" });
    expect(error.message).toContain(shapeText(shape));
  });

  test.each([[[0]], [[0, 0]], [[0, 2]], [[0, -1]], [[0, 0.5]], [[0, 1, 2]]])(
    "transpose by %j",
    (axes) => expect(codeOf(() => transposeLayout(layout, axes))).toBe("INVALID_LAYOUT"),
  );

  test.each([[[4]], [[3]], [[3, 5]], [[2, 4]], [[4, 3]], []])("broadcast to %j", (shape = []) =>
    expect(codeOf(() => broadcastLayout(layout, shape))).toBe("INVALID_LAYOUT"),
  );

  test("reshape to another count", () => {
    const error = caught(() => reshapeLayout(layout, [13]));
    expect(error.code).toBe("INVALID_LAYOUT");
    expect(error.message).toMatch(/12 elements, not 13/);
  });

  test("axes that are not there", () => {
    for (const axis of [2, -3, 0.5, NaN])
      expect(codeOf(() => normaliseAxis(axis, [3, 4]))).toBe("INVALID_LAYOUT");
    expect([0, 1, -1, -2].map((axis) => normaliseAxis(axis, [3, 4]))).toEqual([0, 1, 1, 0]);
    expect(codeOf(() => normaliseAxis(0, []))).toBe("INVALID_LAYOUT");
  });
});

test("a layout has a shape of its own", () => {
  const shape = [2, 3];
  const layout = contiguousLayout(shape);
  shape[0] = 99;
  expect(layout.shape).toEqual([2, 3]);
});

test("sameShape", () => {
  expect(sameShape([], [])).toBe(true);
  expect(sameShape([2, 3], [2, 3])).toBe(true);
  expect(sameShape([2, 3], [3, 2])).toBe(false);
  expect(sameShape([2], [2, 1])).toBe(false);
});
