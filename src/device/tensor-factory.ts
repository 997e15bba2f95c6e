/** Making, copying and overwriting tensors: what a runtime and a scope both offer. */

import type { ArrayOf, DType } from "../host/dtype.ts";
import { arrayOver, dtypeInfo, newArray, requireArrayOf } from "../host/dtype.ts";
import { InvalidArgumentError } from "../host/errors.ts";
import { contiguousLayout } from "../host/layout.ts";
import type { Shape } from "../host/layout.ts";
import type { Owned } from "../host/lifetime.ts";
import type { PinnedTensor } from "../host/pinned-tensor.ts";
import type { DeviceContext } from "./context.ts";
import type { AnyTensor, Placer } from "./executor.ts";
import { castOperation, copyOperation, fillOperation } from "./kernels/builtin.ts";
import type { SourceReader } from "./memory/block-table.ts";
import type { DeviceArena } from "./memory/device-arena.ts";
import type { Tensor, TensorInput } from "./tensor.ts";
import { requireCount } from "./transfers.ts";
import { writeView } from "./view-writes.ts";

export interface LabelOptions {
  /** Names the result in errors and reports; the operation's name unless told. */
  readonly label?: string;
}

export interface TensorOptions<D extends DType> extends LabelOptions {
  readonly shape: Shape;
  readonly dtype: D;
}

export interface SourceOptions {
  /**
   * Where the elements come from again after a loss of the device: the array itself (`true`; do not
   * change it then), or a function that gives an array of as many bytes. It holds until something else
   * writes the tensor. Without it a lost tensor has to be written again.
   */
  readonly source?: boolean | SourceReader;
}

export abstract class TensorFactory<S = Owned> {
  /** @internal */
  protected readonly context: DeviceContext;

  /** @internal */
  constructor(context: DeviceContext) {
    this.context = context;
  }

  /** @internal Where results go now; throws once this runtime or scope has ended. */
  protected abstract placer(): Placer;

  /**
   * A new tensor with a copy of `data`. The array may be changed at once, unless it is the tensor's own
   * source (`source: true`): then it is kept, and read again after a loss of the device.
   */
  tensor<D extends DType>(
    data: ArrayLike<number> & ArrayBufferView,
    options: TensorOptions<D> & SourceOptions,
  ): Tensor<D, S> {
    const { dtype, label = "tensor" } = options;
    requireArrayOf(dtype, data, label);
    const layout = contiguousLayout(options.shape, label);
    requireCount(data.length, layout.count, layout.shape, label);
    const made = this.context.executor.place({ dtype, layout, label }, this.placer(), 0);
    this.context.transfers.fromArray(data, made.block);
    this.#setSource(made, data, options);
    this.context.advisor?.uploaded(label, data.byteLength, false);
    return this.give(made);
  }

  /**
   * A new tensor with the contents of a pinned one: a copy by the GPU, through no JavaScript heap.
   * The pinned tensor's arrays are detached; it can be written again after `await mapped()`.
   */
  upload<D extends DType>(source: PinnedTensor<D>, options: LabelOptions = {}): Tensor<D, S> {
    const { dtype, layout } = source;
    this.context.transfers.requireOwn(source);
    const label = options.label ?? source.label;
    const made = this.context.executor.place({ dtype, layout, label }, this.placer(), 0);
    this.context.transfers.fromPinned(source, made.block);
    this.context.advisor?.uploaded(label, source.byteLength, true);
    return this.give(made);
  }

  /**
   * A new tensor whose elements `fill` writes: straight into memory that the device copies from, where
   * some is mapped, so that each byte is written once. The array holds old bytes, and is the function's
   * alone until it returns. What it throws is thrown, and no tensor is made. O(elements).
   */
  produce<D extends DType>(
    options: TensorOptions<D>,
    fill: (elements: ArrayOf[D]) => void,
  ): Tensor<D, S> {
    const { dtype, label = "produced" } = options;
    const layout = contiguousLayout(options.shape, label);
    const { executor, transfers, belt } = this.context;
    const made = executor.place({ dtype, layout, label }, this.placer(), 0);
    const { byteLength } = made.block;
    const range = belt.take(byteLength);
    try {
      if (range === null) {
        const elements = newArray(dtype, layout.count);
        fill(elements);
        transfers.fromArray(elements, made.block);
      } else {
        fill(arrayOver(dtype, range.chunk.memory(), range.byteOffset, layout.count));
        transfers.fromBelt(range, made.block, byteLength);
      }
    } catch (error) {
      if (range !== null) belt.undo(range);
      made.dispose();
      throw error;
    }
    this.context.advisor?.uploaded(label, byteLength, true);
    return this.give(made);
  }

