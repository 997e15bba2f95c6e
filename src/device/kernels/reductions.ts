/** Reductions, softmax and convolution: operations over one axis of a contiguous [outer, length, inner]. */

import type { DType } from "../../host/dtype.ts";
import { dtypeInfo } from "../../host/dtype.ts";
import { contiguousLayout } from "../../host/layout.ts";
import type { BindingPlan } from "../../shaders/binding.ts";
import { convolveGroups, convolveShader } from "../../shaders/convolve.ts";
import type { ConvolveForm } from "../../shaders/convolve.ts";
import { reduceShader, reducedDtype } from "../../shaders/reduce.ts";
import type { Reduction } from "../../shaders/reduce.ts";
import { softmaxShader } from "../../shaders/softmax.ts";
import { linearGroups } from "../executor.ts";
import type { AnyTensor, Executor, OutputSpec, Placer } from "../executor.ts";
import { Kernel } from "../stream/kernel.ts";
import type { ElementwiseRunner } from "./elementwise-operation.ts";
import { reduceInParts, rowsInParts } from "./rows-in-parts.ts";
import type { Destination, RowKernels, Rows } from "./rows.ts";

/** Elements that one invocation folds before a row is split among several. */
const chunkElements = 1024;
/** Outputs from which on a dispatch keeps a machine busy without splitting rows. */
const enoughOutputs = 4096;

export class AxisKernels implements RowKernels {
  readonly #executor: Executor;
  readonly #elementwise: ElementwiseRunner;
  readonly #kernels = new Map<string, Kernel>();

  constructor(executor: Executor, elementwise: ElementwiseRunner) {
    this.#executor = executor;
    this.#elementwise = elementwise;
  }

  /** Whether a row is too large to be bound: then only parts of it can be computed with. */
  isRowLarge({ dtype }: AnyTensor, { length, inner }: Rows): boolean {
    return length * inner * dtypeInfo(dtype).bytes > this.#executor.partBytes;
  }

  /**
   * Folds `rows` of a contiguous tensor. The result has the dtype of {@link reducedDtype}; long rows
   * take several dispatches, with intermediates in `scratch`.
   */
  reduce(reduction: Reduction, input: AnyTensor, rows: Rows, to: Destination): AnyTensor {
    const executor = this.#executor;
    const folded = reducedDtype(reduction, input.dtype);
    const fitsTarget =
      to.target === undefined
        ? executor.fitsNew(folded, rows.outer * rows.inner)
        : executor.fits(to.target);
    if (!fitsTarget || !executor.fits(input)) {
      return reduceInParts(this, this.#elementwise, executor, reduction, input, rows, to);
    }
    const { layout, label, placer, scratch } = to;
    let current = input;
    let list: AnyTensor | null = null;
    let { length } = rows;
    for (;;) {
      const chunk = chunkOf(rows, length);
      const chunks = Math.ceil(length / chunk);
      const isLast = chunks === 1;
      const outputs = rows.outer * chunks * rows.inner;
      const dtype = reducedDtype(reduction, input.dtype);
      const spec = isLast
        ? (to.target ?? { dtype, layout, label })
        : { dtype, layout: contiguousLayout([outputs]), label: `${label} (chunks)` };
      const source = list === null ? current : input;
      const isRow4 =
        reduction !== "argmax" &&
        rows.inner === 1 &&
        length % 4 === 0 &&
        chunk % 4 === 0 &&
        source.layout.offset % 4 === 0;
      const kernel = this.#reduceKernel(reduction, source.dtype, isRow4, list !== null);
      const inputs = list === null ? [source] : [source, list];
      const words = [outputs, length, rows.inner, chunks, chunk, rows.length];
      const result = this.#run(kernel, inputs, spec, words, outputs, isLast ? placer : scratch);
      // The queue is in order: scratch may be used again as soon as its reader is recorded.
      if (current !== input) current.dispose();
      if (isLast) return result;
      current = result;
      list = reduction === "argmax" ? result : null;
      length = chunks;
    }
  }

  #reduceKernel(reduction: Reduction, dtype: DType, isRow4: boolean, isIndirect: boolean): Kernel {
    const { bytes } = dtypeInfo(dtype);
    return this.#kernel(
      `${reduction} ${dtype} ${isRow4} ${isIndirect}`,
      reduction,
      isIndirect ? [bytes, 4, 4] : [bytes, 4],
      (plan) => reduceShader({ reduction, input: dtype, isRow4, isIndirect }, plan),
    );
  }

  /** Softmax of a contiguous float32 tensor, one row to an invocation. */
  softmax(
    input: AnyTensor,
    rows: Rows,
    label: string,
    placer: Placer,
    target?: AnyTensor,
  ): AnyTensor {
    if (!this.#executor.fits(input)) {
      return rowsInParts(this.#executor, input, rows, label, placer, (part, own, to) =>
        this.softmax(part, own, label, placer, to),
      );
    }
    const kernel = this.#kernel("softmax", "softmax", [4, 4], softmaxShader);
    const count = rows.outer * rows.inner;
    const spec = target ?? { dtype: input.dtype, layout: contiguousLayout(input.shape), label };
    return this.#run(kernel, [input], spec, [count, rows.length, rows.inner], count, placer);
  }

  /** Convolution of a contiguous float32 tensor with an odd number of contiguous float32 weights. */
  convolve(
    input: AnyTensor,
    weights: AnyTensor,
    rows: Rows,
    label: string,
    placer: Placer,
    target?: AnyTensor,
  ): AnyTensor {
    if (!this.#executor.fits(input)) {
      return rowsInParts(this.#executor, input, rows, label, placer, (part, own, to) =>
        this.convolve(part, weights, own, label, placer, to),
      );
    }
    const form = convolveForm(rows, input);
    const kernel = this.#kernel(`convolve ${form}`, "convolve", [4, 4, 4], (plan) =>
      convolveShader(form, plan),
    );
    const groups = convolveGroups(form, rows);
    const words = [groups, rows.length, rows.inner, (weights.size - 1) / 2];
    const spec = target ?? { dtype: input.dtype, layout: contiguousLayout(input.shape), label };
    return this.#run(kernel, [input, weights], spec, words, groups, placer);
  }

  #kernel(
    key: string,
    label: string,
    elementBytes: readonly number[],
    source: (plan: BindingPlan) => string,
  ): Kernel {
    let kernel = this.#kernels.get(key);
    if (kernel === undefined) {
      kernel = new Kernel({ label, inputCount: elementBytes.length - 1, elementBytes, source });
      this.#kernels.set(key, kernel);
    }
    return kernel;
  }

  #run(
    kernel: Kernel,
    inputs: readonly AnyTensor[],
    output: OutputSpec | AnyTensor,
    words: readonly number[],
    invocations: number,
    placer: Placer,
  ): AnyTensor {
    const first = inputs.length + 1;
    for (let index = 0; index < words.length; index++)
      this.#executor.stream.words[first + index] = words[index]!;
    const { x, y, z } = linearGroups(invocations);
    return this.#executor.run(
      { kernel, inputs, outputs: [output], wordCount: first + words.length, x, y, z },
      placer,
    );
  }
}

function convolveForm(rows: Rows, input: AnyTensor): ConvolveForm {
  if (rows.inner === 1) return "row";
  return rows.inner % 4 === 0 && input.layout.offset % 4 === 0 ? "column" : "strided";
}

/** How many elements of a row one invocation folds. */
function chunkOf(rows: Rows, length: number): number {
  if (length <= chunkElements || rows.outer * rows.inner >= enoughOutputs) return length;
  return chunkElements;
}
