/**
 * Layout: how the elements of a tensor lie in its memory. Shape, strides and offset count elements,
 * never bytes. A layout is immutable, so views share it and nothing is copied.
 */

import { InvalidArgumentError } from "./errors.ts";

export type Shape = readonly number[];

/**
 * A range along one axis: `null` keeps the axis whole, a number takes one index and drops the axis,
 * `[start, stop]` and `[start, stop, step]` keep a part of it. Negative numbers count from the end.
 */
export type SliceRange =
  | null
  | number
  | readonly [start: number, stop: number]
  | readonly [start: number, stop: number, step: number];

export class Layout {
  readonly shape: Shape;
  readonly strides: readonly number[];
  /** Elements between the start of the memory and the first element. */
  readonly offset: number;
  /** Number of elements. */
  readonly count: number;
  /** Whether the elements lie row by row without gaps (an offset is allowed). */
  readonly isContiguous: boolean;

  /** @internal Use {@link contiguousLayout} and the view functions: they check, this does not. */
  constructor(shape: Shape, strides: readonly number[], offset: number) {
    this.shape = shape;
    this.strides = strides;
    this.offset = offset;
    let count = 1;
    let contiguous = true;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (shape[axis] !== 1 && strides[axis] !== count) contiguous = false;
      count *= shape[axis]!;
    }
    this.count = count;
    this.isContiguous = contiguous;
  }

  get rank(): number {
    return this.shape.length;
  }
}

/** `[2, 3]`, for messages. */
export function shapeText(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

function isSameShape(a: Shape, b: Shape): boolean {
  if (a.length !== b.length) return false;
  for (let axis = 0; axis < a.length; axis++) if (a[axis] !== b[axis]) return false;
  return true;
}

/** Freezes a layout, where it still is what it was made as. */
function isMadeEverybodys(layout: Layout): boolean {
  const { shape, strides } = layout;
  let count = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (strides[axis] !== count) return false;
    count *= shape[axis]!;
  }
  if (strides.length !== shape.length || layout.offset !== 0 || layout.count !== count)
    return false;
  Object.freeze(layout);
  Object.freeze(shape);
  Object.freeze(strides);
  return layout.isContiguous;
}

/**
 * The row-major layout of `shape`; `[]` is a scalar of one element.
 *
 * Throws `INVALID_LAYOUT` for an axis that is not a positive integer (a tensor without elements has
 * no memory to manage), `SIZE_OVERFLOW` where the elements pass 2^53 - 1. O(rank).
 */
export function contiguousLayout(shape: Shape, label = "tensor"): Layout {
  const known = latest;
  if (isSameShape(known.shape, shape) && (isShared || isMadeEverybodys(known))) {
    isShared = true;
    return known;
  }
  latest = newLayout(shape, label);
  isShared = false;
  return latest;
}

/**
 * The latest row-major layout: loops make tensors of one shape again and again, and a layout is three objects.
 * What is given out a second time is everybody's, and frozen; until then its one holder could have changed
 * it, so it is looked at first. To keep more of them costs those who never ask again as much as it spares
 * others: what is kept is moved by each of the engine's small collections.
 */
let latest = new Layout([], [], 0);
let isShared = false;

function newLayout(shape: Shape, label: string): Layout {
  let count = 1;
  // A plain array, whatever was given: a typed array would be no shape of anybody else's.
  const own = Array.isArray(shape) ? shape.slice() : Array.from(shape);
  // Of the same length; each element is set below.
  const strides = own.slice();
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const extent = shape[axis]!;
    if (!Number.isSafeInteger(extent) || extent < 1) {
      const hint = extent === 0 ? "zero-sized tensors have no memory: skip the operation" : "";
      throw new InvalidArgumentError(
        "INVALID_LAYOUT",
        `"${label}" has shape ${shapeText(shape)}: axis ${axis} is ${extent}, but every axis needs a positive integer` +
          (hint && `; ${hint}`),
        { label },
      );
    }
    strides[axis] = count;
    count *= extent;
    if (count > Number.MAX_SAFE_INTEGER) throw overflow(shape, label);
  }
  return new Layout(own, strides, 0);
}

/**
 * The bytes that `count` elements of `elementBytes` take; throws `SIZE_OVERFLOW` past 2^53 - 1.
 * `shape` and `label` name the tensor in the message.
 */
export function byteSize(count: number, elementBytes: number, shape: Shape, label: string): number {
  const bytes = count * elementBytes;
  if (bytes > Number.MAX_SAFE_INTEGER) throw overflow(shape, label);
  return bytes;
}

function overflow(shape: Shape, label: string): InvalidArgumentError {
  return new InvalidArgumentError(
    "SIZE_OVERFLOW",
    `"${label}" has shape ${shapeText(shape)}: its size in bytes passes 2^53 - 1; split the tensor`,
    { label },
  );
}

/**
 * The layout with its axes in another order; without `axes`, reversed. Throws `INVALID_LAYOUT`
 * unless `axes` names every axis once. O(rank).
 */
export function transposeLayout(layout: Layout, axes?: readonly number[]): Layout {
  const { rank } = layout;
  const order = axes ?? layout.shape.map((_, axis) => rank - 1 - axis);
  const seen = new Set(order);
  if (order.length !== rank || seen.size !== rank || order.some((a) => !inRange(a, rank))) {
    throw new InvalidArgumentError(
      "INVALID_LAYOUT",
      `transpose of shape ${shapeText(layout.shape)} was given axes ${shapeText(order)}; name each of 0…${rank - 1} once`,
    );
  }
  return new Layout(
    order.map((axis) => layout.shape[axis]!),
    order.map((axis) => layout.strides[axis]!),
    layout.offset,
  );
}

