/** Tensors on the host: views against a plain model, lifetimes, and every dtype. */

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { hostDtypes } from "../../src/host/dtype.ts";
import { HotArena, hostTensor, GeneralHeap, PagePool } from "../../src/index.ts";
import type { HostDType, NestedArray, Shape, SliceRange, HostTensor } from "../../src/index.ts";
import { caught, codeOf } from "../support/caught.ts";

const heap = (): GeneralHeap =>
  new GeneralHeap({ regionBytes: 64 * 1024, budgetBytes: 4 * 2 ** 20 });

const count = (shape: Shape): number => shape.reduce((product, extent) => product * extent, 1);

/** 0, 1, 2 … in a shape. */
function ramp<const S extends Shape>(
  shape: S,
  dtype: HostDType = "float64",
): HostTensor<HostDType, S> {
  const tensor = hostTensor(heap(), { shape, dtype, label: "ramp" });
  return tensor.assign(Array.from({ length: count(shape) }, (_, at) => at));
}

describe("dtypes", () => {
  test.each(hostDtypes)("%s holds numbers, and gives them back", (dtype) => {
    const tensor = hostTensor(heap(), { shape: [2, 3], dtype, label: dtype });
    tensor.fill(0).set(1, 0, 2);
    tensor.set(dtype === "float16" ? 0.5 : 1, -1, -3);
    expect(tensor.at(1, 0)).toBe(dtype === "float16" ? 0.5 : 1);
    expect([tensor.at(0, 2), tensor.at(-2, -1), tensor.at(0, 0)]).toEqual([1, 1, 0]);
    tensor.dispose();
  });

  test("bool is 0 or 1 whatever is written", () => {
    const tensor = hostTensor(heap(), { shape: [4], dtype: "bool" }).assign([0, 7, -1, 0.5]);
    expect(tensor.toArray()).toEqual([0, 1, 1, 1]);
    tensor.dispose();
  });

  test.each([
    ["float64", "int8", [1.9, -1.9, 200, -200, NaN], [1, -1, 127, -128, 0]],
    ["float64", "uint16", [65_536, -1, 3.5, Infinity, 0], [65_535, 0, 3, 65_535, 0]],
    ["float32", "bool", [0, -0, 0.1, NaN, 5], [0, 0, 1, 1, 1]],
    ["float64", "float16", [0.1, 70_000, -2, 0, 1], [0.0999755859375, Infinity, -2, 0, 1]],
    ["float16", "float32", [0.5, -2, 0, 1, 65_504], [0.5, -2, 0, 1, 65_504]],
    ["int16", "int32", [-32_768, 32_767, 0, 1, 2], [-32_768, 32_767, 0, 1, 2]],
    ["float64", "float32", [0.1, 1e300, 0, 1, 2], [Math.fround(0.1), Infinity, 0, 1, 2]],
  ] as const)("%s casts to %s", (from, to, values, expected) => {
    const tensor = hostTensor(heap(), { shape: [5], dtype: from }).assign(values);
    const cast = tensor.cast(to);
    expect(cast.dtype).toBe(to);
    expect(cast.toArray()).toEqual(expected);
    cast.dispose();
    tensor.dispose();
  });
});

/** A tensor as a function from indices to numbers. */
interface Model {
  readonly shape: Shape;
  readonly at: (index: readonly number[]) => number;
}

function modelArray({ shape, at }: Model): NestedArray {
  const nest = (index: readonly number[]): NestedArray =>
    index.length === shape.length
      ? at(index)
      : Array.from({ length: shape[index.length]! }, (_, own) => nest([...index, own]));
  return nest([]);
}

const step = fc.record({
  kind: fc.nat(3),
  seeds: fc.array(fc.nat(1000), { minLength: 12, maxLength: 12 }),
});

