/** Making, copying and overwriting tensors: what a runtime and a scope both offer. */

import type { DType } from "../host/dtype.ts";
import { dtypeInfo } from "../host/dtype.ts";
import { InvalidArgumentError } from "../host/errors.ts";
import { contiguousLayout } from "../host/layout.ts";
import type { Shape } from "../host/layout.ts";
import type { Owned } from "../host/lifetime.ts";
import { castOperation, copyOperation, fillOperation } from "./kernels/builtin.ts";
import type { Tensor, TensorInput } from "./tensor.ts";
import { requireSameDtype, Uploads } from "./uploads.ts";
import type { LabelOptions } from "./uploads.ts";

export abstract class TensorFactory<S = Owned> extends Uploads<S> {
  /** A tensor of recycled memory: its elements are old bytes until something writes them. */
  empty<D extends DType>(
    shape: Shape,
    options: { readonly dtype: D } & LabelOptions,
  ): Tensor<D, S> {
    const { dtype, label = "empty" } = options;
    return this.give(
      this.context.executor.place(
        { dtype, layout: contiguousLayout(shape, label), label },
        this.placer(),
        0,
      ),
    );
  }

  /** A tensor with 0 in every element. */
  zeros<D extends DType>(
    shape: Shape,
    options: { readonly dtype: D } & LabelOptions,
  ): Tensor<D, S> {
    return this.full(shape, 0, { label: "zeros", ...options });
  }

  /** A tensor with `value` in every element. */
  full<D extends DType>(
    shape: Shape,
    value: number,
    options: { readonly dtype: D } & LabelOptions,
  ): Tensor<D, S> {
    const { dtype, label = "full" } = options;
    const use = {
      inputs: [],
      output: dtype,
      layout: contiguousLayout(shape, label),
      values: [scalarBits(dtype, value, label)],
      label,
    };
    return this.give(this.context.elementwise.run(fillOperation, use, this.placer()));
  }

  /** Sets every element of a tensor or view to `value`. */
  fill(target: TensorInput, value: number): void {
    const tensor = this.context.executor.own(target);
    const values = [scalarBits(tensor.dtype, value, tensor.label)];
    this.context.elementwise.run(
      fillOperation,
      { inputs: [], output: tensor.dtype, values, target: tensor },
      this.placer(),
    );
  }

  /** A contiguous copy, of a strided view too. */
  copy<D extends DType>(x: TensorInput<D>, options: LabelOptions = {}): Tensor<D, S> {
    const input = this.context.executor.own(x);
    const use = { inputs: [input], output: input.dtype, label: options.label ?? input.label };
    return this.give(this.context.elementwise.run(copyOperation, use, this.placer()));
  }

  /** Writes `source`, broadcast, into the elements of `target`: a tensor or any view of one. */
  assign<D extends DType>(target: TensorInput<D>, source: TensorInput<D>): void {
    const { executor, elementwise } = this.context;
    const [to, from] = [executor.own(target), executor.own(source)];
    requireSameDtype("assign", to, from);
    this.withScratch((scratch) => {
      // Within one block, reads and writes could overtake each other: the source goes aside first.
      const input = this.context.table.overlaps(from.block, to.block)
        ? elementwise.run(copyOperation, { inputs: [from], output: from.dtype }, scratch)
        : from;
      elementwise.run(
        copyOperation,
        { inputs: [input], output: to.dtype, target: to },
        this.placer(),
      );
    });
  }

  /** Another dtype. Towards integers it truncates and saturates; NaN becomes 0. */
  cast<D extends DType>(x: TensorInput, dtype: D, options: LabelOptions = {}): Tensor<D, S> {
    dtypeInfo(dtype);
    const input = this.context.executor.own(x);
    const use = { inputs: [input], output: dtype, label: options.label ?? input.label };
    return this.give(this.context.elementwise.run(castOperation, use, this.placer()));
  }
}

const scalar = new Float32Array(1);
const scalarWord = new Uint32Array(scalar.buffer);

/** The 32 bits that a kernel sees as the scalar of `dtype` with this value. */
export function scalarBits(dtype: DType, value: number, label: string): number {
  if (dtypeInfo(dtype).scalar === "f32") {
    scalar[0] = value;
    return scalarWord[0]!;
  }
  const [least, most] = integerRange[dtype as "int32" | "uint32" | "uint8"];
  if (value >= least && value <= most) return Math.trunc(value) >>> 0;
  throw new InvalidArgumentError(
    "INVALID_ARGUMENT",
    `${value} is not a number of ${dtype} ("${label}"); give one from ${least} to ${most}, or cast() to float32 first`,
    { label },
  );
}

const integerRange = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  uint8: [0, 255],
} as const;