function inRange(index: number, extent: number): boolean {
  return Number.isInteger(index) && index >= 0 && index < extent;
}

/**
 * A part of the layout. Missing ranges at the end keep their axes whole. Throws `INVALID_LAYOUT`
 * for a range that leaves the axis or holds no element: nothing is clamped in silence. O(rank).
 */
export function sliceLayout(layout: Layout, ranges: readonly SliceRange[]): Layout {
  if (ranges.length > layout.rank) {
    throw new InvalidArgumentError(
      "INVALID_LAYOUT",
      `slice of shape ${shapeText(layout.shape)} was given ${ranges.length} ranges; it has ${layout.rank} axes`,
    );
  }
  const shape: number[] = [];
  const strides: number[] = [];
  let { offset } = layout;
  for (let axis = 0; axis < layout.rank; axis++) {
    const extent = layout.shape[axis]!;
    const stride = layout.strides[axis]!;
    const range = ranges[axis] ?? null;
    if (range === null) {
      shape.push(extent);
      strides.push(stride);
    } else if (typeof range === "number") {
      const index = range < 0 ? range + extent : range;
      if (!inRange(index, extent)) throw outOfRange(layout, axis, String(range));
      offset += index * stride;
    } else {
      const step = range[2] ?? 1;
      const start = range[0] < 0 ? range[0] + extent : range[0];
      const stop = range[1] < 0 ? range[1] + extent : range[1];
      const legal =
        inRange(start, extent) && Number.isInteger(stop) && stop > start && stop <= extent;
      if (!legal || !Number.isInteger(step) || step < 1) {
        throw outOfRange(layout, axis, `[${range.join(", ")}]`);
      }
      offset += start * stride;
      shape.push(Math.ceil((stop - start) / step));
      strides.push(stride * step);
    }
  }
  return new Layout(shape, strides, offset);
}

function outOfRange(layout: Layout, axis: number, range: string): InvalidArgumentError {
  return new InvalidArgumentError(
    "INVALID_LAYOUT",
    `slice of shape ${shapeText(layout.shape)}: ${range} does not fit axis ${axis}, which has indices 0…${layout.shape[axis]! - 1} ` +
      `(ranges are [start, stop, step] with start < stop ≤ ${layout.shape[axis]!} and step ≥ 1)`,
  );
}

/**
 * The layout repeated along new or one-element axes, by stride 0. Throws `INVALID_LAYOUT` where an
 * axis has more than one element and another extent. O(rank).
 */
export function broadcastLayout(layout: Layout, shape: Shape): Layout {
  const missing = shape.length - layout.rank;
  const strides = shape.map((extent, axis) => {
    const own = axis < missing ? 1 : layout.shape[axis - missing]!;
    if (own === extent) return axis < missing ? 0 : layout.strides[axis - missing]!;
    if (own === 1 && Number.isSafeInteger(extent) && extent > 0) return 0;
    throw new InvalidArgumentError(
      "INVALID_LAYOUT",
      `shape ${shapeText(layout.shape)} does not broadcast to ${shapeText(shape)}: axis ${axis} has ${own} and ${extent} elements`,
    );
  });
  if (missing < 0) {
    throw new InvalidArgumentError(
      "INVALID_LAYOUT",
      `shape ${shapeText(layout.shape)} does not broadcast to ${shapeText(shape)}, which has fewer axes`,
    );
  }
  const view = new Layout([...shape], strides, layout.offset);
  if (view.count > Number.MAX_SAFE_INTEGER) throw overflow(shape, "broadcast");
  return view;
}

/** The shape that two shapes broadcast to; throws `INVALID_LAYOUT` where they do not. O(rank). */
export function broadcastShapes(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  const shape: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) {
      throw new InvalidArgumentError(
        "INVALID_LAYOUT",
        `shapes ${shapeText(a)} and ${shapeText(b)} do not broadcast: axis ${axis} has ${x} and ${y} elements`,
      );
    }
    shape.push(x === 1 ? y : x);
  }
  return shape;
}

/**
 * The same elements under another shape, without a copy. Throws `INVALID_LAYOUT` where the counts
 * differ, or where the elements do not lie row by row (make them contiguous first). O(rank).
 */
export function reshapeLayout(layout: Layout, shape: Shape): Layout {
  const plain = contiguousLayout(shape);
  if (plain.count !== layout.count || !layout.isContiguous) {
    const why =
      plain.count === layout.count
        ? "its elements are strided: copy() the view first"
        : `it has ${layout.count} elements, not ${plain.count}`;
    throw new InvalidArgumentError(
      "INVALID_LAYOUT",
      `shape ${shapeText(layout.shape)} cannot be viewed as ${shapeText(shape)}: ${why}`,
    );
  }
  return new Layout(plain.shape, plain.strides, layout.offset);
}

/**
 * `axis` counted from the front; throws `INVALID_LAYOUT` where the shape has no such axis. `what`
 * names the operation and its tensor in the message.
 */
export function normaliseAxis(axis: number, shape: Shape, what = "operation"): number {
  const index = axis < 0 ? axis + shape.length : axis;
  if (inRange(index, shape.length)) return index;
  const range = shape.length === 0 ? "it has none" : `use ${-shape.length}…${shape.length - 1}`;
  throw new InvalidArgumentError(
    "INVALID_LAYOUT",
    `${what}: axis ${axis} does not exist in shape ${shapeText(shape)}; ${range}`,
  );
}

/** Whether two shapes are the same. O(rank). */
export function sameShape(a: Shape, b: Shape): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let axis = 0; axis < a.length; axis++) if (a[axis] !== b[axis]) return false;
  return true;
}
