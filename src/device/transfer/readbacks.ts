/**
 * Readbacks: copies from blocks into a pooled mapped buffer, and from there into arrays, or not at all
 * where the mapped memory itself is lent. Memory is read in stream order: what is recorded after the
 * call does not show, even where the copy has to wait for room.
 */

import { wordBytes } from "../../host/alignment.ts";
import { arrayOver, dtypeInfo, unfilledArray } from "../../host/dtype.ts";
import type { ArrayOf, DType } from "../../host/dtype.ts";
import { MoorageError } from "../../host/errors.ts";
import type { PinnedBlock } from "../../host/pinned/pinned-block.ts";
import type { PinnedHeap } from "../../host/pinned/pinned-heap.ts";
import type { AnyTensor } from "../executor.ts";
import { ReadLease } from "../lease.ts";
import type { DeviceAllocation } from "../memory/block-table.ts";
import { gpuBuffer } from "../memory/gpu-mappable.ts";
import type { CommandStream } from "../stream/command-stream.ts";
import type { CopyTicket } from "../stream/held-work.ts";
import { atOnceBytes } from "./piece-sizes.ts";
import { QuickReads } from "./quick-reads.ts";
import { readError } from "./read-error.ts";
import { readPieces } from "./read-pieces.ts";
import type { ByteConsumer, PieceReadParts, PieceSource, Snapshot } from "./read-pieces.ts";
import { Staging } from "./staging.ts";
import type { TransferControl } from "./transfer-control.ts";

/** A contiguous tensor's place in the buffer that is mapped. */
interface Piece {
  readonly tensor: AnyTensor;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** Copies into a buffer, which is mapped once they are submitted. */
interface RecordedRead {
  readonly block: PinnedBlock;
  readonly tickets: readonly CopyTicket[];
  readonly submitted: Promise<void>;
}

interface Mapped {
  readonly pinned: PinnedBlock;
  readonly pieces: readonly Piece[];
}

/** Ranges of a mapped buffer start at multiples of this. */
const mapAlignment = 8;

export class Readbacks {
  readonly #stream: CommandStream;
  readonly #snapshot: (block: DeviceAllocation) => Snapshot;
  readonly staging: Staging;
  readonly quick: QuickReads;
  readonly #pieceParts: PieceReadParts;

  constructor(
    parts: Omit<PieceReadParts, "staging">,
    pinned: PinnedHeap,
    sent: () => Promise<void> | null,
  ) {
    const { stream, snapshot } = parts;
    this.#stream = stream;
    this.#snapshot = snapshot;
    this.staging = new Staging(pinned, sent);
    this.#pieceParts = { ...parts, staging: this.staging };
    this.quick = new QuickReads({
      stream,
      staging: this.staging,
      mostBytes: atOnceBytes(pinned.budgetBytes),
      otherwise: (tensor, target) => this.#inPieces(tensor, target),
    });
  }

  /** One tensor, where it is large, where something has to wait, or where there is no staging yet. */
  async #inPieces<D extends DType>(
    tensor: AnyTensor<D>,
    target: ArrayOf[D] | null,
  ): Promise<ArrayOf[D]> {
    const { block, label, dtype, layout } = tensor;
    const data = target ?? unfilledArray(dtype, layout.count);
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const source = { block, byteOffset: startOf(tensor), byteLength: bytesOf(tensor), label };
    await readPieces(this.#pieceParts, source, (piece, offset) => bytes.set(piece, offset));
    return data;
  }

  /** The elements of contiguous tensors that start on a word: one submission, one mapping for all. */
  readAll(tensors: readonly AnyTensor[]): Promise<ArrayOf[DType][]> {
    return this.#track(this.#readAll(tensors));
  }

  async #readAll(tensors: readonly AnyTensor[]): Promise<ArrayOf[DType][]> {
    if (tensors.length === 0) return [];
    if (tensors.length === 1 || this.#isTooMuch(tensors)) {
      return await Promise.all(tensors.map((tensor) => this.quick.read(tensor, null)));
    }
    const { pinned, pieces } = await this.#map(tensors);
    try {
      const memory = pinned.memory();
      return pieces.map(({ tensor: { dtype, layout }, byteOffset, byteLength }) => {
        // A copy of the range is not filled with zeros first, as a new array is.
        const bytes = memory.slice(byteOffset, byteOffset + byteLength);
        return arrayOver(dtype, bytes, 0, layout.count);
      });
    } finally {
      this.staging.release(pinned);
    }
  }