  #setSource(made: AnyTensor, data: ArrayBufferView, { source }: SourceOptions): void {
    if (source === undefined || source === false) return;
    this.context.table.setSource(made.block, source === true ? () => data : source);
  }

  /**
   * Overwrites a tensor with an array or a pinned tensor of the same size, or the elements of a view
   * with an array, row-major. An array may be a whole tensor's source from now on: see {@link tensor}.
   * O(elements). Throws `INVALID_ARGUMENT` for another count, `UNSUPPORTED_DTYPE` for another dtype, and
   * `INVALID_LAYOUT` for a view that is given a pinned tensor or a source, or whose elements share memory.
   */
  write<D extends DType>(
    target: TensorInput<D>,
    data: ArrayBufferView | PinnedTensor<D>,
    options: SourceOptions = {},
  ): void {
    const tensor = this.context.executor.own(target);
    this.placer();
    const { label, layout, isWhole } = tensor;
    if (!isWhole && (options.source !== undefined || !ArrayBuffer.isView(data))) {
      throw new InvalidArgumentError(
        "INVALID_LAYOUT",
        `"${label}" is a view: it is written from an array, and has no source of its own; write its whole tensor, or upload the data and assign() it`,
        { label },
      );
    }
    if (ArrayBuffer.isView(data)) {
      requireArrayOf(tensor.dtype, data, label);
      const length = data.byteLength / dtypeInfo(tensor.dtype).bytes;
      requireCount(length, layout.count, layout.shape, label);
      if (isWhole) this.context.transfers.fromArray(data, tensor.block);
      else this.#writeView(tensor, data);
      this.#setSource(tensor, data, options);
      this.context.advisor?.uploaded(label, data.byteLength, false);
    } else {
      requireSameDtype("write", tensor, data);
      requireCount(data.layout.count, layout.count, layout.shape, label);
      this.context.transfers.requireOwn(data);
      this.context.transfers.fromPinned(data, tensor.block);
      this.context.advisor?.uploaded(label, data.byteLength, true);
    }
  }

  #writeView(target: AnyTensor, data: ArrayBufferView): void {
    this.withScratch((scratch) => {
      writeView(this.context, target, data, scratch, this.placer());
    });
  }

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
      const input =
        from.block === to.block
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

  /** @internal Runs `compute` with an arena of its own for intermediates, which ends at once. */
  protected withScratch<T>(compute: (scratch: Placer) => T): T {
    // Most operations need none: the arena is made with the first intermediate.
    let arena: DeviceArena | null = null;
    const scratch: Placer = {
      alloc: (request, avoid) => {
        arena ??= this.context.arena("temporaries of an operation");
        return arena.alloc(request, avoid);
      },
    };
    try {
      return compute(scratch);
    } finally {
      (arena as DeviceArena | null)?.end();
    }
  }

  /** @internal Brands what the executor made with the lifetime of this runtime or scope. */
  protected give<D extends DType>(made: AnyTensor): Tensor<D, S> {
    return made as unknown as Tensor<D, S>;
  }
}

/** Throws `UNSUPPORTED_DTYPE` unless two operands have the same dtype. */
export function requireSameDtype(operation: string, a: TensorInput, b: TensorInput): void {
  if (a.dtype === b.dtype) return;
  throw new InvalidArgumentError(
    "UNSUPPORTED_DTYPE",
    `${operation} of "${a.label}" (${a.dtype}) and "${b.label}" (${b.dtype}): cast() one of them so that the dtypes agree`,
    { label: b.label },
  );
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
