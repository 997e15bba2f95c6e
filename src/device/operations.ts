/**
 * What can be computed with tensors. A runtime and a scope offer the same operations; they differ in
 * where the results live. Shapes and dtypes are checked at the call; the work itself is recorded.
 */

import type { DType } from "../host/dtype.ts";
import { dtypeInfo } from "../host/dtype.ts";
import { InvalidArgumentError } from "../host/errors.ts";
import { contiguousLayout, normaliseAxis } from "../host/layout.ts";
import type { Owned } from "../host/lifetime.ts";
import type { Reduction } from "../shaders/reduce.ts";
import { reducedDtype } from "../shaders/reduce.ts";
import type { AnyTensor, Placer } from "./executor.ts";
import {
  binaryOperations,
  castOperation,
  copyOperation,
  numberOperations,
  unaryAccepts,
  unaryOperations,
} from "./kernels/builtin.ts";
import type { BinaryName, UnaryName } from "./kernels/builtin.ts";
import type { EntryUse } from "./kernels/entry-kernels.ts";
import { rowsOf } from "./kernels/rows.ts";
import type { Rows } from "./kernels/rows.ts";
import { scalarBits, TensorFactory } from "./tensor-factory.ts";
import type { Tensor, TensorInput } from "./tensor.ts";
import { requireSameDtype } from "./uploads.ts";
import type { LabelOptions } from "./uploads.ts";
import { parameterValues } from "./user-kernel.ts";
import type {
  ElementwiseKernel,
  EntryKernel,
  ParameterTypes,
  ParameterValues,
} from "./user-kernel.ts";

export interface ReduceOptions extends LabelOptions {
  /** Counted from the end where negative; all elements unless told. */
  readonly axis?: number;
  /** Keeps the axis with one element; default `false`. */
  readonly keepDims?: boolean;
}

/** The dtype of a sum: bytes would overflow at once. */
export type SumDtype<D extends DType> = D extends "uint8" ? "uint32" : D;

export interface AxisOptions extends LabelOptions {
  /** Counted from the end where negative. */
  readonly axis: number;
}

/** Rows so few and so long that one invocation for each would leave a device idle. */
const fewRows = 64;
const longRow = 4096;

export abstract class Operations<S = Owned> extends TensorFactory<S> {
  /** A built-in function of every element. Float dtypes; some take integers too. */
  unary<D extends DType>(
    name: UnaryName,
    x: TensorInput<D>,
    options: LabelOptions = {},
  ): Tensor<D, S> {
    const input = this.context.executor.own(x);
    requireKnown(name, unaryOperations, input.label);
    if (!unaryAccepts(name, input.dtype)) throw wrongDtype(name, input);
    const use = { inputs: [input], output: input.dtype, label: options.label };
    return this.give(this.context.elementwise.run(unaryOperations[name], use, this.placer()));
  }

  /** A built-in function of two tensors that broadcast, or of a tensor and a number. */
  binary<D extends DType>(
    name: BinaryName,
    a: TensorInput<D>,
    b: TensorInput<NoInfer<D>> | number,
    options: LabelOptions = {},
  ): Tensor<D, S> {
    const { executor, elementwise } = this.context;
    const first = executor.own(a);
    requireKnown(name, binaryOperations, first.label);
    if (name === "power" && dtypeInfo(first.dtype).scalar !== "f32") throw wrongDtype(name, first);
    const { label } = options;
    if (typeof b === "number") {
      const use = {
        inputs: [first],
        output: first.dtype,
        values: [scalarBits(first.dtype, b, first.label)],
        label,
      };
      return this.give(elementwise.run(numberOperations[name], use, this.placer()));
    }
    const second = executor.own(b);
    requireSameDtype(name, first, second);
    const use = { inputs: [first, second], output: first.dtype, label };
    return this.give(elementwise.run(binaryOperations[name], use, this.placer()));
  }

  /** `a + b`, element by element; shapes broadcast. uint8 wraps at 256. */
  add<D extends DType>(
    a: TensorInput<D>,
    b: TensorInput<NoInfer<D>> | number,
    options?: LabelOptions,
  ): Tensor<D, S> {
    return this.binary("add", a, b, options);
  }

  /** `a - b`; see {@link add}. */
  subtract<D extends DType>(
    a: TensorInput<D>,
    b: TensorInput<NoInfer<D>> | number,
    options?: LabelOptions,
  ): Tensor<D, S> {
    return this.binary("subtract", a, b, options);
  }

  /** `a * b`; see {@link add}. */
  multiply<D extends DType>(
    a: TensorInput<D>,
    b: TensorInput<NoInfer<D>> | number,
    options?: LabelOptions,
  ): Tensor<D, S> {
    return this.binary("multiply", a, b, options);
  }

  /** `a / b`; integers truncate, and what x / 0 gives is the platform's choice. */
  divide<D extends DType>(
    a: TensorInput<D>,
    b: TensorInput<NoInfer<D>> | number,
    options?: LabelOptions,
  ): Tensor<D, S> {
    return this.binary("divide", a, b, options);
  }

