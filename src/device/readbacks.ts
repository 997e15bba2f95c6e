/**
 * Readbacks: copies from blocks into a pooled mapped buffer, and from there into arrays, or not at all
 * where the mapped memory itself is lent. Memory is read in stream order: what is recorded after the
 * call does not show, even where the copy has to wait for room.
 */

import { arrayOver, dtypeInfo, newArray } from "../host/dtype.ts";
import type { ArrayOf, DType } from "../host/dtype.ts";
import { DeviceError, MoorageError } from "../host/errors.ts";
import type { PinnedBlock, PinnedRequest } from "../host/pinned-block.ts";
import type { PinnedHeap } from "../host/pinned-heap.ts";
import { MiB } from "../host/units.ts";
import type { AnyTensor } from "./executor.ts";
import { ReadLease } from "./lease.ts";
import type { DeviceAllocation } from "./memory/block-table.ts";
import { gpuBuffer } from "./memory/gpu-mappable.ts";
import type { CommandStream } from "./stream/command-stream.ts";
import type { CopyTicket } from "./stream/held-work.ts";
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

/** Above this, a tensor is read in pieces. */
const atOnceBytes = 2 * MiB;

/** Ranges of a mapped buffer start at multiples of this. */
const mapAlignment = 8;

export class Readbacks {
  readonly #stream: CommandStream;
  readonly #pinned: PinnedHeap;
  readonly #snapshot: (block: DeviceAllocation) => Snapshot;
  /** Reads under way, and who waits for their end. */
  #readingCount = 0;
  #idle: (() => void)[] = [];
  /** Reads that hold staging, and those that wait for it. */
  #held = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(
    stream: CommandStream,
    pinned: PinnedHeap,
    snapshot: (block: DeviceAllocation) => Snapshot,
  ) {
    this.#stream = stream;
    this.#pinned = pinned;
    this.#snapshot = snapshot;
  }

  /** The elements of one contiguous tensor that starts on a word. */
  read<D extends DType>(tensor: AnyTensor<D>): Promise<ArrayOf[D]> {
    const { dtype, layout } = tensor;
    if (bytesOf(tensor) > atOnceBytes)
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
      const request: PinnedRequest = { byteLength, direction: "readback", label: `read ${label}` };
      const taken = this.#pinned.tryAlloc(request);
      if (!taken.ok) return await this.#oneLater(tensor, take);
      slot = taken.value;
      this.#held++;
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
      if (slot !== null) this.#release(slot);
      this.#ended();
    }
  }

  /** The same where there is no staging yet. */
  async #oneLater<R>(tensor: AnyTensor, take: (memory: ArrayBuffer) => R): Promise<R> {
    const { pinned } = await this.#map([tensor]);
    try {
      return take(pinned.memory());
    } finally {
      this.#release(pinned);
    }
  }

  /** The elements of contiguous tensors that start on a word: one submission, one mapping for all. */
  readAll(tensors: readonly AnyTensor[]): Promise<ArrayOf[DType][]> {
    return this.#track(this.#readAll(tensors));
  }

  async #readAll(tensors: readonly AnyTensor[]): Promise<ArrayOf[DType][]> {
    if (tensors.length === 0) return [];
    const [only] = tensors;
    if (tensors.length === 1 && bytesOf(only!) > atOnceBytes) {
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
      this.#release(pinned);
    }
  }

  /** The elements of one into an array that is there. */
  readInto<D extends DType>(tensor: AnyTensor<D>, target: ArrayOf[D]): Promise<void> {
    return this.#track(this.#readInto(tensor, target));
  }

  async #readInto<D extends DType>(tensor: AnyTensor<D>, target: ArrayOf[D]): Promise<void> {
    const slots = bytesOf(tensor) > atOnceBytes ? this.#slotsFor(tensor) : null;
    if (slots !== null) {
      await this.#readPieces(tensor, target, slots);
      return;
    }
    await this.#one(tensor, (memory) => {
      target.set(arrayOver(tensor.dtype, memory, 0, tensor.layout.count));
    });
  }

  /** Staging for all pieces of a large tensor; `null` where there is not enough. */
  #slotsFor(tensor: AnyTensor): PinnedBlock[] | null {
    const total = bytesOf(tensor);
    const byteLength = pieceBytesOf(total);
    const slots: PinnedBlock[] = [];
    while (slots.length * byteLength < total) {
      const label = `read ${tensor.label}`;
      const request: PinnedRequest = { byteLength, direction: "readback", label };
      const slot = this.#pinned.tryAlloc(request);
      if (!slot.ok) {
        for (const taken of slots) this.#pinned.free(taken);
        return null;
      }
      slots.push(slot.value);
    }
    this.#held += slots.length;
    return slots;
  }

  /** A submission for each piece: the host copies one out of its mapping while the device copies the next. */
  async #readPieces<D extends DType>(
    tensor: AnyTensor<D>,
    target: ArrayOf[D],
    slots: PinnedBlock[],
  ): Promise<void> {
    const { label, layout, dtype } = tensor;
    const total = bytesOf(tensor);
    const pieceBytes = slots[0]!.byteLength;
    const bytes = new Uint8Array(target.buffer, target.byteOffset, total);
    const start = layout.offset * dtypeInfo(dtype).bytes;
    try {
      const { block } = tensor;
      const tickets: CopyTicket[] = [];
      const mapped = slots.map((slot, index) => {
        const offset = index * pieceBytes;
        const length = Math.min(pieceBytes, total - offset);
        const buffer = gpuBuffer(slot.receive());
        tickets.push(
          this.#stream.copies.toBuffer(block, start + offset, buffer, 0, wordBytes(length)),
        );
        const mapping = slot.map();
        // Where the first fails, nobody listens to the others.
        mapping.catch(() => {});
        return mapping;
      });
      await this.#stream.whenSubmitted(true);
      const failed = tickets.find(({ failure }) => failure !== null);
      if (failed !== undefined) throw failed.failure!;
      for (let offset = 0; offset < total; offset += pieceBytes) {
        await mapped[offset / pieceBytes];
        const slot = slots.shift()!;
        try {
          const length = Math.min(pieceBytes, total - offset);
          bytes.set(new Uint8Array(slot.memory(), 0, length), offset);
        } finally {
          this.#release(slot);
        }
      }
      await this.#stream.pipelines.verify();
    } catch (cause) {
      throw this.#readError(label, cause);
    } finally {
      for (const slot of slots) this.#release(slot);
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
    // A lease ends by its owner's doing: nobody waits for it.
    this.#held--;
    return new ReadLease(data, label, () => this.#pinned.free(pinned));
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
    const request = {
      byteLength: only?.byteLength ?? byteLength,
      direction: "readback",
      label: `read ${label}`,
    } as const;
    // Asked before memory is taken: what has ended throws here.
    const blocks = tensors.map(({ block }) => block);
    const pinned = await this.#recorded(request, pieces, blocks);
    try {
      await pinned.submitted;
      const failed = pinned.tickets.find(({ failure }) => failure !== null);
      if (failed !== undefined) throw failed.failure!;
      await pinned.block.map();
      await this.#stream.pipelines.verify();
      return { pinned: pinned.block, pieces };
    } catch (cause) {
      this.#release(pinned.block);
      throw this.#readError(label, cause);
    }
  }

  /** Copies recorded: at once where there is staging, else from snapshots as soon as there is. */
  async #recorded(
    request: PinnedRequest,
    pieces: readonly Piece[],
    blocks: readonly DeviceAllocation[],
  ): Promise<RecordedRead> {
    const first = this.#pinned.tryAlloc(request);
    if (first.ok) {
      this.#held++;
      return this.#copyAll(first.value, pieces, blocks);
    }
    if (first.error.code !== "OUT_OF_MEMORY") throw first.error;
    const copies = blocks.map((block) => this.#snapshot(block));
    try {
      const block = await this.#room(request);
      return this.#copyAll(
        block,
        pieces,
        copies.map((copy) => copy.block),
      );
    } finally {
      for (const copy of copies) copy.end();
    }
  }

  /** Staging that other reads give back, or what is in flight. */
  async #room(request: PinnedRequest): Promise<PinnedBlock> {
    for (;;) {
      // Counted in the same breath: another that waits must see that somebody will give it back.
      const taken = this.#pinned.tryAlloc(request);
      if (taken.ok) {
        this.#held++;
        return taken.value;
      }
      if (this.#held > 0) {
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
        continue;
      }
      const block = await this.#pinned.allocAsync(request);
      this.#held++;
      return block;
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
      this.#release(block);
      throw error;
    }
  }

  /** The read is done with its staging; who waits may have it. */
  #release(block: PinnedBlock): void {
    this.#held--;
    this.#pinned.free(block);
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #copy(piece: Piece, block: DeviceAllocation, pinned: PinnedBlock): CopyTicket {
    const { tensor, byteOffset, byteLength } = piece;
    const start = tensor.layout.offset * dtypeInfo(tensor.dtype).bytes;
    const target = gpuBuffer(pinned.receive());
    return this.#stream.copies.toBuffer(block, start, target, byteOffset, wordBytes(byteLength));
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

/** Small enough that a tensor has a few pieces, large enough that a submission for each costs little. */
function pieceBytesOf(total: number): number {
  return total > 16 * MiB ? 4 * MiB : MiB;
}
