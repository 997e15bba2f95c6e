/** What a runtime moves between host and device while other things go on. */

import { dtypeInfo } from "../host/dtype.ts";
import type { ArrayOf, DType } from "../host/dtype.ts";
import { Operations } from "./operations.ts";
import type { TensorInput } from "./tensor.ts";
import { Tensor } from "./tensor.ts";
import { measureUploads } from "./transfer/measure-uploads.ts";
import type { UploadMeasurement } from "./transfer/measure-uploads.ts";
import type { ByteConsumer } from "./transfer/read-pieces.ts";
import { readAs, readTo } from "./transfer/read-to.ts";
import type { ReadOptions, ReadToOptions } from "./transfer/read-to.ts";
import type { TransferControl } from "./transfer/transfer-control.ts";
import { Transfer } from "./transfer/transfer.ts";
import { writeFrom } from "./transfer/write-from.ts";
import type { ByteProducer, WriteFromOptions } from "./transfer/write-from.ts";

/** The array of each tensor's elements. */
export type ArraysOf<T extends readonly TensorInput[]> = {
  readonly [K in keyof T]: ArrayOf[T[K]["dtype"]];
};

export abstract class TransferOperations extends Operations {
  /**
   * Overwrites a whole tensor with bytes that a function or a stream produces, through a bounded window
   * of pinned memory: however large the tensor is, the host holds `windowBytes`. See {@link ByteProducer}.
   */
  writeFrom(
    target: TensorInput,
    source: ByteProducer | ReadableStream<Uint8Array>,
    options: WriteFromOptions = {},
  ): Transfer<void> {
    return this.#transfer("upload", target, target.dtype, options.signal, async (control) => {
      await writeFrom(this.context, target, source, options, control);
    });
  }

  /**
   * The elements as they are now, as a transfer: it can be watched, and stopped while it waits for
   * staging; under another dtype, or into an array that is there, if told. See {@link ReadOptions}.
   */
  read<D extends DType, E extends DType = D>(
    tensor: TensorInput<D>,
    options: ReadOptions<E> = {},
  ): Transfer<ArrayOf[E]> {
    const dtype = options.dtype ?? tensor.dtype;
    return this.#transfer("readback", tensor, dtype, options.signal, (control) =>
      readAs(this.context, this.context.executor.own(tensor), options, control),
    );
  }

  /**
   * Gives a tensor's bytes to a function or a stream, piece by piece, through a bounded window of pinned
   * memory: the counterpart of {@link writeFrom}. Do not write the tensor before it is done.
   */
  readTo(
    tensor: TensorInput,
    to: ByteConsumer | WritableStream<Uint8Array>,
    options: ReadToOptions = {},
  ): Transfer<void> {
    return this.#transfer("readback", tensor, tensor.dtype, options.signal, (control) =>
      readTo(this.context, tensor, to, options, control),
    );
  }

  /** The elements of several tensors, each as `data()` gives it: one submission and one wait for all. */
  async readAll<const T extends readonly TensorInput[]>(tensors: T): Promise<ArraysOf<T>> {
    const own = tensors.map((tensor) => this.context.executor.own(tensor));
    return (await this.context.readAll(own)) as unknown as ArraysOf<T>;
  }

  /**
   * Times the ways to upload on this device, and takes the fastest for each size from now on: see
   * {@link UploadPlan}. Some tenths of a second. The result is plain data for `createRuntime({ uploads })`.
   */
  async measureUploads(): Promise<UploadMeasurement> {
    this.placer();
    await this.context.stream.whenSubmitted(true);
    return await measureUploads(this.context);
  }

  /** What cannot be transferred rejects: a transfer is waited for in any case. */
  #transfer<T>(
    direction: "upload" | "readback",
    tensor: TensorInput,
    dtype: DType,
    signal: AbortSignal | undefined,
    work: (control: TransferControl) => Promise<T>,
  ): Transfer<T> {
    const { label } = tensor;
    const byteLength = tensor instanceof Tensor ? tensor.size * dtypeInfo(dtype).bytes : 0;
    return new Transfer({ label, direction, byteLength, signal }, async (control) => work(control));
  }
}
