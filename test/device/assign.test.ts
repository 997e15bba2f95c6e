/** Writing into tensors and views, and casting: what may and what must not change. */

import type { DType, Tensor } from "moorage";
import { dtypes } from "moorage";
import { describe, expect, test } from "vitest";

import { codeOf } from "../support/caught.ts";
import { expectTensor, put, tolerance, useStrictRuntime } from "../support/device.ts";
import { at, build, made, mapped, store } from "../support/reference.ts";

const rt = useStrictRuntime();
const { exact } = tolerance;

test.each(dtypes)("assign and fill into views of %s touch nothing else", async (dtype) => {
  const x = made(dtype, [9, 13], 51);
  const y = made(dtype, [4, 5], 52);
  // Rows 1, 3, 5, 7 and columns 2, 4, 6, 8, 10: every word has neighbours that must stay.
  const isTarget = ([r, c]: readonly number[]): boolean =>
    r! % 2 === 1 && c! % 2 === 0 && c! >= 2 && c! <= 10;
  await rt().scope(async (s) => {
    const target = put(s, x);
    s.assign(target.slice([1, 9, 2], [2, 11, 2]), put(s, y));
    const should = build(dtype, x.shape, (i) =>
      isTarget(i) ? at(y, [(i[0]! - 1) / 2, (i[1]! - 2) / 2]) : at(x, i),
    );
    await expectTensor(target, should, exact, "assign");
    s.fill(target.slice([1, 9, 2], [2, 11, 2]).transpose(), 7);
    await expectTensor(
      target,
      build(dtype, x.shape, (i) => (isTarget(i) ? 7 : at(x, i))),
      exact,
      "fill",
    );
  });
});

test.each(dtypes)(
  "a contiguous view of %s at the start, the middle and the end; also retained",
  async (dtype) => {
    const x = made(dtype, [23], 53);
    for (const [start, stop] of [
      [0, 3],
      [0, 22],
      [5, 6],
      [7, 18],
      [21, 23],
    ] as const) {
      const should = build(dtype, [23], ([i]) => (i! >= start && i! < stop ? 9 : at(x, [i!])));
      using target = put(rt(), x);
      rt().fill(target.slice([start, stop]), 9);
      await expectTensor(target, should, exact, `fill ${start}…${stop}`);
      using other = put(rt(), x);
      using part = other.slice([start, stop]).retain();
      rt().fill(part, 9);
      await expectTensor(other, should, exact, `fill retained ${start}…${stop}`);
    }
  },
);

describe("write() of an array into a view", () => {
  const views = [
    ["a range", (x: Tensor) => x.slice([2, 4])],
    ["a column", (x: Tensor) => x.slice([0, 6], 1)],
    ["a block of every second row", (x: Tensor) => x.slice([1, 6, 2], [1, 5], [2, 4])],
    ["a transposed one", (x: Tensor) => x.transpose()],
    ["one element", (x: Tensor) => x.slice(3, 2, 1)],
    ["many rows", (x: Tensor) => x.slice([0, 6], [1, 4])],
    ["what one retains", (x: Tensor) => x.slice([1, 5], [0, 8], [1, 3]).retain()],
  ] as const;

  describe.each(dtypes)("%s", (dtype) => {
    test.each(views)("%s", async (_, viewOf) => {
      const [x, other] = [made(dtype, [6, 8, 5], 61), made(dtype, [6, 8, 5], 62)];
      using target = put(rt(), x);
      using model = put(rt(), x);
      using source = put(rt(), other);
      using view = viewOf(target);
      using same = viewOf(model);
      using from = viewOf(source);
      // The same by a kernel, which is tested by itself.
      rt().assign(same, from);
      rt().write(view, await from.data());
      expect(await target.data()).toEqual(await model.data());
    });
  });

  test("of work that is recorded, what came before sees the old elements", async () => {
    using x = rt().tensor(new Float32Array(8).fill(1), { shape: [8], dtype: "float32" });
    using before = rt().add(x, 1);
    rt().write(x.slice([2, 6]), new Float32Array(4).fill(5));
    using after = rt().add(x, 1);
    expect([...(await before.data())]).toEqual([2, 2, 2, 2, 2, 2, 2, 2]);
    expect([...(await after.data())]).toEqual([2, 2, 6, 6, 6, 6, 2, 2]);
  });

  test("what cannot be is refused, and changes nothing", async () => {
    using x = rt().tensor(new Float32Array(8).fill(1), { shape: [8], dtype: "float32" });
    const four = new Float32Array(4);
    const view = x.slice([2, 6]);
    expect(codeOf(() => rt().write(view, new Float32Array(3)))).toBe("INVALID_ARGUMENT");
    expect(codeOf(() => rt().write(view, new Int32Array(4)))).toBe("UNSUPPORTED_DTYPE");
    expect(codeOf(() => rt().write(view, four, { source: true }))).toBe("INVALID_LAYOUT");
    expect(codeOf(() => rt().write(x.slice([0, 1]).broadcastTo([4]), four))).toBe("INVALID_LAYOUT");
    using pinned = rt().pinned.tensor({ shape: [4], dtype: "float32" });
    expect(codeOf(() => rt().write(view, pinned))).toBe("INVALID_LAYOUT");
    expect(new Set(await x.data())).toEqual(new Set([1]));
  });
});

