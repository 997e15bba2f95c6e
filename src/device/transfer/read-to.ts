/** Reads as transfers: into an array under any dtype, or piece by piece to whoever wants the bytes. */

import { dtypeInfo, newArray } from "../../host/dtype.ts";
import type { ArrayOf, DType } from "../../host/dtype.ts";
import { InvalidArgumentError } from "../../host/errors.ts";
import { MiB } from "../../host/units.ts";
import type { DeviceContext } from "../context.ts";
import type { AnyTensor } from "../executor.ts";
import { castOperation } from "../kernels/builtin.ts";
import type { DeviceAllocation } from "../memory/block-table.ts";
import { requireTarget } from "../tensor.ts";
import type { TensorInput } from "../tensor.ts";
import { leastWindowBytes } from "./piece-sizes.ts";
import type { ByteConsumer } from "./read-pieces.ts";
import { unlessAborted } from "./transfer-control.ts";
import type { TransferControl } from "./transfer-control.ts";

export interface ReadOptions<D extends DType> {
  /** What the elements are read as: the device converts them first, as `cast` does. */
  readonly dtype?: D;
  /** An array of that dtype and the tensor's size; a new one unless told. */
  readonly into?: ArrayOf[D];
  /** Stops what is not submitted: the transfer rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface ReadToOptions {
  /**
   * Pinned memory in use at one time, and at most half of what is left of its budget; default 8 MiB, at
   * least 1 KiB.
   */
  readonly windowBytes?: number;
  /** Stops between two pieces: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Told after each piece. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** The elements as they are now; O(elements). */
export async function readAs<D extends DType>(
  context: DeviceContext,
  tensor: AnyTensor,
  options: ReadOptions<D>,
  control: TransferControl,
): Promise<ArrayOf[D]> {
  control.throwIfStopped();
  const { label, layout } = tensor;
  const dtype = options.dtype ?? (tensor.dtype as D);
  const target = options.into ?? newArray(dtype, layout.count);
  requireTarget(tensor, dtype, target);
  const { byteLength } = target;
  const bytes = new Uint8Array(target.buffer, target.byteOffset, byteLength);
  const arena = context.arena("read");
  try {
    const converted =
      dtype === tensor.dtype
        ? tensor
        : context.elementwise.run(castOperation, { inputs: [tensor], output: dtype, label }, arena);
    // Recorded in this task, before the scratch goes.
    const reading = context.withReadable([converted], ([readable]) => {
      const { block } = readable!;
      const byteOffset = readable!.layout.offset * dtypeInfo(dtype).bytes;
      return context.readbacks.readPieces(
        { block, byteOffset, byteLength, label },
        (piece, offset) => bytes.set(piece, offset),
        control,
      );
    });
    arena.end();
    await reading;
  } finally {
    arena.end();
  }
  return target;
}

/**
 * Gives a tensor's bytes away through a bounded window of pinned memory. Each piece is what the tensor
 * holds when it is copied: do not write the tensor meanwhile. Rejects with what the consumer throws, as a
 * read does, and where the tensor's scope or the runtime ends meanwhile. O(bytes).
 */
export async function readTo(
  context: DeviceContext,
  source: TensorInput,
  to: ByteConsumer | WritableStream<Uint8Array>,
  options: ReadToOptions,
  control: TransferControl,
): Promise<void> {
  const { windowBytes = 8 * MiB, onProgress } = options;
  const { label } = source;
  // First: a stream is aborted whatever fails.
  const sink = typeof to === "function" ? consumerSink(to) : streamSink(to, control.signal);
  const arena = context.arena("read");
  let retained: DeviceAllocation | null = null;
  try {
    const tensor = context.executor.own(source);
    if (!(windowBytes >= leastWindowBytes)) {
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `"${label}" is to be read through a window of ${windowBytes} bytes; give ${leastWindowBytes} at least`,
        { label },
      );
    }
    control.throwIfStopped();
    const { dtype, layout, block } = tensor;
    const elementBytes = dtypeInfo(dtype).bytes;
    const isReadable = layout.isContiguous && (layout.offset * elementBytes) % 4 === 0;
    // An owner for as long as it takes, whoever disposes the tensor; or scratch that can be copied from.
    const held = isReadable ? tensor : context.copyInto(tensor, arena);
    if (isReadable) {
      block.table.references[block.row]!++;
      retained = block;
    }
    const byteLength = layout.count * elementBytes;
    const byteOffset = held.layout.offset * elementBytes;
    await context.readbacks.readPieces(
      { block: held.allocation, byteOffset, byteLength, label },
      async (piece, offset) => {
        await sink.take(piece, offset);
        onProgress?.(offset + piece.length, byteLength);
      },
      control,
      windowBytes,
    );
    await sink.finish();
  } catch (error) {
    await sink.fail(error);
    throw error;
  } finally {
    // The end of a scope ends all that is in it, whoever reads it.
    if (retained?.isAlive === true) retained.region.free(retained);
    arena.end();
  }
}

interface Sink {
  take(piece: Uint8Array<ArrayBuffer>, byteOffset: number): unknown;
  finish(): Promise<void>;
  fail(error: unknown): Promise<void>;
}

function consumerSink(take: ByteConsumer): Sink {
  return { take, finish: async () => {}, fail: async () => {} };
}

function streamSink(stream: WritableStream<Uint8Array>, signal: AbortSignal): Sink {
  const writer = stream.getWriter();
  return {
    take: async (piece) => {
      await unlessAborted(signal, writer.ready);
      // A stream keeps its chunks, and mapped memory ends.
      await unlessAborted(signal, writer.write(piece.slice()));
    },
    finish: async () => {
      await writer.close();
      writer.releaseLock();
    },
    fail: async (reason) => {
      // It may be the stream that failed, or hangs: it is told, and not waited for.
      void writer.abort(reason).catch(() => {});
      writer.releaseLock();
    },
  };
}