/** One random view of both. */
function applied(
  { kind, seeds }: { readonly kind: number; readonly seeds: readonly number[] },
  tensor: HostTensor,
  model: Model,
): [HostTensor, Model] {
  const { shape } = model;
  if (kind === 0) {
    const axes = shape.map((_, axis) => axis).sort((a, b) => seeds[a]! - seeds[b]! || a - b);
    return [
      tensor.transpose(axes),
      {
        shape: axes.map((axis) => shape[axis]!),
        at: (index) => model.at(shape.map((_, axis) => index[axes.indexOf(axis)]!)),
      },
    ];
  }
  if (kind === 1) {
    const parts = shape.map((extent, axis) => {
      const start = seeds[axis]! % extent;
      const stop = start + 1 + (seeds[axis + 4]! % (extent - start));
      return { start, stop, step: 1 + (seeds[axis + 8]! % 3), isIndex: seeds[axis + 4]! % 7 === 0 };
    });
    const ranges = parts.map(({ start, stop, step: by, isIndex }, axis): SliceRange => {
      // Negative bounds say the same from the other end.
      const from = seeds[axis]! % 2 === 0 ? start : start - shape[axis]!;
      return isIndex ? from : [from, stop, by];
    });
    const kept = parts.flatMap((part, axis) => (part.isIndex ? [] : [axis]));
    return [
      tensor.slice(ranges),
      {
        shape: kept.map((axis) =>
          Math.ceil((parts[axis]!.stop - parts[axis]!.start) / parts[axis]!.step),
        ),
        at: (index) =>
          model.at(
            parts.map(({ start, step: by, isIndex }, axis) =>
              isIndex ? start : start + index[kept.indexOf(axis)]! * by,
            ),
          ),
      },
    ];
  }
  if (kind === 2 && shape.length < 4) {
    const wide = [
      1 + (seeds[0]! % 3),
      ...shape.map((extent, axis) => (extent === 1 ? 1 + (seeds[axis]! % 3) : extent)),
    ];
    return [
      tensor.broadcast(wide),
      {
        shape: wide,
        at: (index) => model.at(shape.map((extent, axis) => (extent === 1 ? 0 : index[axis + 1]!))),
      },
    ];
  }
  if (!tensor.isContiguous) {
    expect(codeOf(() => tensor.reshape([tensor.size]))).toBe("INVALID_LAYOUT");
    return [tensor, model];
  }
  const flat = (index: readonly number[]): readonly number[] => {
    let rest = index[0]!;
    const own: number[] = [];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      own[axis] = rest % shape[axis]!;
      rest = Math.floor(rest / shape[axis]!);
    }
    return own;
  };
  return [
    tensor.reshape([tensor.size]),
    { shape: [tensor.size], at: (index) => model.at(flat(index)) },
  ];
}

test("any sequence of views shows what a plain model shows, and its copy is contiguous", () => {
  const shapes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 0, maxLength: 4 });
  fc.assert(
    fc.property(shapes, fc.array(step, { maxLength: 4 }), (shape, steps) => {
      const owner = ramp(shape) as HostTensor;
      let tensor = owner;
      let model: Model = {
        shape,
        at: (index) => shape.reduce((place, extent, axis) => place * extent + index[axis]!, 0),
      };
      for (const one of steps) [tensor, model] = applied(one, tensor, model);
      expect(tensor.shape).toEqual(model.shape);
      const expected = modelArray(model);
      expect(tensor.toArray()).toEqual(expected);
      const copy = tensor.copy();
      expect(copy.isContiguous).toBe(true);
      expect(copy.toArray()).toEqual(expected);
      const last = model.shape.map((extent) => extent - 1);
      expect(tensor.at(...last)).toBe(model.at(last));
      expect(tensor.at(...last.map(() => -1))).toBe(model.at(last));
      expect(tensor.uncheckedAt(...last)).toBe(model.at(last));
      copy.dispose();
      owner.dispose();
    }),
    { numRuns: 400 },
  );
});

test("writing through a view changes the owner, and nothing beside the view", () => {
  const owner = ramp([3, 4]);
  const view = owner
    .slice([
      [1, 3],
      [0, 4, 3],
    ])
    .transpose();
  view.set(100, 1, 0);
  view.uncheckedSet(200, 0, 1);
  expect(owner.toArray()).toEqual([
    [0, 1, 2, 3],
    [4, 5, 6, 100],
    [200, 9, 10, 11],
  ]);
  view.fill(-1);
  view.assign([1, 2, 3, 4]);
  expect(owner.toArray()).toEqual([
    [0, 1, 2, 3],
    [1, 5, 6, 3],
    [2, 9, 10, 4],
  ]);
  expect(codeOf(() => view.assign([1, 2, 3]))).toBe("INVALID_ARGUMENT");
  owner.dispose();
});

test("a broadcast view is read, not written", () => {
  const owner = ramp([1, 3]);
  const wide = owner.broadcast([2, 3]);
  for (const write of [
    () => wide.set(1, 0, 0),
    () => wide.fill(1),
    () => wide.assign([1, 2, 3, 4, 5, 6]),
  ]) {
    const error = caught(write);
    expect(error).toMatchObject({ code: "INVALID_LAYOUT", label: "ramp" });
    expect(error.message).toContain("copy()");
  }
  owner.dispose();
});

