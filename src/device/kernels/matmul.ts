/** Matrix products: from tensors to a record. */

import { InvalidArgumentError } from "../../host/errors.ts";
import {
  broadcastLayout,
  broadcastShapes,
  contiguousLayout,
  shapeText,
} from "../../host/layout.ts";
import type { Shape } from "../../host/layout.ts";
import { matmulShader, matmulTile } from "../../shaders/matmul.ts";
import { maxGroups } from "../executor.ts";
import type { AnyTensor, Executor, Placer } from "../executor.ts";
import { Kernel } from "../stream/kernel.ts";
import { coalesce } from "./coalesce.ts";
import type { ElementwiseRunner } from "./elementwise-operation.ts";
import { matmulInParts } from "./matmul-in-parts.ts";

export class MatmulKernels {
  readonly #executor: Executor;
  readonly #strided = kernel(false);
  readonly #row4 = kernel(true);

  readonly #elementwise: ElementwiseRunner;

  constructor(executor: Executor, elementwise: ElementwiseRunner) {
    this.#executor = executor;
    this.#elementwise = elementwise;
  }

  /**
   * `[…, m, k] × […, k, n] → […, m, n]` of float32 tensors with any strides; the leading axes
   * broadcast. Throws `INVALID_LAYOUT` where the inner extents differ. O(rank). `target` is a contiguous
   * tensor to write into.
   */
  run(a: AnyTensor, b: AnyTensor, label: string, placer: Placer, target?: AnyTensor): AnyTensor {
    const { shape, batch } = productShape(a, b);
    const executor = this.#executor;
    if (!executor.fits(a) || !executor.fits(b) || !fitsOutput(executor, shape, target)) {
      const product = { a, b, label, placer, shape, batch, ...(target && { target }) };
      return matmulInParts((...part) => this.run(...part), this.#elementwise, executor, product);
    }
    const [rows, columns] = shape.slice(-2) as [number, number];
    const inner = a.shape.at(-1)!;
    const viewA = broadcastLayout(a.layout, [...batch, rows, inner]);
    const viewB = broadcastLayout(b.layout, [...batch, inner, columns]);
    const leading = batch.length;
    const batches = coalesce(batch, [
      viewA.strides.slice(0, leading),
      viewB.strides.slice(0, leading),
    ]);
    if (batches.shape.length > 2) {
      throw new InvalidArgumentError(
        "INVALID_LAYOUT",
        `matmul of "${a.label}" and "${b.label}": the batch axes ${shapeText(batch)} are strided too irregularly; copy() the views first`,
        { label },
      );
    }
    const pair = (own: readonly number[]): [number, number] =>
      own.length === 2 ? [own[0]!, own[1]!] : [0, own[0]!];
    const [aRow, aColumn] = viewA.strides.slice(leading) as [number, number];
    const [bRow, bColumn] = viewB.strides.slice(leading) as [number, number];
    const [a0, a1] = pair(batches.strides[0]!);
    const [b0, b1] = pair(batches.strides[1]!);
    const isMultiple = (...numbers: number[]): boolean =>
      numbers.every((number) => number % 4 === 0);
    const isRow4 =
      (target?.offset ?? 0) % 4 === 0 &&
      (aColumn === 1 || inner === 1) &&
      bColumn === 1 &&
      isMultiple(inner, columns, aRow, bRow, a0, a1, b0, b1, viewA.offset, viewB.offset);
    const count = batches.shape.reduce((product, extent) => product * extent, 1);
    const words = [
      rows,
      columns,
      inner,
      a0,
      a1,
      aRow,
      aColumn,
      b0,
      b1,
      bRow,
      bColumn,
      batches.shape.at(-1)!,
      count,
    ];
    for (let index = 0; index < words.length; index++)
      this.#executor.stream.words[3 + index] = words[index]!;
    return this.#executor.run(
      {
        kernel: isRow4 ? this.#row4 : this.#strided,
        inputs: [a, b],
        outputs: [target ?? { dtype: "float32", layout: contiguousLayout(shape), label }],
        wordCount: 3 + words.length,
        // Past what WebGPU dispatches, an invocation makes several tiles.
        x: Math.min(Math.ceil(columns / matmulTile.columns), maxGroups),
        y: Math.min(Math.ceil(rows / matmulTile.rows), maxGroups),
        z: Math.min(count, maxGroups),
      },
      placer,
    );
  }
}

function fitsOutput(executor: Executor, shape: Shape, target: AnyTensor | undefined): boolean {
  if (target !== undefined) return executor.fits(target);
  return executor.fitsNew(
    "float32",
    shape.reduce((count, extent) => count * extent, 1),
  );
}

function kernel(isRow4: boolean): Kernel {
  return new Kernel({
    label: "matmul",
    inputCount: 2,
    elementBytes: [4, 4, 4],
    source: (plan) => matmulShader({ isRow4 }, plan),
  });
}

function productShape(
  a: AnyTensor,
  b: AnyTensor,
): { readonly shape: Shape; readonly batch: Shape } {
  const fits = a.shape.length >= 2 && b.shape.length >= 2 && a.shape.at(-1) === b.shape.at(-2);
  if (!fits) {
    throw new InvalidArgumentError(
      "INVALID_LAYOUT",
      `matmul of "${a.label}" ${shapeText(a.shape)} and "${b.label}" ${shapeText(b.shape)}: it needs […, m, k] and […, k, n] ` +
        "with the same k; transpose() or reshape() one of them",
    );
  }
  const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
  return { shape: [...batch, a.shape.at(-2)!, b.shape.at(-1)!], batch };
}
