/** Elements on their way to the device: into new tensors, and over those that are there. */

import type { ArrayOf, DType, HostDType } from "../host/dtype.ts";
import { arrayOver, dtypeInfo, hostDtypeInfo, newArray, requireArrayOf } from "../host/dtype.ts";
import { InvalidArgumentError } from "../host/errors.ts";
import { contiguousLayout } from "../host/layout.ts";
import type { Shape } from "../host/layout.ts";
import type { Owned } from "../host/lifetime.ts";
import type { PinnedTensor } from "../host/pinned/pinned-tensor.ts";
import { HostTensor } from "../host/tensor/host-tensor.ts";
import type { DeviceContext } from "./context.ts";
import type { AnyTensor, OutputSpec, Placer } from "./executor.ts";
import type { SourceReader } from "./memory/block-table.ts";
import type { DeviceArena } from "./memory/device-arena.ts";
import type { Tensor, TensorInput } from "./tensor.ts";
import { elementsOf, uploadConverted } from "./transfer/converted-upload.ts";
import type { HostElements } from "./transfer/converted-upload.ts";
import { requireCount } from "./transfer/transfers.ts";
import { writeView } from "./transfer/view-writes.ts";

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

export interface ConversionOptions {
  /**
   * The dtype of the array's elements, where it is not the tensor's: they are converted on their way, as
   * `cast` does it, by whoever makes that the fewest bytes to carry.
   */
  readonly from?: HostDType;
}

