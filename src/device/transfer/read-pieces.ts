/**
 * Large reads, piece by piece, through a few buffers that take turns: the host takes one piece out of its
 * mapping while the device copies the next ones, and a buffer that was just used is warm in the caches.
 *
 *     device ─▶ [piece 0] mapped ─▶ taken ─▶ its buffer copies piece 4
 *            ─▶ [piece 1] in flight
 *
 * A read shows memory as it was when it was asked for. So the block is watched as long as pieces of it are
 * not recorded: before it is written, moved to another owner or freed, the rest is recorded at once, into
 * as many buffers as that takes, and where there are not so many, into scratch on the device.
 */

import { wordBytes } from "../../host/alignment.ts";
import type { PinnedSlot } from "../../host/pinned/pinned-block.ts";
import { requireAlive } from "../../host/region.ts";
import type { BlockTable, DeviceAllocation } from "../memory/block-table.ts";
import { gpuBuffer } from "../memory/gpu-mappable.ts";
import type { CommandStream } from "../stream/command-stream.ts";
import { pieceBytesOf, turnCount } from "./piece-sizes.ts";
import { readError } from "./read-error.ts";
import type { Staging } from "./staging.ts";
import { unlessAborted } from "./transfer-control.ts";
import type { TransferControl } from "./transfer-control.ts";

/** Scratch that holds a block's bytes as they are now. */
export interface Snapshot {
  readonly block: DeviceAllocation;
  end(): void;
}

export interface PieceReadParts {
  readonly stream: CommandStream;
  readonly staging: Staging;
  readonly table: BlockTable;
  readonly snapshot: (block: DeviceAllocation) => Snapshot;
}

/** A range of a block, from a word on. */
export interface PieceSource {
  readonly block: DeviceAllocation;
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly label: string;
}

/**
 * Takes the bytes from `byteOffset` of what is read on, in mapped memory that ends when the function has
 * returned, or the promise that it returned has settled.
 */
export type ByteConsumer = (piece: Uint8Array<ArrayBuffer>, byteOffset: number) => unknown;

export interface PieceReadOptions {
  readonly control?: TransferControl;
  /** No more staging than this, and each piece as it is when it is copied: nothing is watched. */
  readonly windowBytes?: number;
}

// GPUMapMode by value: WebGPU's globals may be absent.
const mapRead = 1;

/** A piece whose copy is recorded. */
interface Piece {
  readonly slot: PinnedSlot;
  readonly mapped: Promise<unknown>;
  readonly offset: number;
  readonly byteLength: number;
}

/** Reads a range of a block. Rejects with what `take` throws, and with what the device refuses. O(bytes). */
export async function readPieces(
  parts: PieceReadParts,
  source: PieceSource,
  take: ByteConsumer,
  options: PieceReadOptions = {},
): Promise<void> {
  const read = new PieceRead(parts, source, options);
  try {
    await read.run(take);
  } finally {
    read.close();
  }
}

class PieceRead {
  readonly #parts: PieceReadParts;
  readonly #source: PieceSource;
  readonly #control: TransferControl | undefined;
  readonly #pieceBytes: number;
  /** The source's, or what holds its bytes. */
  #block: DeviceAllocation;
  #snapshot: Snapshot | null = null;
  /** Recorded, the oldest first. */
  readonly #pieces: Piece[] = [];
  /** The first byte that is not recorded. */
  #next = 0;
  /** Why the rest could not be recorded. */
  #failure: unknown = null;
  #unwatch: () => void = () => {};
  #hasRest = false;
  /** Whether it is read as it is now, not each piece as it is when it is copied. */
  readonly #isWatching: boolean;

  constructor(parts: PieceReadParts, source: PieceSource, options: PieceReadOptions) {
    const { control, windowBytes } = options;
    this.#parts = parts;
    this.#source = source;
    this.#control = control;
    this.#pieceBytes = pieceBytesOf(source.byteLength, parts.staging, windowBytes);
    this.#block = source.block;
    this.#isWatching = windowBytes === undefined;
    if (this.#isWatching) this.#watch();
  }

  #watch(): void {
    const { table } = this.#parts;
    const { block } = this.#source;
    // Who only shows another's memory may end before it.
    this.#block = table.ownerOf(block) ?? block;
    this.#unwatch = table.watch(this.#block, () => this.#recordRest());
  }

