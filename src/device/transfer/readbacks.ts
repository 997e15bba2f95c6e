/**
 * Readbacks: copies from blocks into a pooled mapped buffer, and from there into arrays, or not at all
 * where the mapped memory itself is lent. Memory is read in stream order: what is recorded after the
 * call does not show, even where the copy has to wait for room.
 */

import { arrayOver, dtypeInfo, newArray } from "../../host/dtype.ts";
import type { ArrayOf, DType } from "../../host/dtype.ts";
import { DeviceError, MoorageError } from "../../host/errors.ts";
import type { PinnedBlock } from "../../host/pinned-block.ts";
import type { PinnedHeap } from "../../host/pinned-heap.ts";
import { MiB } from "../../host/units.ts";
import type { AnyTensor } from "../executor.ts";
import { ReadLease } from "../lease.ts";
import type { DeviceAllocation } from "../memory/block-table.ts";
import { gpuBuffer } from "../memory/gpu-mappable.ts";
import type { CommandStream } from "../stream/command-stream.ts";
import type { CopyTicket } from "../stream/held-work.ts";
import { readAtOnce, readThroughWindow, slotsForAll } from "./read-pieces.ts";
import type { ByteConsumer, PieceSource } from "./read-pieces.ts";
import { ReadStaging } from "./read-staging.ts";
import type { TransferControl } from "./transfer.ts";
import { wordBytes } from "./transfers.ts";

/** Scratch that holds a block's bytes as they are now. */
export interface Snapshot {
  readonly block: DeviceAllocation;
  end(): void;
}

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

/** Above this, a tensor is read in pieces; above half of the budget for staging too. */
const atOnceBytes = 2 * MiB;

/** Ranges of a mapped buffer start at multiples of this. */
const mapAlignment = 8;

export class Readbacks {
  readonly #stream: CommandStream;
  readonly #snapshot: (block: DeviceAllocation) => Snapshot;
  /** Reads under way, and who waits for their end. */
  #readingCount = 0;
  #idle: (() => void)[] = [];
  readonly staging: ReadStaging;
  readonly #atOnceBytes: number;

  constructor(
    stream: CommandStream,
    pinned: PinnedHeap,
    snapshot: (block: DeviceAllocation) => Snapshot,
  ) {
    this.#stream = stream;
    this.staging = new ReadStaging(pinned);
    this.#atOnceBytes = Math.min(atOnceBytes, pinned.budgetBytes / 2);
    this.#snapshot = snapshot;
  }

  /** The elements of one contiguous tensor that starts on a word. */
  read<D extends DType>(tensor: AnyTensor<D>): Promise<ArrayOf[D]> {
    const { dtype, layout } = tensor;
    if (bytesOf(tensor) > this.#atOnceBytes)
      return this.readAll([tensor]).then(([all]) => all as ArrayOf[D]);
    return this.#one(tensor, (memory) =>
      // A copy of the range is not filled with zeros first, as a new array is.
      arrayOver(dtype, memory.slice(0, bytesOf(tensor)), 0, layout.count),
    );
  }