  /** Sums of float16 and uint8 are folded in float32 and uint32; the latter is also their dtype. */
  sum<D extends DType>(x: TensorInput<D>, options: ReduceOptions = {}): Tensor<SumDtype<D>, S> {
    const dtype = (x.dtype === "uint8" ? "uint32" : x.dtype) as SumDtype<D>;
    return this.#reduce("sum", x, dtype, options);
  }

  /** The smallest element, of all or along `axis`; NaN is not looked for. Keeps the dtype. */
  min<D extends DType>(x: TensorInput<D>, options: ReduceOptions = {}): Tensor<D, S> {
    return this.#reduce("min", x, x.dtype, options);
  }

  /** The largest element, of all or along `axis`; NaN is not looked for. Keeps the dtype. */
  max<D extends DType>(x: TensorInput<D>, options: ReduceOptions = {}): Tensor<D, S> {
    return this.#reduce("max", x, x.dtype, options);
  }

  /** The index of the largest element along `axis` (in all elements unless told); the first of equals. */
  argmax(x: TensorInput, options: ReduceOptions = {}): Tensor<"uint32", S> {
    return this.#reduce("argmax", x, "uint32", options);
  }

  #reduce<D extends DType>(
    reduction: Reduction,
    x: TensorInput,
    dtype: D,
    options: ReduceOptions,
  ): Tensor<D, S> {
    const input = this.context.executor.own(x);
    const axis =
      options.axis === undefined
        ? null
        : normaliseAxis(options.axis, input.shape, `${reduction} of "${input.label}"`);
    const label = options.label ?? reduction;
    const kept = input.shape.map((extent, index) => (axis === null || index === axis ? 1 : extent));
    const shape =
      options.keepDims === true
        ? kept
        : axis === null
          ? []
          : kept.filter((_, index) => index !== axis);
    const layout = contiguousLayout(shape, label);
    return this.give(
      this.withScratch((scratch) => {
        const source = this.#contiguous(input, scratch);
        const isFinal = reducedDtype(reduction, input.dtype) === dtype;
        const target = this.placer();
        const rows = rowsOf(source.layout, axis);
        const folded = this.context.axis.reduce(reduction, source, rows, {
          layout,
          label,
          placer: isFinal ? target : scratch,
          scratch,
        });
        if (isFinal) return folded;
        return this.context.elementwise.run(
          castOperation,
          { inputs: [folded], output: dtype, label },
          target,
        );
      }),
    );
  }

  /** `exp(x - max) / sum(exp(x - max))` along an axis. Float dtypes. */
  softmax<D extends DType>(x: TensorInput<D>, options: AxisOptions): Tensor<D, S> {
    const axis = normaliseAxis(options.axis, x.shape, `softmax of "${x.label}"`);
    const label = options.label ?? "softmax";
    return this.#floating("softmax", x, label, (input, target, scratch) => {
      const rows = rowsOf(input.layout, axis);
      const isLong = rows.outer * rows.inner < fewRows && rows.length > longRow;
      if (isLong || this.context.axis.isRowLarge(input, rows)) {
        return this.#longSoftmax(input, axis, rows, label, target, scratch);
      }
      return this.context.axis.softmax(input, rows, label, target);
    });
  }

  #longSoftmax(
    input: AnyTensor,
    axis: number,
    rows: Rows,
    label: string,
    target: Placer,
    scratch: Placer,
  ): AnyTensor {
    const { elementwise, axis: kernels } = this.context;
    const kept = contiguousLayout(
      input.shape.map((extent, index) => (index === axis ? 1 : extent)),
    );
    const output = input.dtype;
    const to = { layout: kept, placer: scratch, scratch };
    const highest = kernels.reduce("max", input, rows, { ...to, label: "softmax maximum" });
    const shifted = elementwise.run(
      binaryOperations.subtract,
      { inputs: [input, highest], output },
      scratch,
    );
    const powers = elementwise.run(unaryOperations.exp, { inputs: [shifted], output }, scratch);
    const total = kernels.reduce("sum", powers, rows, { ...to, label: "softmax total" });
    return elementwise.run(
      binaryOperations.divide,
      { inputs: [powers, total], output, label },
      target,
    );
  }

  /**
   * Convolves along one axis with an odd number of weights; elements past an edge repeat the edge.
   * Twice, along two axes, it is a separable convolution. Float dtypes.
   */
  convolve<D extends DType>(
    x: TensorInput<D>,
    weights: TensorInput<D>,
    options: AxisOptions,
  ): Tensor<D, S> {
    const axis = normaliseAxis(options.axis, x.shape, `convolve of "${x.label}"`);
    const label = options.label ?? "convolve";
    const kernel = this.context.executor.own(weights);
    if (kernel.layout.rank !== 1 || kernel.size % 2 === 0) {
      throw new InvalidArgumentError(
        "INVALID_LAYOUT",
        `convolve needs an odd number of weights in one axis, and "${kernel.label}" has shape [${kernel.shape.join(", ")}]`,
        { label: kernel.label },
      );
    }
    requireSameDtype("convolve", this.context.executor.own(x), kernel);
    return this.#floating("convolve", x, label, (input, target, scratch) => {
      const taps = this.#contiguous(this.#asFloat32(kernel, scratch), scratch);
      return this.context.axis.convolve(input, taps, rowsOf(input.layout, axis), label, target);
    });
  }

  /** Convolves along the last two axes: `weightsX` along the last, then `weightsY`. Float dtypes. */
  convolveSeparable<D extends DType>(
    x: TensorInput<D>,
    weightsX: TensorInput<D>,
    weightsY: TensorInput<D>,
    options: LabelOptions = {},
  ): Tensor<D, S> {
    const across = this.convolve(x, weightsX, { axis: -1, label: "convolve x" });
    try {
      return this.convolve(across, weightsY, { axis: -2, label: options.label ?? "convolve" });
    } finally {
      across.dispose();
    }
  }

  /** `[…, m, k] × […, k, n] → […, m, n]`; leading axes broadcast, any strides. Float dtypes. */
  matmul<D extends DType>(
    a: TensorInput<D>,
    b: TensorInput<NoInfer<D>>,
    options: LabelOptions = {},
  ): Tensor<D, S> {
    const label = options.label ?? "matmul";
    const second = this.context.executor.own(b);
    const first = this.context.executor.own(a);
    requireSameDtype("matmul", first, second);
    if (first.dtype === "float32")
      return this.give(this.context.matmul.run(first, second, label, this.placer()));
    return this.#floating("matmul", a, label, (input, target, scratch) =>
      this.context.matmul.run(input, this.#asFloat32(second, scratch), label, target),
    );
  }

  /** Runs an element-wise kernel over tensors that broadcast, one for each of its inputs. */
  map<P extends ParameterTypes, O extends DType>(
    kernel: ElementwiseKernel<P, O>,
    inputs: readonly TensorInput[],
    options: LabelOptions & { readonly parameters?: ParameterValues<P> } = {},
  ): Tensor<O, S> {
    const { operation, output, label } = kernel;
    if (inputs.length !== operation.inputs.length) {
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `kernel "${label}" takes ${operation.inputs.length} inputs (${operation.inputs.join(", ")}), and was given ${inputs.length}`,
        { label },
      );
    }
    const use = {
      inputs: inputs.map((input) => this.context.executor.own(input)),
      output,
      values: parameterValues(kernel, options.parameters),
      label: options.label,
    };
    return this.give(this.context.elementwise.run(operation, use, this.placer()));
  }

  /** Runs a whole entry point; gives its outputs by name. */
  run<
    I extends { readonly [name: string]: DType },
    O extends { readonly [name: string]: DType },
    P extends ParameterTypes,
  >(
    kernel: EntryKernel<I, O, P>,
    use: EntryUse<I, O, P>,
  ): { readonly [N in keyof O]: Tensor<O[N], S> } {
    const outputs = this.context.entries.run(kernel, use, this.placer());
    const names = Object.keys(kernel.outputs);
    return Object.fromEntries(names.map((name, index) => [name, outputs[index]!])) as unknown as {
      readonly [N in keyof O]: Tensor<O[N], S>;
    };
  }

  /** Runs `compute` on `x` as contiguous float32, and gives its result back in the dtype of `x`. */
  #floating<D extends DType>(
    operation: string,
    x: TensorInput<D>,
    label: string,
    compute: (input: AnyTensor, target: Placer, scratch: Placer) => AnyTensor,
  ): Tensor<D, S> {
    const input = this.context.executor.own(x);
    if (dtypeInfo(input.dtype).scalar !== "f32") throw wrongDtype(operation, input);
    return this.give(
      this.withScratch((scratch) => {
        const target = this.placer();
        const source = this.#contiguous(this.#asFloat32(input, scratch), scratch);
        if (input.dtype === "float32") return compute(source, target, scratch);
        const result = compute(source, scratch, scratch);
        return this.context.elementwise.run(
          castOperation,
          { inputs: [result], output: input.dtype, label },
          target,
        );
      }),
    );
  }

  #asFloat32(input: AnyTensor, scratch: Placer): AnyTensor {
    if (input.dtype === "float32") return input;
    return this.context.elementwise.run(
      castOperation,
      { inputs: [input], output: "float32" },
      scratch,
    );
  }

  #contiguous(input: AnyTensor, scratch: Placer): AnyTensor {
    if (input.layout.isContiguous) return input;
    return this.context.elementwise.run(
      copyOperation,
      { inputs: [input], output: input.dtype },
      scratch,
    );
  }
}

function requireKnown(name: string, operations: object, label: string): void {
  if (Object.hasOwn(operations, name)) return;
  throw new InvalidArgumentError(
    "INVALID_ARGUMENT",
    `"${name}" (of "${label}") is no built-in operation; use one of ${Object.keys(operations).join(", ")}, or defineElementwise()`,
    { label },
  );
}

function wrongDtype(operation: string, input: AnyTensor): InvalidArgumentError {
  return new InvalidArgumentError(
    "UNSUPPORTED_DTYPE",
    `${operation} is not defined for ${input.dtype} ("${input.label}"); cast() it to float32 first`,
    { label: input.label },
  );
}
