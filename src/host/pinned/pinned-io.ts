/**
 * Files and streams straight into and out of pinned memory: no bytes pass through the JavaScript heap.
 * While they are under way the memory is held: freeing it, or handing it to the GPU, throws `IN_USE`.
 */

import { InvalidArgumentError } from "../errors.ts";
import type { PinnedTensor } from "./pinned-tensor.ts";

/** What can be read at a place: a file handle of Node, for one. */
export interface ByteSource {
  read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>;
}

/** What can be written at a place: a file handle of Node, for one. */
export interface ByteSink {
  write(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesWritten: number }>;
}

export interface TransferOptions {
  /** Where in the file, in bytes; default 0. */
  readonly position?: number;
  /** Stops between two pieces: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Bytes to a call: a signal is heard between two of them. */
const pieceBytes = 4 * 2 ** 20;

/** Bytes to a chunk of a stream that is read from pinned memory. */
const chunkBytes = 64 * 2 ** 10;

/** Runs `work` with the mapped bytes, held until it has settled. */
async function held(
  tensor: PinnedTensor,
  work: (bytes: Uint8Array<ArrayBuffer>) => Promise<number>,
): Promise<number> {
  const use = tensor.block.use();
  try {
    return await work(use.bytes());
  } finally {
    use.dispose();
  }
}

/** Moves the tensor's bytes piece by piece, until all are moved or `move` moves none; gives their number. */
async function inPieces(
  tensor: PinnedTensor,
  signal: AbortSignal | undefined,
  move: (bytes: Uint8Array<ArrayBuffer>, done: number, length: number) => Promise<number>,
): Promise<number> {
  return await held(tensor, async (bytes) => {
    let done = 0;
    while (done < bytes.length) {
      signal?.throwIfAborted();
      const moved = await move(bytes, done, Math.min(pieceBytes, bytes.length - done));
      if (moved === 0) break;
      done += moved;
    }
    return done;
  });
}

/**
 * Reads from `source` until the tensor is full or the source ends; returns the number of bytes. Rejects
 * with `NOT_MAPPED` where the GPU owns the memory, and with what the source throws.
 */
export async function readIntoPinned(
  tensor: PinnedTensor,
  source: ByteSource,
  { position = 0, signal }: TransferOptions = {},
): Promise<number> {
  return await inPieces(tensor, signal, async (bytes, done, length) => {
    const { bytesRead } = await source.read(bytes, done, length, position + done);
    return bytesRead;
  });
}

/** Writes the whole tensor to `sink`; returns the number of bytes. Rejects as reading does. */
export async function writeFromPinned(
  tensor: PinnedTensor,
  sink: ByteSink,
  { position = 0, signal }: TransferOptions = {},
): Promise<number> {
  return await inPieces(tensor, signal, async (bytes, done, length) => {
    const { bytesWritten } = await sink.write(bytes, done, length, position + done);
    return bytesWritten;
  });
}

/**
 * Fills the tensor from a stream of bytes; returns their number. A stream that has more than the tensor
 * is cancelled, and `INVALID_ARGUMENT` says how much there was room for.
 */
export async function streamIntoPinned(
  tensor: PinnedTensor,
  stream: ReadableStream<Uint8Array>,
  { signal }: Pick<TransferOptions, "signal"> = {},
): Promise<number> {
  return await held(tensor, async (bytes) => {
    const reader = stream.getReader();
    let done = 0;
    try {
      for (;;) {
        signal?.throwIfAborted();
        const { value } = await reader.read();
        if (value === undefined) return done;
        if (done + value.length > bytes.length) {
          throw new InvalidArgumentError(
            "INVALID_ARGUMENT",
            `"${tensor.label}" has ${bytes.length} bytes, and the stream gave more; make it larger, or cut the stream`,
            { label: tensor.label },
          );
        }
        bytes.set(value, done);
        done += value.length;
      }
    } catch (error) {
      await reader.cancel(error);
      throw error;
    } finally {
      reader.releaseLock();
    }
  });
}

/**
 * The tensor's bytes as a stream of copies of 64 KiB. The memory is held from the call until the stream
 * has ended or was cancelled.
 */
export function streamFromPinned(tensor: PinnedTensor): ReadableStream<Uint8Array<ArrayBuffer>> {
  const use = tensor.block.use();
  let done = 0;
  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      pull(controller) {
        try {
          // A copy: a consumer may keep a chunk, and a transfer would take it out of the mapping.
          const chunk = use.bytes().slice(done, done + chunkBytes);
          done += chunk.length;
          if (chunk.length > 0) controller.enqueue(chunk);
          if (done < use.bytes().length) return;
          controller.close();
        } catch (error) {
          controller.error(error);
        }
        use.dispose();
      },
      cancel: () => use.dispose(),
    },
    // Nothing is copied before it is asked for.
    { highWaterMark: 0 },
  );
}
