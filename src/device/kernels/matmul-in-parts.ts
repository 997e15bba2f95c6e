/**
 * Matrix products whose operands are too large to be bound. One axis is cut at a time, the one that
 * brings the largest operand's parts apart in memory, and the parts are products of their own:
 *
 *     rows of a ── rows of the result      columns of b ── columns of the result
 *     columns of a with rows of b ── terms of a sum
 */

import { broadcastLayout, contiguousLayout } from "../../host/layout.ts";
import type { Layout, Shape } from "../../host/layout.ts";
import type { AnyTensor, Executor, Placer } from "../executor.ts";
import { binaryOperations, copyOperation } from "./builtin.ts";
import type { ElementwiseRunner } from "./elementwise-operation.ts";
import { reachOf } from "./windows.ts";

export interface Product {
  readonly a: AnyTensor;
  readonly b: AnyTensor;
  readonly label: string;
  readonly placer: Placer;
  /** Of the result. */
  readonly shape: Shape;
  /** Its leading axes. */
  readonly batch: Shape;
  /** A contiguous tensor to write into. */
  readonly target?: AnyTensor;
}

/** `[…, m, k] × […, k, n]`, into `target` if told. */
export type Multiply = (
  a: AnyTensor,
  b: AnyTensor,
  label: string,
  placer: Placer,
  target?: AnyTensor,
) => AnyTensor;

type Axis = "rows" | "inner" | "columns";

const elementBytes = 4;

export function matmulInParts(
  multiply: Multiply,
  elementwise: ElementwiseRunner,
  executor: Executor,
  product: Product,
): AnyTensor {
  const { label, placer, shape } = product;
  const spec = { dtype: "float32", layout: contiguousLayout(shape), label } as const;
  const target = product.target ?? executor.place(spec, placer, 0);
  try {
    if (product.batch.length > 0) eachOfBatch(multiply, product, target);
    else cut(multiply, elementwise, executor, product, target);
  } catch (error) {
    if (target !== product.target) target.dispose();
    throw error;
  }
  return target;
}

function eachOfBatch(multiply: Multiply, product: Product, target: AnyTensor): void {
  const { a, b, batch, shape, label, placer } = product;
  const [rows, columns] = shape.slice(-2) as [number, number];
  const inner = a.shape.at(-1)!;
  const viewA = a.viewAs(broadcastLayout(a.layout, [...batch, rows, inner]));
  const viewB = b.viewAs(broadcastLayout(b.layout, [...batch, inner, columns]));
  for (let index = 0; index < batch[0]!; index++) {
    multiply(viewA.slice(index), viewB.slice(index), label, placer, target.slice(index));
  }
}

/** A product of two matrices, cut along one axis; its parts may be cut again. */
function cut(
  multiply: Multiply,
  elementwise: ElementwiseRunner,
  executor: Executor,
  { a, b, label, placer, shape }: Product,
  target: AnyTensor,
): void {
  const [rows, columns] = shape as [number, number];
  const inner = a.shape[1]!;
  const extents = { rows, inner, columns };
  const axis = axisToCut(a, b, target);
  const extent = extents[axis];
  const largest = Math.max(...[a, b, target].map(({ layout }) => reachOf(layout) * elementBytes));
  const count = Math.max(2, Math.ceil(largest / executor.partBytes));
  const step = Math.max(1, Math.floor(extent / count));
  const size = step > 4 ? Math.floor(step / 4) * 4 : step;
  for (let start = 0; start < extent; start += size) {
    const range = [start, Math.min(start + size, extent)] as const;
    if (axis === "rows") {
      multiply(a.slice(range), b, label, placer, target.slice(range));
      continue;
    }
    // Neither columns of the result nor a term of its sum is a contiguous part of it.
    const [partA, partB] =
      axis === "inner" ? [a.slice(null, range), b.slice(range)] : [a, b.slice(null, range)];
    const part = multiply(partA, partB, label, placer);
    try {
      const place = axis === "inner" ? target : target.slice(null, range);
      if (axis === "columns" || start === 0) {
        elementwise.run(copyOperation, toTarget([part], place), placer);
      } else {
        const sum = elementwise.run(
          binaryOperations.add,
          { inputs: [target, part], output: "float32" },
          placer,
        );
        elementwise.run(copyOperation, toTarget([sum], place), placer);
        sum.dispose();
      }
    } finally {
      part.dispose();
    }
  }
}

function toTarget(
  inputs: readonly AnyTensor[],
  target: AnyTensor,
): { inputs: readonly AnyTensor[]; output: "float32"; target: AnyTensor; isRun: boolean } {
  const { offset, isContiguous, count } = target.layout;
  const isRun = isContiguous && offset % 4 === 0 && (count % 4 === 0 || target.isWhole);
  return { inputs, output: "float32", target, isRun };
}

/** Along which axis the operand that reaches furthest falls apart into runs of memory. */
function axisToCut(a: AnyTensor, b: AnyTensor, target: AnyTensor): Axis {
  const operands: readonly (readonly [reach: number, layout: Layout, outer: Axis, inner: Axis])[] =
    [
      [reachOf(target.layout), target.layout, "rows", "columns"],
      [reachOf(a.layout), a.layout, "rows", "inner"],
      [reachOf(b.layout), b.layout, "inner", "columns"],
    ];
  const [, { shape, strides }, outer, inner] = operands.reduce((most, one) =>
    one[0] > most[0] ? one : most,
  );
  const spread = (axis: 0 | 1): number => (shape[axis]! > 1 ? Math.abs(strides[axis]!) : 0);
  return spread(0) >= spread(1) ? outer : inner;
}
