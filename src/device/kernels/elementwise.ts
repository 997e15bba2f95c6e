/** Element-wise operations: from tensors to a record. */

import { dtypeInfo } from "../../host/dtype.ts";
import { InvalidArgumentError } from "../../host/errors.ts";
import {
  broadcastLayout,
  broadcastShapes,
  contiguousLayout,
  sameShape,
  shapeText,
} from "../../host/layout.ts";
import type { Layout, Shape } from "../../host/layout.ts";
import { parameterWords } from "../../shaders/binding.ts";
import type { Parameter } from "../../shaders/binding.ts";
import { elementwiseShader } from "../../shaders/elementwise.ts";
import type { ElementwiseSpec, InputForm } from "../../shaders/elementwise.ts";
import { linearGroups } from "../executor.ts";
import type { AnyTensor, Executor, Placer } from "../executor.ts";
import { Kernel } from "../stream/kernel.ts";
import { copyOperation, fillOperation } from "./builtin.ts";
import { coalesce } from "./coalesce.ts";
import { copyRuns, runOf } from "./copy-runs.ts";
import { elementwiseInParts } from "./elementwise-in-parts.ts";
import type {
  ElementwiseOperation,
  ElementwiseRunner,
  ElementwiseUse,
} from "./elementwise-operation.ts";

const forms: readonly InputForm[] = ["row", "one", "strided"];

/** Kernels of one runtime, by operation and then by what distinguishes their text. */
export class ElementwiseKernels implements ElementwiseRunner {
  readonly #executor: Executor;
  readonly #kernels = new Map<ElementwiseOperation, Map<number, Kernel>>();

  constructor(executor: Executor) {
    this.#executor = executor;
  }

