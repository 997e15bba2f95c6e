/** Operations along an axis see a tensor as rows: what they are, and where their results go. */

import type { Layout } from "../../host/layout.ts";
import type { Reduction } from "../../shaders/reduce.ts";
import type { AnyTensor, Placer } from "../executor.ts";

/** An axis of a contiguous tensor: element (o, k, i) lies at (o × length + k) × inner + i. */
export interface Rows {
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
}

/** The rows of a layout along `axis`; all elements as one row for `null`. */
export function rowsOf({ shape, count }: Layout, axis: number | null): Rows {
  if (axis === null) return { outer: 1, length: count, inner: 1 };
  const product = (extents: readonly number[]): number => extents.reduce((a, b) => a * b, 1);
  return {
    outer: product(shape.slice(0, axis)),
    length: shape[axis]!,
    inner: product(shape.slice(axis + 1)),
  };
}

/** Where a result goes: a new tensor of `layout`, or one that is there. */
export interface Destination {
  readonly layout: Layout;
  readonly label: string;
  readonly placer: Placer;
  readonly scratch: Placer;
  /** A contiguous tensor to write into. */
  readonly target?: AnyTensor;
}

/** What folds rows. */
export interface RowKernels {
  reduce(reduction: Reduction, input: AnyTensor, rows: Rows, to: Destination): AnyTensor;
  /** Whether a row is too large to be bound: then only parts of it can be computed with. */
  isRowLarge(input: AnyTensor, rows: Rows): boolean;
}