  /**
   * One copy, one mapping, and what `take` makes of the mapped memory: what most reads are, in few
   * steps, because the steps are most of what a small read costs.
   */
  async #one<R>(tensor: AnyTensor, take: (memory: ArrayBuffer) => R): Promise<R> {
    const { block, label } = tensor;
    const byteLength = bytesOf(tensor);
    this.#readingCount++;
    let slot: PinnedBlock | null = null;
    let ticket: CopyTicket | null = null;
    try {
      slot = this.staging.take(byteLength, label);
      if (slot === null) return await this.#oneLater(tensor, take);
      ticket = this.#copy({ tensor, byteOffset: 0, byteLength }, block, slot);
      // Submits in the task of the call, not after an await: the end of the task has nothing to do then.
      await slot.map();
      if (ticket.failure !== null) throw ticket.failure;
      const { pipelines } = this.#stream;
      if (!pipelines.isVerified) await pipelines.verify();
      return take(slot.memory());
    } catch (cause) {
      throw this.#readError(label, ticket?.failure ?? cause);
    } finally {
      if (slot !== null) this.staging.release(slot);
      this.#ended();
    }
  }

  /** The same where there is no staging yet. */
  async #oneLater<R>(tensor: AnyTensor, take: (memory: ArrayBuffer) => R): Promise<R> {
    const { pinned } = await this.#map([tensor]);
    try {
      return take(pinned.memory());
    } finally {
      this.staging.release(pinned);
    }
  }

  /** The elements of contiguous tensors that start on a word: one submission, one mapping for all. */
  readAll(tensors: readonly AnyTensor[]): Promise<ArrayOf[DType][]> {
    return this.#track(this.#readAll(tensors));
  }

  async #readAll(tensors: readonly AnyTensor[]): Promise<ArrayOf[DType][]> {
    if (tensors.length === 0) return [];
    const [only] = tensors;
    if (tensors.length > 1 && this.#isTooMuch(tensors)) {
      return await Promise.all(tensors.map((tensor) => this.read(tensor)));
    }
    if (tensors.length === 1 && bytesOf(only!) > this.#atOnceBytes) {
      const data = newArray(only!.dtype, only!.layout.count);
      await this.#readInto(only!, data);
      return [data];
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

  /** The elements of one into an array that is there. */
  readInto<D extends DType>(tensor: AnyTensor<D>, target: ArrayOf[D]): Promise<void> {
    return this.#track(this.#readInto(tensor, target));
  }

  async #readInto<D extends DType>(tensor: AnyTensor<D>, target: ArrayOf[D]): Promise<void> {
    const { block, label } = tensor;
    const { byteOffset, byteLength } = target;
    if (bytesOf(tensor) > this.#atOnceBytes) {
      const bytes = new Uint8Array(target.buffer, byteOffset, byteLength);
      const source = { block, byteOffset: startOf(tensor), byteLength, label };
      await this.#readPieces(source, (piece, offset) => bytes.set(piece, offset));
      return;
    }
    await this.#one(tensor, (memory) => {
      target.set(arrayOver(tensor.dtype, memory, 0, tensor.layout.count));
    });
  }

  /** Bytes of a block, piece by piece, as they are at the time of the call. */
  readPieces(source: PieceSource, take: ByteConsumer, control?: TransferControl): Promise<void> {
    return this.#track(this.#readPieces(source, take, control));
  }

  async #readPieces(
    source: PieceSource,
    take: ByteConsumer,
    control?: TransferControl,
  ): Promise<void> {
    const parts = { stream: this.#stream, staging: this.staging };
    let snapshot: Snapshot | null = null;
    try {
      const slots = slotsForAll(this.staging, source);
      if (slots !== null) {
        await readAtOnce(parts, source, slots, take, control);
      } else {
        snapshot = this.#snapshot(source.block);
        await readThroughWindow(parts, { ...source, block: snapshot.block }, take, control);
      }
    } catch (cause) {
      throw this.#pieceError(source.label, cause, control);
    } finally {
      snapshot?.end();
    }
  }

  /** Bytes of a block through a window, each piece as it is when it is copied. */
  readWindow(
    source: PieceSource,
    take: ByteConsumer,
    windowBytes: number,
    control: TransferControl,
  ): Promise<void> {
    const parts = { stream: this.#stream, staging: this.staging };
    const reading = readThroughWindow(parts, source, take, control, windowBytes);
    return this.#track(
      reading.catch((cause: unknown) => {
        throw this.#pieceError(source.label, cause, control);
      }),
    );
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
    this.#readingCount++;
    try {
      return await reading;
    } finally {
      this.#ended();
    }
  }

  #ended(): void {
    this.#readingCount--;
    if (this.#readingCount > 0) return;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }

  /** Settles when nothing is being read. */
  async settled(): Promise<void> {
    while (this.#readingCount > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
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
      throw this.#readError(label, cause);
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
    const copies = blocks.map((block) => this.#snapshot(block));
    try {
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

  /** What stopped a transfer, or what its consumer threw, is told as it is. */
  #pieceError(label: string, cause: unknown, control: TransferControl | undefined): unknown {
    if (control?.signal.aborted === true && cause === control.signal.reason) return cause;
    if (control === undefined || cause instanceof MoorageError)
      return this.#readError(label, cause);
    return cause;
  }

  #readError(label: string, cause: unknown): MoorageError {
    try {
      this.#stream.requireDevice();
    } catch (lost) {
      if (lost instanceof MoorageError) return lost;
    }
    if (cause instanceof MoorageError) return cause;
    return new DeviceError("DEVICE_ERROR", `"${label}" could not be read back`, { label, cause });
  }
}

function bytesOf({ layout, dtype }: AnyTensor): number {
  return layout.count * dtypeInfo(dtype).bytes;
}

function startOf({ layout, dtype }: AnyTensor): number {
  return layout.offset * dtypeInfo(dtype).bytes;
}