  /** O(operands × rank). Throws `INVALID_LAYOUT` where the shapes do not broadcast. */
  run(operation: ElementwiseOperation, use: ElementwiseUse, placer: Placer): AnyTensor {
    const { inputs, output, target } = use;
    const layout = outputLayout(use, operation.label);
    if (operation === copyOperation) {
      const copy = this.#copied(use, layout, placer);
      if (copy !== null) return copy;
    }
    if (operation === fillOperation && use.values?.[0] === 0) {
      const zeros = this.#cleared(use, layout, placer);
      if (zeros !== null) return zeros;
    }
    if (!this.#fits(use, layout)) {
      return elementwiseInParts(this, this.#executor, operation, { ...use, layout }, placer);
    }
    const isOutputStrided = target !== undefined && use.isRun !== true && !target.isWhole;
    let isStrided = isOutputStrided;
    let key = dtypeInfo(output).id;
    for (const input of inputs) {
      const form = formOf(input, layout);
      isStrided ||= form === 2;
      key = key * 16 + dtypeInfo(input.dtype).id * 3 + form;
    }
    // The words of parameters end at 30 axes, which is checked before the rank becomes part of it.
    key = key * 64;
    if (!isStrided) {
      const kernel = this.#kernel(operation, key, use, 0, isOutputStrided);
      return this.#dispatch(kernel, operation, use, layout, inputs.length + 1, 4, placer);
    }
    const views = inputs.map((input) => broadcastLayout(input.layout, layout.shape).strides);
    if (isOutputStrided) views.push(target.layout.strides);
    const { shape, strides } = coalesce(layout.shape, views);
    requireWords(
      inputs.length + 2 + shape.length * (1 + strides.length) + operation.parameters.length,
      operation.label,
    );
    const kernel = this.#kernel(
      operation,
      key + shape.length * 2 + (isOutputStrided ? 1 : 0),
      use,
      shape.length,
      isOutputStrided,
    );
    const { words } = this.#executor.stream;
    let word = inputs.length + 2;
    for (const extent of shape) words[word++] = extent;
    for (const own of strides) for (const stride of own) words[word++] = stride;
    return this.#dispatch(
      kernel,
      operation,
      use,
      layout,
      word - 1,
      isOutputStrided ? 1 : 4,
      placer,
    );
  }

  /** A copy by the device itself, where that can make it. */
  #copied(use: ElementwiseUse, layout: Layout, placer: Placer): AnyTensor | null {
    const executor = this.#executor;
    const input = use.inputs[0]!;
    const runs = copyRuns(input, layout, use.target ?? null);
    if (runs === null) return null;
    if (use.target !== undefined) {
      return executor.stream.copies.between(input.block, use.target.block, runs)
        ? use.target
        : null;
    }
    const spec = { dtype: use.output, layout, label: use.label ?? copyOperation.label };
    const made = executor.placeApart(spec, placer, input);
    try {
      if (executor.stream.copies.between(input.block, made.block, runs)) return made;
      // In the same buffer: a kernel can do that.
      return this.run(copyOperation, { ...use, target: made }, placer);
    } catch (error) {
      made.dispose();
      throw error;
    }
  }

  /** Zeros by the device itself, where they lie in a run. */
  #cleared(use: ElementwiseUse, layout: Layout, placer: Placer): AnyTensor | null {
    const executor = this.#executor;
    const label = use.label ?? fillOperation.label;
    const target = use.target ?? executor.place({ dtype: use.output, layout, label }, placer, 0);
    try {
      const runs = runOf(target);
      if (runs !== null && executor.stream.copies.between(null, target.block, runs)) return target;
      return use.target === undefined
        ? this.run(fillOperation, { ...use, target, values: use.values! }, placer)
        : null;
    } catch (error) {
      if (target !== use.target) target.dispose();
      throw error;
    }
  }

  /** Whether one dispatch can bind all operands. */
  #fits({ inputs, output, target }: ElementwiseUse, layout: Layout): boolean {
    const executor = this.#executor;
    for (const input of inputs) if (!executor.fits(input)) return false;
    return target === undefined ? executor.fitsNew(output, layout.count) : executor.fits(target);
  }

  #dispatch(
    kernel: Kernel,
    operation: ElementwiseOperation,
    use: ElementwiseUse,
    layout: Layout,
    ownWords: number,
    lanes: number,
    placer: Placer,
  ): AnyTensor {
    const { stream } = this.#executor;
    stream.words[use.inputs.length + 1] = layout.count;
    let word = ownWords + 1;
    requireWords(word + operation.parameters.length, operation.label);
    if (use.values !== undefined)
      word = writeParameters(stream, operation.parameters, use.values, word);
    const { x, y, z } = linearGroups(Math.ceil(layout.count / lanes));
    const output = use.target ?? { dtype: use.output, layout, label: use.label ?? operation.label };
    return this.#executor.run(
      { kernel, inputs: use.inputs, outputs: [output], wordCount: word, x, y, z },
      placer,
    );
  }

  #kernel(
    operation: ElementwiseOperation,
    key: number,
    use: ElementwiseUse,
    rank: number,
    isOutputStrided: boolean,
  ): Kernel {
    let kernels = this.#kernels.get(operation);
    if (kernels === undefined) this.#kernels.set(operation, (kernels = new Map()));
    let kernel = kernels.get(key);
    if (kernel !== undefined) return kernel;
    const inputDtypes = use.inputs.map(({ dtype }) => dtype);
    const formKeys = formsOf(key, use.inputs.length);
    const spec: ElementwiseSpec = {
      inputs: operation.inputs.map((name, index) => ({
        name,
        dtype: inputDtypes[index]!,
        form: rank > 0 ? "strided" : forms[formKeys[index]!]!,
      })),
      output: use.output,
      parameters: operation.parameters,
      ...operation.text(inputDtypes, use.output),
      rank,
      isOutputStrided,
    };
    kernel = new Kernel({
      label: operation.label,
      inputCount: use.inputs.length,
      elementBytes: [...inputDtypes, use.output].map((dtype) => dtypeInfo(dtype).bytes),
      isUserDefined: operation.isUserDefined,
      source: (plan) => elementwiseShader(spec, plan),
    });
    kernels.set(key, kernel);
    return kernel;
  }
}