  /** Whether there could never be staging for all at once. */
  #isTooMuch(tensors: readonly AnyTensor[]): boolean {
    const bytes = tensors.reduce((sum, tensor) => sum + bytesOf(tensor) + mapAlignment, 0);
    return bytes > this.staging.pinned.budgetBytes / 2;
  }

  /**
   * Bytes of a block, piece by piece, as they are at the time of the call; through a window, each piece as
   * it is when it is copied.
   */
  async readPieces(
    source: PieceSource,
    take: ByteConsumer,
    control: TransferControl,
    windowBytes?: number,
  ): Promise<void> {
    const options = { control, ...(windowBytes !== undefined && { windowBytes }) };
    try {
      await this.#track(readPieces(this.#pieceParts, source, take, options));
    } catch (cause) {
      // What stopped a transfer, or what its consumer threw, is told as it is.
      if (control.isReason(cause) || !(cause instanceof MoorageError)) throw cause;
      throw await readError(this.#stream, source.label, cause);
    }
  }

  /** The elements where the device put them: nothing is copied on the host. */
  lease<D extends DType>(tensor: AnyTensor<D>): Promise<ReadLease<D>> {
    return this.#track(this.#lease(tensor));
  }

  async #lease<D extends DType>(tensor: AnyTensor<D>): Promise<ReadLease<D>> {
    const { dtype, layout, label } = tensor;
    const { pinned } = await this.#map([tensor]);
    const data = arrayOver(dtype, pinned.memory(), 0, layout.count);
    this.staging.lend();
    return new ReadLease(data, label, () => this.staging.pinned.free(pinned));
  }

  async #track<T>(reading: Promise<T>): Promise<T> {
    this.staging.readingCount++;
    try {
      return await reading;
    } finally {
      this.staging.ended();
    }
  }

  async #map(tensors: readonly AnyTensor[]): Promise<Mapped> {
    let byteLength = 0;
    const pieces = tensors.map((tensor): Piece => {
      const byteOffset = byteLength;
      const own = bytesOf(tensor);
      byteLength += Math.ceil(own / mapAlignment) * mapAlignment;
      return { tensor, byteOffset, byteLength: own };
    });
    const only = pieces.length === 1 ? pieces[0]! : null;
    const label = only?.tensor.label ?? `${pieces.length} tensors`;
    // Asked before memory is taken: what has ended throws here.
    const blocks = tensors.map(({ block }) => block);
    const pinned = await this.#recorded(
      { byteLength: only?.byteLength ?? byteLength, label },
      pieces,
      blocks,
    );
    try {
      await pinned.submitted;
      const failed = pinned.tickets.find(({ failure }) => failure !== null);
      if (failed !== undefined) throw failed.failure!;
      await pinned.block.map();
      await this.#stream.pipelines.verify();
      return { pinned: pinned.block, pieces };
    } catch (cause) {
      this.staging.release(pinned.block);
      throw await readError(this.#stream, label, cause);
    }
  }

  /** Copies recorded: at once where there is staging, else from snapshots as soon as there is. */
  async #recorded(
    { byteLength, label }: { readonly byteLength: number; readonly label: string },
    pieces: readonly Piece[],
    blocks: readonly DeviceAllocation[],
  ): Promise<RecordedRead> {
    const first = this.staging.take(byteLength, label);
    if (first !== null) return this.#copyAll(first, pieces, blocks);
    const copies: Snapshot[] = [];
    try {
      for (const source of blocks) copies.push(this.#snapshot(source));
      const block = await this.staging.room(byteLength, label);
      return this.#copyAll(
        block,
        pieces,
        copies.map((copy) => copy.block),
      );
    } finally {
      for (const copy of copies) copy.end();
    }
  }

  #copyAll(
    block: PinnedBlock,
    pieces: readonly Piece[],
    blocks: readonly DeviceAllocation[],
  ): RecordedRead {
    try {
      const tickets = pieces.map((piece, index) => this.#copy(piece, blocks[index]!, block));
      // In the task of the call, not after an await: the end of the task has nothing to submit then.
      return { block, tickets, submitted: this.#stream.whenSubmitted(true) };
    } catch (error) {
      this.staging.release(block);
      throw error;
    }
  }

  #copy(piece: Piece, block: DeviceAllocation, pinned: PinnedBlock): CopyTicket {
    const { tensor, byteOffset, byteLength } = piece;
    const start = startOf(tensor);
    const target = gpuBuffer(pinned.receive());
    return this.#stream.copies.toBuffer(block, start, target, byteOffset, wordBytes(byteLength));
  }
}

function bytesOf({ layout, dtype }: AnyTensor): number {
  return layout.count * dtypeInfo(dtype).bytes;
}

function startOf({ layout, dtype }: AnyTensor): number {
  return layout.offset * dtypeInfo(dtype).bytes;
}