  /** Takes every piece in order. */
  async run(take: ByteConsumer): Promise<void> {
    const { staging } = this.#parts;
    const { byteLength } = this.#source;
    // In the task of the call: what is recorded after it must not show, where nothing can be watched.
    this.#fill();
    if (this.#isWatching && this.#parts.table.isExposed(this.#block)) this.#recordRest();
    while (this.#pieces.length > 0 || this.#next < byteLength) {
      this.#control?.throwIfStopped();
      if (this.#failure !== null) throw this.#failure;
      if (this.#pieces.length === 0) await this.#room();
      this.#fill();
      const piece = this.#pieces[0];
      if (piece === undefined) continue;
      const memory = await this.#memoryOf(piece);
      const taken = take(new Uint8Array(memory, 0, piece.byteLength), piece.offset);
      if (taken instanceof Promise) {
        const control = this.#control;
        const work = control === undefined ? taken : unlessAborted(control.signal, taken);
        await staging.inHands(this.#pieces.length, work, true);
      }
      this.#pieces.shift();
      piece.slot.buffer.unmap();
      const isOver = this.#failure !== null || this.#control?.isStopped === true;
      if (this.#next < byteLength && !isOver) this.#recordInto(piece.slot);
      else staging.takeSlotBack(piece.slot);
    }
  }

  async #memoryOf({ slot, mapped, byteLength }: Piece): Promise<ArrayBuffer> {
    const { stream } = this.#parts;
    try {
      await mapped;
      if (!stream.pipelines.isVerified) await stream.pipelines.verify();
      return slot.buffer.getMappedRange(wordBytes(byteLength));
    } catch (cause) {
      throw await readError(stream, this.#source.label, cause);
    }
  }

  /** Waits until there may be staging again. */
  async #room(): Promise<void> {
    const { staging } = this.#parts;
    const waiting = staging.nextSlot(this.#pieceBytes, this.#source.label);
    await (this.#control === undefined ? waiting : unlessAborted(this.#control.signal, waiting));
  }

  /** Records pieces into buffers that are at hand, as far as they may be under way together. */
  #fill(): void {
    const { staging } = this.#parts;
    while (this.#pieces.length < turnCount) {
      // One is needed. More are worth no buffer that is pooled for somebody else.
      const mayCreate = this.#pieces.length === 0 || staging.hasRoomFor(this.#pieceBytes);
      if (!this.#recordNext(mayCreate)) return;
    }
  }

  #recordNext(mayCreate: boolean): boolean {
    if (this.#next >= this.#source.byteLength || this.#failure !== null) return false;
    const label = mayCreate ? this.#source.label : null;
    const slot = this.#parts.staging.lendSlot(this.#pieceBytes, label);
    if (slot !== null) this.#recordInto(slot);
    return slot !== null;
  }

  #recordInto(slot: PinnedSlot): void {
    const { byteOffset, byteLength } = this.#source;
    const { stream, staging } = this.#parts;
    const offset = this.#next;
    const length = Math.min(this.#pieceBytes, byteLength - offset);
    const bytes = wordBytes(length);
    let mapped: Promise<unknown>;
    try {
      requireAlive(this.#block, this.#block.region);
      const buffer = gpuBuffer(slot.buffer);
      const start = byteOffset + offset;
      if (stream.copies.submitToBuffer(this.#block, start, buffer.gpu, bytes)) {
        mapped = buffer.mapAsync(mapRead, bytes);
      } else {
        const ticket = stream.copies.toBuffer(this.#block, start, buffer, 0, bytes);
        mapped = stream.whenSubmitted(true).then(() => {
          if (ticket.failure !== null) throw ticket.failure;
          return buffer.mapAsync(mapRead, bytes);
        });
      }
    } catch (error) {
      staging.takeSlotBack(slot);
      throw error;
    }
    // Where an earlier one fails, nobody listens to this one.
    mapped.catch(() => {});
    this.#pieces.push({ slot, mapped, offset, byteLength: length });
    this.#next = offset + length;
    this.#control?.submitted(this.#next);
    if (this.#next >= byteLength) this.#unwatch();
  }

  /** The block changes: what is left is recorded now. Never throws, because somebody else's work is next. */
  #recordRest(): void {
    this.#unwatch();
    // Making room for it may change the block again.
    if (this.#hasRest) return;
    this.#hasRest = true;
    try {
      while (this.#recordNext(true));
      if (this.#next >= this.#source.byteLength || this.#failure !== null) return;
      this.#snapshot = this.#parts.snapshot(this.#block);
      this.#block = this.#snapshot.block;
    } catch (error) {
      this.#failure = error;
    }
  }

  /** Gives everything back: what is under way when it has arrived. */
  close(): void {
    this.#unwatch();
    this.#snapshot?.end();
    const { staging } = this.#parts;
    for (const { slot, mapped } of this.#pieces) {
      // Counted as a read: who closes the runtime waits for it.
      staging.readingCount++;
      const back = (isMapped: boolean): void => {
        if (isMapped) slot.buffer.unmap();
        else slot.state = "lost";
        staging.takeSlotBack(slot);
        staging.ended();
      };
      mapped.then(
        () => back(true),
        () => back(false),
      );
    }
  }
}
