/**
 * Bytes of any number into a tensor through a bounded window of pinned memory: a file of weights, a
 * stream from the network, a generator. Each byte is written once by the host, into mapped memory, and
 * copied once by the device.
 *
 *     produce ─▶ [piece 0] ─▶ copy      the window turns: a piece is filled again once the device
 *                [piece 1] ─▶ copy      has copied it, and a producer that is too fast waits
 */

import { InvalidArgumentError, LifetimeError } from "../../host/errors.ts";
import { MiB } from "../../host/units.ts";
import type { DeviceContext } from "../context.ts";
import type { AnyTensor } from "../executor.ts";
import type { TensorInput } from "../tensor.ts";
import { turnCount, windowPieceBytes } from "./piece-sizes.ts";
import { lossOr } from "./read-error.ts";
import type { TransferControl } from "./transfer-control.ts";
import { unlessAborted } from "./transfer-control.ts";
import { UploadWindow } from "./upload-window.ts";

/**
 * Fills `piece`, which is memory that the device copies from, with the tensor's bytes from `byteOffset`
 * on. A promise that it returns is awaited.
 */
export type ByteProducer = (piece: Uint8Array<ArrayBuffer>, byteOffset: number) => unknown;

export interface WriteFromOptions {
  /**
   * Pinned memory in use at one time, and at most half of what is left of its budget; default 8 MiB, at
   * least 16 KiB.
   */
  readonly windowBytes?: number;
  /** Stops between two pieces: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Told after each piece. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

const leastPieceBytes = 4096;
const leastWindowBytes = turnCount * leastPieceBytes;

/** Where the bytes come from, and what is to be done at the end. */
interface Source {
  readonly fill: ByteProducer;
  /** After the last byte was taken; throws where there are more. */
  finish?(): Promise<void>;
  /** Always. */
  close?(error: unknown): Promise<void>;
}

/**
 * Overwrites a whole tensor. Rejects with `INVALID_ARGUMENT` for a stream of another length, with what
 * the producer throws, and as an upload does; part of the bytes is written then. O(bytes).
 */
export async function writeFrom(
  context: DeviceContext,
  target: TensorInput,
  from: ByteProducer | ReadableStream<Uint8Array>,
  options: WriteFromOptions,
  control: TransferControl,
): Promise<void> {
  const { windowBytes = 8 * MiB } = options;
  const { label } = target;
  // First: a stream is cancelled whatever fails.
  const source: Source =
    typeof from === "function" ? { fill: from } : streamSource(from, label, control.signal);
  let window: UploadWindow | null = null;
  let failure: unknown;
  try {
    context.stream.requireDevice();
    const tensor = requireWhole(context.executor.own(target));
    if (!(windowBytes >= leastWindowBytes)) {
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `"${label}" is to be written through a window of ${windowBytes} bytes; give ${leastWindowBytes} at least`,
        { label },
      );
    }
    const { staging } = context.readbacks;
    const pieceBytes = windowPieceBytes(windowBytes, staging, leastPieceBytes);
    window = new UploadWindow(context, Math.min(pieceBytes, tensor.block.byteLength), label);
    await writePieces(context, tensor, source, window, options, control);
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    window?.close();
    await source.close?.(failure);
  }
}

function requireWhole(tensor: AnyTensor): AnyTensor {
  if (tensor.isWhole) return tensor;
  const { label } = tensor;
  throw new InvalidArgumentError(
    "INVALID_LAYOUT",
    `"${label}" is a view, and only a whole tensor can be written piece by piece`,
    { label },
  );
}

async function writePieces(
  context: DeviceContext,
  target: AnyTensor,
  source: Source,
  window: UploadWindow,
  { onProgress }: WriteFromOptions,
  control: TransferControl,
): Promise<void> {
  const { table, stream } = context;
  const total = target.block.byteLength;
  const before = table.failures.get(target.block.key);
  try {
    for (let done = 0; done < total;) {
      control.throwIfStopped();
      await window.next(control);
      control.throwIfStopped();
      const piece = window.piece();
      const length = Math.min(piece.byteLength, total - done);
      const filled = source.fill(piece.subarray(0, length), done);
      if (filled instanceof Promise) await window.inHands(unlessAborted(control.signal, filled));
      control.throwIfStopped();
      window.send(target.block, done, length);
      done += length;
      control.submitted(done);
      onProgress?.(done, total);
    }
    await source.finish?.();
    await window.submitted();
  } catch (error) {
    // What had no value has a part of one now, which is none.
    const { allocation } = target;
    if (before !== undefined && allocation.isAlive) stream.fail(allocation.key, before);
    // What the producer throws, or stops with, is told as it is.
    if (error instanceof LifetimeError) throw await lossOr(stream, error);
    throw error;
  }
}

function streamSource(
  stream: ReadableStream<Uint8Array>,
  label: string,
  signal: AbortSignal,
): Source {
  const reader = stream.getReader();
  let rest: Uint8Array | undefined;
  let taken = 0;
  const wrongLength = (what: string): InvalidArgumentError =>
    new InvalidArgumentError(
      "INVALID_ARGUMENT",
      `"${label}" was given a stream that ${what}; give exactly its bytes`,
      { label },
    );
  return {
    async fill(piece) {
      for (let done = 0; done < piece.length;) {
        if (rest === undefined || rest.length === 0) {
          ({ value: rest } = await unlessAborted(signal, reader.read()));
          if (rest === undefined) throw wrongLength(`ended after ${taken} bytes`);
        }
        const part = rest.subarray(0, piece.length - done);
        piece.set(part, done);
        rest = rest.subarray(part.length);
        done += part.length;
        taken += part.length;
      }
    },
    async finish() {
      while (rest === undefined || rest.length === 0) {
        ({ value: rest } = await unlessAborted(signal, reader.read()));
        if (rest === undefined) return;
      }
      throw wrongLength(`has more than ${taken} bytes`);
    },
    async close(reason) {
      // What stopped it is told, not how the stream took that.
      // A stream that hangs is not waited for.
      if (reason !== undefined) void reader.cancel(reason).catch(() => {});
      reader.releaseLock();
    },
  };
}
