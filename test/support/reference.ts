/**
 * Tensors in float64, straight from their definitions, and slowly: nothing here is shared with the
 * kernels. A reference holds its elements row by row; views are made by copying.
 */

import type { DType, HostArray } from "moorage";
import { float16ToNumber, numberToFloat16 } from "moorage";

export interface Reference {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly values: Float64Array;
}

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, extent) => size * extent, 1);
}

/** What `dtype` makes of a number: rounded, or wrapped. */
export function store(dtype: DType, value: number): number {
  if (dtype === "float32") return Math.fround(value);
  if (dtype === "float16") return float16ToNumber(numberToFloat16(value));
  if (dtype === "int32") return value | 0;
  return dtype === "uint32" ? value >>> 0 : value & 0xff;
}

/** The array that carries a reference to a device. */
export function encode({ dtype, values }: Reference): HostArray {
  if (dtype === "float32") return new Float32Array(values);
  if (dtype === "float16") return Uint16Array.from(values, numberToFloat16);
  if (dtype === "int32") return new Int32Array(values);
  return dtype === "uint32" ? new Uint32Array(values) : new Uint8Array(values);
}

/** The numbers in an array that came from a device. */
export function decode(dtype: DType, data: HostArray): Float64Array {
  return Float64Array.from(data, dtype === "float16" ? float16ToNumber : Number);
}

/** A tensor of seeded numbers, spread over `[low, high)`; whole ones for integer dtypes. */
export function made(
  dtype: DType,
  shape: readonly number[],
  seed = 1,
  [low, high]: readonly [number, number] = defaultRange[dtype],
): Reference {
  const next = random(seed);
  const isFloat = dtype === "float32" || dtype === "float16";
  const values = Float64Array.from({ length: sizeOf(shape) }, () => {
    const value = low + next() * (high - low);
    return store(dtype, isFloat ? value : Math.floor(value));
  });
  return { dtype, shape, values };
}

const defaultRange: { readonly [D in DType]: readonly [number, number] } = {
  float32: [-4, 4],
  float16: [-4, 4],
  int32: [-1000, 1000],
  uint32: [0, 5000],
  uint8: [0, 256],
};

/** A tensor whose element at `index` (one number for each axis) is `value(index)`. */
export function build(
  dtype: DType,
  shape: readonly number[],
  value: (index: readonly number[]) => number,
): Reference {
  const values = new Float64Array(sizeOf(shape));
  for (let flat = 0; flat < values.length; flat++) {
    let rest = flat;
    const index: number[] = [];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index.unshift(rest % shape[axis]!);
      rest = Math.floor(rest / shape[axis]!);
    }
    values[flat] = value(index);
  }
  return { dtype, shape, values };
}

/** The element at `index`; missing or one-element axes repeat. */
export function at({ shape, values }: Reference, index: readonly number[]): number {
  const missing = index.length - shape.length;
  return values[
    shape.reduce((flat, e, axis) => flat * e + (e === 1 ? 0 : index[axis + missing]!), 0)
  ]!;
}

export function transposed(x: Reference, axes?: readonly number[]): Reference {
  const order = axes ?? x.shape.map((_, axis) => x.shape.length - 1 - axis);
  const shape = order.map((axis) => x.shape[axis]!);
  return build(x.dtype, shape, (index) => {
    const from: number[] = [];
    order.forEach((axis, place) => (from[axis] = index[place]!));
    return at(x, from);
  });
}

/** Every axis cut to `[start, stop, step]`. */
export function sliced(
  x: Reference,
  ranges: readonly (readonly [start: number, stop: number, step?: number])[],
): Reference {
  const shape = ranges.map(([start, stop, step = 1]) => Math.ceil((stop - start) / step));
  return build(x.dtype, shape, (index) =>
    at(
      x,
      index.map((i, axis) => ranges[axis]![0] + i * (ranges[axis]![2] ?? 1)),
    ),
  );
}

export function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) =>
    Math.max(a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1),
  );
}

export function mapped(
  x: Reference,
  f: (value: number) => number,
  dtype: DType = x.dtype,
): Reference {
  return { dtype, shape: x.shape, values: x.values.map((value) => f(value)) };
}

export function zipped(
  a: Reference,
  b: Reference,
  f: (a: number, b: number) => number,
  dtype: DType = a.dtype,
): Reference {
  return build(dtype, broadcastShape(a.shape, b.shape), (i) => f(at(a, i), at(b, i)));
}

/** Folds an axis, or all elements for `null`; `f` gets a whole row. */
export function folded(
  x: Reference,
  axis: number | null,
  keepDims: boolean,
  dtype: DType,
  f: (row: Float64Array) => number,
): Reference {
  if (axis === null) {
    const shape = keepDims ? x.shape.map(() => 1) : [];
    return { dtype, shape, values: Float64Array.of(f(x.values)) };
  }
  const kept = x.shape.map((extent, index) => (index === axis ? 1 : extent));
  const result = build(dtype, kept, (index) =>
    f(
      Float64Array.from({ length: x.shape[axis]! }, (_, k) =>
        at(
          x,
          index.map((i, place) => (place === axis ? k : i)),
        ),
      ),
    ),
  );
  return keepDims ? result : { ...result, shape: kept.filter((_, index) => index !== axis) };
}

export function softmaxOf(x: Reference, axis: number): Reference {
  const highest = folded(x, axis, true, x.dtype, (row) => row.reduce((a, b) => Math.max(a, b)));
  const powers = zipped(x, highest, (value, most) => Math.exp(value - most));
  const total = folded(powers, axis, true, x.dtype, (row) => row.reduce((a, b) => a + b, 0));
  return zipped(powers, total, (power, sum) => power / sum);
}

export function convolved(x: Reference, weights: Reference, axis: number): Reference {
  const radius = (weights.values.length - 1) / 2;
  const last = x.shape[axis]! - 1;
  return build(x.dtype, x.shape, (index) =>
    weights.values.reduce((sum, weight, k) => {
      const from = Math.min(last, Math.max(0, index[axis]! + k - radius));
      return (
        sum +
        weight *
          at(
            x,
            index.map((i, place) => (place === axis ? from : i)),
          )
      );
    }, 0),
  );
}

export function product(a: Reference, b: Reference): Reference {
  const [rows, inner, columns] = [a.shape.at(-2)!, a.shape.at(-1)!, b.shape.at(-1)!];
  const batch = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  return build(a.dtype, [...batch, rows, columns], (index) => {
    const leading = index.slice(0, -2);
    const own = (shape: readonly number[]): number[] =>
      leading.slice(leading.length - shape.length + 2);
    let sum = 0;
    for (let k = 0; k < inner; k++) {
      const left = at(a, [...own(a.shape), index.at(-2)!, k]);
      sum += left * at(b, [...own(b.shape), k, index.at(-1)!]);
    }
    return sum;
  });
}
