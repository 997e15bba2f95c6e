import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  broadcastLayout,
  broadcastShapes,
  contiguousLayout,
  reshapeLayout,
  sliceLayout,
  transposeLayout,
} from "../../src/host/layout.ts";
import type { Layout, Shape, SliceRange } from "../../src/host/layout.ts";
import { caught, codeOf } from "../support/caught.ts";

/** A tensor as a mathematician has it: a shape, and a function from an index to an element. */
interface Model {
  readonly shape: Shape;
  readonly at: (index: readonly number[]) => number;
}

function indicesOf(shape: Shape): number[][] {
  return shape.reduce<number[][]>(
    (heads, extent) =>
      heads.flatMap((head) => Array.from({ length: extent }, (_, index) => [...head, index])),
    [[]],
  );
}

function contiguousModel(shape: Shape): Model {
  return { shape, at: (index) => index.reduce((flat, i, axis) => flat * shape[axis]! + i, 0) };
}

function reshapeModel({ shape: old, at }: Model, shape: Shape): Model {
  const places = indicesOf(old);
  const flat = contiguousModel(shape).at;
  return { shape, at: (index) => at(places[flat(index)]!) };
}

function transposeModel({ shape, at }: Model, axes: readonly number[]): Model {
  return {
    shape: axes.map((axis) => shape[axis]!),
    at: (index) => at(shape.map((_, axis) => index[axes.indexOf(axis)]!)),
  };
}

/** `kept[axis]` lists the indices that a slice keeps; a single number drops the axis. */
function sliceModel({ at }: Model, kept: readonly (number | readonly number[])[]): Model {
  return {
    shape: kept.flatMap((own) => (typeof own === "number" ? [] : [own.length])),
    at: (index) => {
      let next = 0;
      return at(kept.map((own) => (typeof own === "number" ? own : own[index[next++]!]!)));
    },
  };
}

function broadcastModel({ shape: old, at }: Model, shape: Shape): Model {
  const missing = shape.length - old.length;
  return {
    shape,
    at: (index) => at(old.map((extent, axis) => (extent === 1 ? 0 : index[axis + missing]!))),
  };
}

function expectSame(layout: Layout, { shape, at }: Model): void {
  expect(layout.shape).toEqual(shape);
  const places = indicesOf(shape).map((index) =>
    index.reduce((place, i, axis) => place + i * layout.strides[axis]!, layout.offset),
  );
  const expected = indicesOf(shape).map(at);
  expect(places).toEqual(expected);
  expect(layout.count).toBe(expected.length);
  expect(layout.rank).toBe(shape.length);
  expect(layout.isContiguous).toBe(expected.every((place, i) => place === expected[0]! + i));
}

const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 });

/** A legal range of an axis in every spelling, and the indices that it keeps. */
function ranges(extent: number): fc.Arbitrary<[SliceRange, number | number[]]> {
  const spell = (value: number): fc.Arbitrary<number> =>
    value < extent ? fc.constantFrom(value, value - extent) : fc.constant(value);
  const all = Array.from({ length: extent }, (_, index) => index);
  const part = fc
    .tuple(fc.nat(extent - 1), fc.nat(extent - 1), fc.integer({ min: 1, max: 3 }))
    .chain(([a, b, step]) => {
      const [start, last] = [Math.min(a, b), Math.max(a, b)];
      const kept = all.filter((i) => i >= start && i <= last && (i - start) % step === 0);
      return fc
        .tuple(spell(start), spell(last + 1), fc.boolean())
        .map(([from, to, bare]): [SliceRange, number[]] =>
          step === 1 && bare ? [[from, to], kept] : [[from, to, step], kept],
        );
    });
  const one = fc
    .nat(extent - 1)
    .chain((index) => spell(index).map((spelt): [SliceRange, number] => [spelt, index]));
  return fc.oneof(fc.constant<[SliceRange, number[]]>([null, all]), one, part);
}

/** Some view of a tensor of `shape`, as a layout and as a model. */
function viewOf([layout, model]: [Layout, Model]): fc.Arbitrary<[Layout, Model]> {
  const { shape } = model;
  const transposed = fc
    .shuffledSubarray([...shape.keys()], { minLength: shape.length })
    .map((axes): [Layout, Model] => [transposeLayout(layout, axes), transposeModel(model, axes)]);
  const sliced = fc.tuple(...shape.map(ranges)).map((parts): [Layout, Model] => [
    sliceLayout(
      layout,
      parts.map(([range]) => range),
    ),
    sliceModel(
      model,
      parts.map(([, kept]) => kept),
    ),
  ]);
  const broadcast = fc
    .tuple(
      fc.array(fc.integer({ min: 1, max: 2 }), { maxLength: 1 }),
      ...shape.map((extent) =>
        extent === 1 ? fc.integer({ min: 1, max: 3 }) : fc.constant(extent),
      ),
    )
    .map(([head, ...tail]): [Layout, Model] => [
      broadcastLayout(layout, [...head, ...tail]),
      broadcastModel(model, [...head, ...tail]),
    ]);
  return fc.oneof(transposed, sliced, broadcast);
}

