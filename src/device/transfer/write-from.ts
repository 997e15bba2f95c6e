/**
 * Bytes of any number into a tensor through a bounded window of pinned memory: a file of weights, a
 * stream from the network, a generator. Each byte is written once by the host, into mapped memory, and
 * copied once by the device.
 *
 *     produce ─▶ [piece 0] ─▶ copy      the window turns: a piece is filled again once the device
 *                [piece 1] ─▶ copy      has copied it, and a producer that is too fast waits
 */

import { InvalidArgumentError, OutOfMemoryError } from "../../host/errors.ts";
import type { PinnedBlock } from "../../host/pinned-block.ts";
import { MiB } from "../../host/units.ts";
import type { DeviceContext } from "../context.ts";
import type { AnyTensor } from "../executor.ts";
import type { TransferControl } from "./transfer.ts";

/**
 * Fills `piece`, which is memory that the device copies from, with the tensor's bytes from `byteOffset`
 * on. A promise that it returns is awaited.
 */
export type ByteProducer = (piece: Uint8Array<ArrayBuffer>, byteOffset: number) => unknown;

export interface WriteFromOptions {
  /** Pinned memory in use at one time; default 8 MiB, at least 16 KiB. */
  readonly windowBytes?: number;
  /** Stops between two pieces: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Told after each piece. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** One is filled while another is copied; two more hide that neither is even. */
const pieceCount = 4;
const leastPieceBytes = 4096;

/** Where the bytes come from, and what is to be done at the end. */
interface Source {
  readonly fill: ByteProducer;
  /** After the last byte was taken; throws where there are more. */
  finish(): Promise<void>;
  /** Always. */
  close(error: unknown): Promise<void>;
}

/**
 * Overwrites a whole tensor. Rejects with `INVALID_ARGUMENT` for a stream of another length, with what
 * the producer throws, and as an upload does; part of the bytes is written then. O(bytes).
 */
export async function writeFrom(
  context: DeviceContext,
  target: AnyTensor,
  from: ByteProducer | ReadableStream<Uint8Array>,
  options: WriteFromOptions,
  control: TransferControl,
): Promise<void> {
  const { windowBytes = 8 * MiB, onProgress } = options;
  const { signal } = control;
  const { label } = target;
  if (!target.isWhole) {
    throw new InvalidArgumentError(
      "INVALID_LAYOUT",
      `"${label}" is a view, and only a whole tensor can be written piece by piece`,
      { label },
    );
  }
  if (!(windowBytes >= pieceCount * leastPieceBytes)) {
    throw new InvalidArgumentError(
      "INVALID_ARGUMENT",
      `"${label}" is to be written through a window of ${windowBytes} bytes; give ${pieceCount * leastPieceBytes} at least`,
      { label },
    );
  }
  const total = target.block.byteLength;
  const pieceBytes = Math.min(Math.floor(windowBytes / pieceCount / 4096) * 4096, total);
  const source = typeof from === "function" ? producerSource(from) : streamSource(from, label);
  const window = new Window(context, pieceBytes, label);
  let failure: unknown;
  try {
    for (let done = 0; done < total;) {
      signal.throwIfAborted();
      const length = Math.min(pieceBytes, total - done);
      const piece = await window.next();
      signal.throwIfAborted();
      const use = piece.use();
      try {
        await source.fill(use.bytes().subarray(0, length), done);
      } finally {
        use.dispose();
      }
      context.transfers.fromPinnedBlock(piece, target.block, done, length);
      done += length;
      control.submitted(done);
      onProgress?.(done, total);
    }
    await source.finish();
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    window.close();
    await source.close(failure);
  }
}

/** Pieces of pinned memory in turn. */
class Window {
  readonly #context: DeviceContext;
  readonly #pieceBytes: number;
  readonly #label: string;
  readonly #pieces: PinnedBlock[] = [];
  #count = pieceCount;
  #turn = 0;

  constructor(context: DeviceContext, pieceBytes: number, label: string) {
    this.#context = context;
    this.#pieceBytes = pieceBytes;
    this.#label = label;
  }

  /** A mapped piece, as soon as there is one. */
  async next(): Promise<PinnedBlock> {
    const pieces = this.#pieces;
    if (pieces.length < this.#count) {
      try {
        const request = { byteLength: this.#pieceBytes, label: `window of ${this.#label}` };
        const piece = await this.#context.pinned.allocAsync(request);
        pieces.push(piece);
        return piece;
      } catch (error) {
        // A smaller window than wanted does, too.
        if (!(error instanceof OutOfMemoryError) || pieces.length === 0) throw error;
        this.#count = pieces.length;
      }
    }
    const piece = pieces[this.#turn++ % pieces.length]!;
    await piece.map();
    return piece;
  }

  close(): void {
    for (const piece of this.#pieces) this.#context.pinned.free(piece);
  }
}

function producerSource(fill: ByteProducer): Source {
  return { fill, finish: async () => {}, close: async () => {} };
}

function streamSource(stream: ReadableStream<Uint8Array>, label: string): Source {
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
          ({ value: rest } = await reader.read());
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
        ({ value: rest } = await reader.read());
        if (rest === undefined) return;
      }
      throw wrongLength(`has more than ${taken} bytes`);
    },
    async close(error) {
      if (error !== undefined) await reader.cancel(error);
      reader.releaseLock();
    },
  };
}
