/** Copies between layouts on the host: every element once, in row-major order. */

import type { Layout } from "../layout.ts";

/** Any array of numbers that can be written. */
export interface Elements {
  readonly length: number;
  [index: number]: number;
}

/**
 * Calls `visit` with the place of each row's first element in the memory, in row-major order. A row is
 * the last axis; a scalar is one row. O(elements / row length).
 */
function forEachRow({ shape, strides, offset }: Layout, visit: (start: number) => void): void {
  const outer = shape.length - 1;
  if (outer < 1) {
    visit(offset);
    return;
  }
  const index = Array.from({ length: outer }, () => 0);
  let start = offset;
  for (;;) {
    visit(start);
    let axis = outer - 1;
    for (; axis >= 0; axis--) {
      start += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      start -= shape[axis]! * strides[axis]!;
      index[axis] = 0;
    }
    if (axis < 0) return;
  }
}

/** Writes the elements of `from` under `layout` one behind the other into `to`. O(elements). */
export function gather<T extends Elements>(
  from: T,
  layout: Layout,
  to: T,
  convert?: (value: number) => number,
): void {
  const length = layout.shape.at(-1) ?? 1;
  const stride = layout.strides.at(-1) ?? 1;
  let target = 0;
  forEachRow(layout, (start) => {
    let source = start;
    if (convert === undefined) {
      for (let column = 0; column < length; column++, source += stride)
        to[target++] = from[source]!;
    } else {
      for (let column = 0; column < length; column++, source += stride) {
        to[target++] = convert(from[source]!);
      }
    }
  });
}

/** Writes row-major `values` to the elements of `to` under `layout`. O(elements). */
export function scatter(
  values: ArrayLike<number>,
  to: Elements,
  layout: Layout,
  convert?: (value: number) => number,
): void {
  const length = layout.shape.at(-1) ?? 1;
  const stride = layout.strides.at(-1) ?? 1;
  let source = 0;
  forEachRow(layout, (start) => {
    for (let column = 0, at = start; column < length; column++, at += stride) {
      const value = values[source++]!;
      to[at] = convert === undefined ? value : convert(value);
    }
  });
}

/** Writes `value` to every element of `to` under `layout`. O(elements). */
export function fillElements(to: Elements, layout: Layout, value: number): void {
  const length = layout.shape.at(-1) ?? 1;
  const stride = layout.strides.at(-1) ?? 1;
  forEachRow(layout, (start) => {
    for (let column = 0, at = start; column < length; column++, at += stride) to[at] = value;
  });
}