export abstract class Uploads<S = Owned> {
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
    options: TensorOptions<D> & SourceOptions & ConversionOptions,
  ): Tensor<D, S> {
    const { dtype, label = "tensor" } = options;
    if (options.from !== undefined && options.from !== dtype) {
      return this.#converted(data, options, options.from);
    }
    requireArrayOf(dtype, data, label);
    const layout = contiguousLayout(options.shape, label);
    requireCount(data.length, layout.count, layout.shape, label);
    const made = this.context.executor.place({ dtype, layout, label }, this.placer(), 0);
    try {
      this.context.transfers.fromArray(data, made.block);
    } catch (error) {
      made.dispose();
      throw error;
    }
    if (options.source !== undefined) this.#setSource(made, data, options);
    this.context.advisor?.uploaded(label, data.byteLength, false);
    return this.give(made);
  }

  #converted<D extends DType>(
    data: ArrayBufferView,
    options: TensorOptions<D> & SourceOptions,
    from: HostDType,
  ): Tensor<D, S> {
    const { dtype, shape, label = "tensor" } = options;
    requireArrayOf(from, data, label);
    const layout = contiguousLayout(shape, label);
    const elements = elementsOf(from, data);
    requireCount(data.byteLength / hostDtypeInfo(from).bytes, layout.count, layout.shape, label);
    const made = this.#uploaded(elements, { dtype, layout, label });
    this.#setSource(made, data, options, from);
    this.context.advisor?.uploaded(label, data.byteLength, false);
    return this.give(made);
  }

  #uploaded<D extends DType>(
    elements: HostElements,
    spec: OutputSpec & { readonly dtype: D },
  ): AnyTensor<D> {
    const made = this.context.executor.place(spec, this.placer(), 0);
    try {
      this.withScratch((scratch) => {
        uploadConverted(this.context, elements, made, scratch, this.placer());
      });
    } catch (error) {
      made.dispose();
      throw error;
    }
    return made;
  }

  /**
   * A new tensor with the contents of a pinned one: a copy by the GPU, through no JavaScript heap.
   * The pinned tensor's arrays are detached; it can be written again after `await mapped()`.
   *
   * Or with the elements of a host tensor, however they are strided, under another dtype if told:
   * gathered, converted and written to the device's staging in one go. O(elements).
   */
  upload<D extends DType>(source: PinnedTensor<D>, options?: LabelOptions): Tensor<D, S>;
  upload<D extends DType, L>(
    source: HostTensor<D, Shape, L>,
    options?: LabelOptions & { readonly dtype?: undefined },
  ): Tensor<D, S>;
  upload<D extends DType, L>(
    source: HostTensor<HostDType, Shape, L>,
    options: LabelOptions & { readonly dtype: D },
  ): Tensor<D, S>;
  upload<D extends DType, L>(
    source: PinnedTensor<D> | HostTensor<HostDType, Shape, L>,
    options: LabelOptions & { readonly dtype?: D | undefined } = {},
  ): Tensor<D, S> {
    if (source instanceof HostTensor) return this.#uploadHost(source, options);
    const { dtype, layout } = source;
    this.context.transfers.requireOwn(source);
    const label = options.label ?? source.label;
    const made = this.context.executor.place({ dtype, layout, label }, this.placer(), 0);
    try {
      this.context.transfers.fromPinned(source, made.block);
    } catch (error) {
      made.dispose();
      throw error;
    }
    this.context.advisor?.uploaded(label, source.byteLength, true);
    return this.give(made);
  }

  #uploadHost<D extends DType, L>(
    source: HostTensor<HostDType, Shape, L>,
    options: LabelOptions & { readonly dtype?: D | undefined },
  ): Tensor<D, S> {
    const { label = source.label, dtype = source.dtype as D } = options;
    dtypeInfo(dtype);
    const elements: HostElements = {
      dtype: source.dtype,
      array: source.isContiguous ? source.data : null,
      writeTo: (to, target) => source.copyTo(to, target),
    };
    const layout = contiguousLayout(source.shape, label);
    const made = this.#uploaded(elements, { dtype, layout, label });
    this.context.advisor?.uploaded(label, made.block.byteLength, false);
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
    const { block } = made;
    const { byteLength } = block;
    const { count } = layout;
    try {
      const isInPlace = belt.fill(block, 0, byteLength, (memory, byteOffset) =>
        fill(arrayOver(dtype, memory, byteOffset, count)),
      );
      if (!isInPlace) {
        const elements = newArray(dtype, count);
        fill(elements);
        transfers.fromArray(elements, block);
      }
    } catch (error) {
      made.dispose();
      throw error;
    }
    this.context.advisor?.uploaded(label, byteLength, true);
    return this.give(made);
  }

  /**
   * {@link produce}, which waits where mapped memory is on its way: a producer that is too fast is held back,
   * and nothing is ever written twice. Rejects as `produce` throws.
   */
  async produceAsync<D extends DType>(
    options: TensorOptions<D>,
    fill: (elements: ArrayOf[D]) => void,
  ): Promise<Tensor<D, S>> {
    const { dtype, shape, label = "produced" } = options;
    const byteLength = contiguousLayout(shape, label).count * dtypeInfo(dtype).bytes;
    for (;;) {
      // Another one may have come with another device meanwhile.
      const { belt } = this.context;
      if (belt.hasRoom(byteLength) || !belt.mayServe(byteLength)) break;
      await belt.arrival();
    }
    return this.produce(options, fill);
  }

  #setSource(
    made: AnyTensor,
    data: ArrayBufferView,
    { source }: SourceOptions,
    from?: HostDType,
  ): void {
    if (source === undefined || source === false) return;
    const own = (): ArrayBufferView => {
      if (from === undefined) return data;
      const converted = newArray(made.dtype, made.size);
      elementsOf(from, data).writeTo(made.dtype, converted);
      return converted;
    };
    this.context.table.setSource(made.block, source === true ? own : source);
  }

  /**
   * Overwrites a tensor with an array or a pinned tensor of the same size, or the elements of a view
   * with an array, row-major. An array may be a whole tensor's source from now on: see {@link tensor}.
   * O(elements). Throws `INVALID_ARGUMENT` for another count, `UNSUPPORTED_DTYPE` for another dtype
   * (unless the elements are converted: see {@link ConversionOptions}), and
   * `INVALID_LAYOUT` for a view that is given a pinned tensor or a source, or whose elements share memory.
   */
  write<D extends DType>(
    target: TensorInput<D>,
    data: ArrayBufferView | PinnedTensor<D>,
    options: SourceOptions & ConversionOptions = {},
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
      const { dtype } = tensor;
      const from = options.from ?? dtype;
      requireArrayOf(from, data, label);
      const { bytes } = from === dtype ? dtypeInfo(dtype) : hostDtypeInfo(from);
      const length = data.byteLength / bytes;
      requireCount(length, layout.count, layout.shape, label);
      if (from !== tensor.dtype) this.#writeConverted(tensor, elementsOf(from, data));
      else if (isWhole) this.context.transfers.fromArray(data, tensor.block);
      else this.#writeView(tensor, data);
      this.#setSource(tensor, data, options, from === tensor.dtype ? undefined : from);
      this.context.advisor?.uploaded(label, data.byteLength, false);
    } else {
      requireSameDtype("write", tensor, data);
      requireCount(data.layout.count, layout.count, layout.shape, label);
      this.context.transfers.requireOwn(data);
      this.context.transfers.fromPinned(data, tensor.block);
      this.context.advisor?.uploaded(label, data.byteLength, true);
    }
  }

  #writeConverted(target: AnyTensor, elements: HostElements): void {
    this.withScratch((scratch) => {
      uploadConverted(this.context, elements, target, scratch, this.placer());
    });
  }

  #writeView(target: AnyTensor, data: ArrayBufferView): void {
    this.withScratch((scratch) => {
      writeView(this.context, target, data, scratch, this.placer());
    });
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