/** The forms in a key, first input first. */
function formsOf(key: number, count: number): number[] {
  const digits: number[] = [];
  let rest = Math.floor(key / 64);
  for (let index = 0; index < count; index++) {
    digits.unshift((rest % 16) % 3);
    rest = Math.floor(rest / 16);
  }
  return digits;
}

/** 0: four elements at a time; 1: one element for all; 2: by strides. */
function formOf({ layout }: AnyTensor, output: Layout): 0 | 1 | 2 {
  if (layout.count === 1 && output.count !== 1) return 1;
  if (!layout.isContiguous || layout.offset % 4 !== 0) return 2;
  return layout === output || sameShape(layout.shape, output.shape)
    ? 0
    : layout.count === output.count
      ? 0
      : 2;
}

/** Throws `INVALID_LAYOUT` unless a result of `shape` can be written into `target`. */
function requireWritable(target: AnyTensor, shape: Shape, label: string): void {
  if (target.layout.strides.some((stride, axis) => stride === 0 && target.shape[axis]! > 1)) {
    throw new InvalidArgumentError(
      "INVALID_LAYOUT",
      `"${target.label}" is a broadcast view: several of its elements are one in memory; write to its owner`,
      { label: target.label },
    );
  }
  if (sameShape(broadcastShapes(shape, target.shape), target.shape)) return;
  throw new InvalidArgumentError(
    "INVALID_LAYOUT",
    `"${label}" has shape ${shapeText(shape)}, which does not broadcast to "${target.label}" of shape ${shapeText(target.shape)}`,
    { label: target.label },
  );
}

/** {@link broadcastShapes}, whose error names the operation and its inputs. */
function broadcastNamed(a: Shape, b: Shape, use: ElementwiseUse, label: string): Shape {
  try {
    return broadcastShapes(a, b);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    const names = use.inputs.map((input) => `"${input.label}" ${shapeText(input.shape)}`);
    throw new InvalidArgumentError(
      error.code,
      `${label} of ${names.join(" and ")}: ${error.message}; reshape() or slice() one of them`,
      { label: use.inputs.at(-1)!.label },
    );
  }
}

function outputLayout(use: ElementwiseUse, label: string): Layout {
  const { inputs, target } = use;
  const first = inputs[0];
  let shape = first?.shape ?? use.layout?.shape ?? target!.shape;
  for (let index = 1; index < inputs.length; index++) {
    const other = inputs[index]!.shape;
    if (!sameShape(shape, other)) shape = broadcastNamed(shape, other, use, label);
  }
  if (target !== undefined) {
    requireWritable(target, shape, label);
    return contiguousLayout(target.shape);
  }
  // The common case shares the input's own layout: nothing is allocated for it.
  const own = first?.layout ?? use.layout!;
  return shape === own.shape && own.isContiguous && own.offset === 0
    ? own
    : contiguousLayout(shape);
}

/** Writes the author's parameters; returns the index after the last word. */
export function writeParameters(
  stream: { readonly words: Uint32Array; readonly floats: Float32Array },
  parameters: readonly Parameter[],
  values: readonly number[],
  start: number,
): number {
  let word = start;
  for (let index = 0; index < parameters.length; index++) {
    if (parameters[index]!.type === "f32") stream.floats[word++] = values[index]!;
    else stream.words[word++] = values[index]!;
  }
  return word;
}

/** Throws `LIMIT_EXCEEDED` where the parameters of a dispatch would not fit. */
export function requireWords(count: number, label: string): void {
  if (count <= parameterWords) return;
  throw new InvalidArgumentError(
    "LIMIT_EXCEEDED",
    `"${label}" needs ${count} words of parameters, and a dispatch has ${parameterWords}; copy() strided inputs, or use fewer axes`,
    { label },
  );
}