test("assign broadcasts its source, and refuses one that does not fit", async () => {
  const row = made("uint8", [5], 55);
  await rt().scope(async (s) => {
    const target = s.zeros([3, 5], { dtype: "uint8" });
    s.assign(target, put(s, row));
    await expectTensor(
      target,
      build("uint8", [3, 5], ([, c]) => at(row, [c!])),
      exact,
      "broadcast",
    );
    expect(() => s.assign(target, s.zeros([4], { dtype: "uint8" }))).toThrowError(/\[4\]/);
    expect(() => s.assign(target.slice(0), target)).toThrowError(
      expect.objectContaining({ code: "INVALID_LAYOUT" }),
    );
    expect(() => s.assign(target, s.zeros([5], { dtype: "int32" }))).toThrowError(/cast\(\)/);
  });
});

test.each(dtypes)("source and target in one block of %s may overlap", async (dtype) => {
  const x = made(dtype, [301], 56);
  await rt().scope(async (s) => {
    const block = put(s, x);
    s.assign(block.slice([1, 301]), block.slice([0, 300]));
    await expectTensor(
      block,
      build(dtype, [301], ([i]) => at(x, [Math.max(0, i! - 1)])),
      exact,
      "shifted up",
    );
    const square = put(s, made(dtype, [17, 17], 57));
    const was = made(dtype, [17, 17], 57);
    s.assign(square, square.transpose());
    await expectTensor(
      square,
      build(dtype, [17, 17], ([r, c]) => at(was, [c!, r!])),
      exact,
      "transposed in place",
    );
  });
});

test("a copy is independent of what it was copied from", async () => {
  const x = made("float16", [33], 58);
  await rt().scope(async (s) => {
    const a = put(s, x);
    const b = s.copy(a);
    s.fill(a, 0);
    await expectTensor(b, x, exact, "copy");
  });
});

/** Towards integers: truncated, then limited to what the dtype holds; NaN is 0. */
function cast(to: DType, value: number): number {
  if (to === "float32" || to === "float16") return store(to, value);
  if (Number.isNaN(value)) return 0;
  const [low, high] = {
    int32: [-(2 ** 31), 2 ** 31 - 1],
    uint32: [0, 2 ** 32 - 1],
    uint8: [0, 255],
  }[to] as [number, number];
  return Math.min(high, Math.max(low, Math.trunc(value)));
}

const interesting: { readonly [D in DType]: readonly number[] } = {
  float32: [
    0,
    1.9,
    -1.9,
    0.5,
    254.99,
    255.5,
    256,
    300,
    -0.5,
    3e9,
    -3e9,
    5e9,
    2147483520,
    1e20,
    -1e20,
    Infinity,
    -Infinity,
    NaN,
    65504,
    1e-3,
    3.1875,
  ],
  float16: [
    0,
    1.9,
    -1.9,
    0.5,
    255,
    256,
    300,
    -300,
    65504,
    -65504,
    Infinity,
    -Infinity,
    NaN,
    2 ** -24,
    3.1875,
  ],
  int32: [0, 1, -1, 255, 256, -256, 2 ** 31 - 1, -(2 ** 31), 1000, 16777216],
  uint32: [0, 1, 255, 256, 300, 2 ** 31, 2 ** 32 - 1, 1000, 2 ** 31 - 1],
  uint8: [0, 1, 127, 128, 255],
};

test.each(dtypes.flatMap((from) => dtypes.map((to) => [from, to] as const)))(
  "cast %s to %s",
  async (from, to) => {
    const values = Float64Array.from(interesting[from], (value) => store(from, value));
    const x = { dtype: from, shape: [values.length], values };
    await rt().scope(async (s) => {
      const should = mapped(x, (value) => cast(to, value), to);
      const limit = to === "float16" ? tolerance.rounded : exact;
      await expectTensor(s.cast(put(s, x), to), should, limit, "cast");
      const flipped = s.cast(
        s.tensor(new Uint8Array(4), { shape: [2, 2], dtype: "uint8" }).transpose(),
        to,
      );
      expect(await flipped.toArray()).toEqual([
        [0, 0],
        [0, 0],
      ]);
    });
  },
);