const views = shapes
  .map((shape): [Layout, Model] => [contiguousLayout(shape), contiguousModel(shape)])
  .chain(viewOf)
  .chain((view) => fc.oneof(fc.constant(view), viewOf(view)))
  .chain((view) => fc.oneof(fc.constant(view), viewOf(view)));

describe("against a model of indices", () => {
  test("contiguous layouts", () => {
    fc.assert(
      fc.property(shapes, (shape) => expectSame(contiguousLayout(shape), contiguousModel(shape))),
    );
  });

  test("chains of transpose, slice and broadcast", () => {
    fc.assert(
      fc.property(views, ([layout, model]) => expectSame(layout, model)),
      { numRuns: 1500 },
    );
  });

  test("reshape views what is contiguous, and refuses what is not", () => {
    let viewed = 0;
    let refused = 0;
    fc.assert(
      fc.property(views, ([layout, model]) => {
        const shape = [1, layout.count];
        if (layout.isContiguous) {
          viewed++;
          expectSame(reshapeLayout(layout, shape), reshapeModel(model, shape));
        } else {
          refused++;
          const error = caught(() => reshapeLayout(layout, shape));
          expect(error.code).toBe("INVALID_LAYOUT");
          expect(error.message).toContain("copy()");
        }
      }),
      { numRuns: 1000 },
    );
    expect(Math.min(viewed, refused)).toBeGreaterThan(50);
  });

  test("shapes broadcast to the shape that both layouts broadcast to", () => {
    fc.assert(
      fc.property(shapes, shapes, (a, b) => {
        const rank = Math.max(a.length, b.length);
        const pad = (shape: Shape): number[] => [
          ...Array<number>(rank - shape.length).fill(1),
          ...shape,
        ];
        const pairs = pad(a).map((extent, axis): [number, number] => [extent, pad(b)[axis]!]);
        if (pairs.every(([x, y]) => x === y || x === 1 || y === 1)) {
          const shape = broadcastShapes(a, b);
          expect(shape).toEqual(pairs.map(([x, y]) => Math.max(x, y)));
          for (const own of [a, b])
            expect(broadcastLayout(contiguousLayout(own), shape).shape).toEqual(shape);
        } else {
          expect(codeOf(() => broadcastShapes(a, b))).toBe("INVALID_LAYOUT");
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe("layouts of one shape", () => {
  test("are one, which nobody can change", () => {
    const given = [3, 5, 7];
    const [a, b] = [contiguousLayout(given), contiguousLayout([3, 5, 7])];
    expect(b).toBe(a);
    given[0] = 4;
    expect(a.shape).toEqual([3, 5, 7]);
    expect(() => ((b.shape as number[])[1] = 9)).toThrow(TypeError);
    expect(() => ((b.strides as number[])[0] = 1)).toThrow(TypeError);
    expect(contiguousLayout([4, 5, 7])).toMatchObject({ shape: [4, 5, 7], count: 140 });
  });

  test.each<[string, (layout: Layout) => void]>([
    ["swaps two extents", ({ shape }) => void Object.assign(shape, [shape[1], shape[0]])],
    ["changes a stride", ({ strides }) => void ((strides as number[])[0] = 5)],
    ["cuts the strides", ({ strides }) => void (strides as number[]).pop()],
    ["changes the offset", (layout) => void ((layout as { offset: number }).offset = 5)],
    ["changes the count", (layout) => void ((layout as { count: number }).count = 5)],
  ])("are not who %s of the first", (_, change) => {
    const extents = [64, 128];
    change(contiguousLayout(extents));
    for (const shape of [extents, extents.toReversed()]) {
      for (let round = 0; round < 2; round++) {
        const layout = contiguousLayout(shape);
        expect(layout).toMatchObject({ shape, strides: [shape[1], 1], offset: 0, count: 8192 });
      }
      const whole = contiguousLayout(shape);
      expect(() => ((whole as { offset: number }).offset = 5)).toThrow(TypeError);
    }
  });

  test("are of plain numbers, whatever list they came in", () => {
    class Shapes extends Array<number> {}
    const lists = [new Int32Array([11, 13]), Shapes.of(11, 13), { length: 2, 0: 11, 1: 13 }];
    for (const list of [...lists, [11, 13], ...lists]) {
      const { shape } = contiguousLayout(list as unknown as Shape);
      expect([shape.constructor, [...shape]]).toEqual([Array, [11, 13]]);
    }
    for (const bad of [[3n, 4n], new BigInt64Array([3n, 4n]), ["3"], [null], [undefined]]) {
      expect(codeOf(() => contiguousLayout(bad as unknown as Shape))).toBe("INVALID_LAYOUT");
    }
  });

  test("are told from those that a table of them would take for the same", () => {
    const many = Array.from({ length: 400 }, (_, index) => [
      1 + (index % 20),
      1 + Math.floor(index / 20),
    ]);
    for (let round = 0; round < 3; round++) {
      for (const shape of [...many, [], [1], [1, 1], [2 ** 40], [2 ** 40 + 64]]) {
        const { count } = contiguousLayout(shape);
        expect(count).toBe(shape.reduce((product, extent) => product * extent, 1));
      }
    }
    for (const bad of [[0, 3], [1.5], [-1], [Number.NaN]]) {
      expect(() => contiguousLayout(bad)).toThrow("positive integer");
    }
  });
});