test("indices that do not exist are refused, with the shape and what was asked", () => {
  const tensor = ramp([2, 3]) as HostTensor;
  for (const index of [[2, 0], [0, 3], [-3, 0], [0, -4], [0.5, 0], [NaN, 0], [0], [0, 0, 0], []]) {
    const error = caught(() => tensor.at(...index));
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", label: "ramp" });
    expect(error.message).toContain("[2, 3]");
    expect(error.message).toContain(`[${index.join(", ")}]`);
    expect(codeOf(() => tensor.set(1, ...index))).toBe("INVALID_ARGUMENT");
  }
  tensor.dispose();
});

test("data is the memory itself, and refused where elements lie apart", () => {
  const tensor = ramp([2, 3], "int16");
  expect(tensor.data).toBeInstanceOf(Int16Array);
  tensor.data[5] = -7;
  expect(tensor.at(1, 2)).toBe(-7);
  expect([...tensor.slice([1]).data]).toEqual([3, 4, -7]);
  const error = caught(() => tensor.transpose().data);
  expect(error.code).toBe("INVALID_LAYOUT");
  expect(error.message).toContain("copy()");
  tensor.dispose();
});

describe("lifetimes", () => {
  test("views end with their owner, and the error names it", () => {
    const region = heap();
    const owner = hostTensor(region, { shape: [4], dtype: "float32", label: "owner" });
    const view = owner.slice([[0, 2]]);
    view.dispose();
    expect(owner.isAlive).toBe(true);
    const other = owner.reshape([2, 2]);
    owner.dispose();
    owner.dispose();
    expect([owner.isAlive, other.isAlive]).toEqual([false, false]);
    for (const use of [
      () => other.at(0, 0),
      () => other.data,
      () => other.transpose(),
      () => other.fill(0),
    ]) {
      expect(caught(use)).toMatchObject({ code: "USE_AFTER_DISPOSE", label: "owner" });
    }
    expect(region.stats().liveBytes).toBe(0);
  });

  test("withView ends its view, after a promise too, and when it throws", async () => {
    const owner = ramp([4]);
    // By type no view leaves its call: the cast is the hole that the run time closes.
    const kept: HostTensor[] = [];
    const keep = (view: unknown): number => kept.push(view as HostTensor);
    expect(owner.withView([[1, 3]], (view) => (keep(view), view.at(0)))).toBe(1);
    await owner.withView([[2, 3]], async (view) => {
      keep(view);
      await Promise.resolve();
      expect(view.at(0)).toBe(2);
    });
    const fails = (view: unknown): never => {
      keep(view);
      throw new Error("inside");
    };
    expect(() => owner.withView([], fails)).toThrow("inside");
    expect(kept.map(({ isAlive }) => isAlive)).toEqual([false, false, false]);
    for (const view of kept) expect(codeOf(() => view.at(0))).toBe("USE_AFTER_DISPOSE");
    owner.dispose();
  });

  test("a tensor of an arena ends with it, and may be disposed afterwards", () => {
    const arena = new HotArena(new PagePool(), "arena");
    const tensor = hostTensor(arena, { shape: [8], dtype: "float64", label: "scratch" });
    tensor.fill(1);
    arena.end();
    expect(codeOf(() => tensor.at(0))).toBe("USE_AFTER_DISPOSE");
    tensor.dispose();
  });

  test("a tensor of a moving heap is right after every collection", () => {
    const region = heap();
    const tensors = Array.from({ length: 20 }, (_, at) =>
      hostTensor(region, { shape: [100], dtype: "int32" }).fill(at),
    );
    for (const tensor of tensors.filter((_, at) => at % 2 === 0)) tensor.dispose();
    region.collect();
    for (const [at, tensor] of tensors.entries()) {
      if (at % 2 === 0) continue;
      expect(tensor.at(99)).toBe(at);
      tensor.refresh();
      expect(tensor.uncheckedAt(50)).toBe(at);
      tensor.dispose();
    }
  });

  test("a copy that fails leaves nothing behind", () => {
    const small = new HotArena(new PagePool({ budgetBytes: 4096, pageBytes: 4096 }), "small");
    const tensor = ramp([4096]);
    expect(codeOf(() => tensor.copy(small))).toBe("OUT_OF_MEMORY");
    expect(small.stats().liveBytes).toBe(0);
    small.end();
    tensor.dispose();
  });
});
