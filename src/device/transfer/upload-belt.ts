/**
 * Staging for what is produced in place: chunks of mapped memory that many uploads share, front to
 * back. A chunk that is full is submitted at once, so that the device copies it while the next is filled:
 *
 *     [ a │ b │ c │ free ]  ── submit ──▶  in flight  ── mapped again ──▶  the pinned heap's pool
 *
 * Chunks come in two classes: small ones, and large ones once a small one has not held what was
 * produced between two submissions.
 */

import { alignUp, wordBytes } from "../../host/alignment.ts";
import { LifetimeError } from "../../host/errors.ts";
import type { PinnedSlot } from "../../host/pinned/pinned-block.ts";
import { hasFailed } from "../../host/pinned/pinned-pool.ts";
import type { PinnedSlots } from "../../host/pinned/pinned-slots.ts";
import { MiB } from "../../host/units.ts";
import type { DeviceAllocation } from "../memory/block-table.ts";
import { gpuBuffer } from "../memory/gpu-mappable.ts";
import type { CommandStream } from "../stream/command-stream.ts";

const smallBytes = MiB;
const largeBytes = 4 * MiB;

/** Bytes of chunks on their way: who produces more in one go is served without the belt. */
const mostInFlightBytes = 4 * largeBytes;

/** Copies and mapped ranges start at multiples of this. */
const rangeAlignment = 16;

const label = "upload belt";

export class UploadBelt {
  readonly #stream: CommandStream;
  readonly #slots: PinnedSlots;
  #open: PinnedSlot | null = null;
  #used = 0;
  /** Full, with copies that are not submitted yet. */
  #full: PinnedSlot[] = [];
  #fullBytes = 0;
  /** Unmapped, and about to be submitted. */
  #sealed: PinnedSlot[] = [];
  #inFlightBytes = 0;
  #arrivals: (() => void)[] = [];
  #chunkBytes = smallBytes;
  /** Bytes produced since the last submission. */
  #producedBytes = 0;
  /** Ranges that somebody fills right now, one inside the other. */
  #fillDepth = 0;
  #isClosed = false;

  constructor(stream: CommandStream, slots: PinnedSlots) {
    this.#stream = stream;
    this.#slots = slots;
  }

  /** The most that one range can have. */
  static readonly largestBytes = largeBytes;

  /**
   * Lets `write` fill so many bytes of mapped memory, and copies them behind a block's start. False, and
   * nothing has happened, where there is no such memory without waiting. What `write` throws is thrown, and
   * nothing is copied. O(1).
   *
   * Throws `NOT_MAPPED` where `write` has submitted work, which takes its own memory away.
   */
  fill(
    target: DeviceAllocation,
    byteOffset: number,
    byteLength: number,
    write: (memory: ArrayBuffer, byteOffset: number) => void,
  ): boolean {
    // First: who reads the target takes the rest, and may submit what the open chunk holds.
    target.table.willChange(target.key);
    const slot = this.#roomFor(byteLength);
    if (slot === null) return false;
    const memory = slot.memory(target.label);
    const start = this.#used;
    const end = alignUp(start + byteLength, rangeAlignment);
    this.#used = end;
    this.#fillDepth++;
    try {
      write(memory, start);
    } catch (error) {
      if (slot.state !== "mapped") throw takenAway(target.label, error);
      this.#undo(slot, start, end);
      throw error;
    } finally {
      this.#fillDepth--;
    }
    if (slot.state !== "mapped") throw takenAway(target.label);
    this.#producedBytes += byteLength;
    this.#copy(slot, start, target, byteOffset, wordBytes(byteLength));
    return true;
  }

  #copy(
    slot: PinnedSlot,
    start: number,
    target: DeviceAllocation,
    byteOffset: number,
    bytes: number,
  ): void {
    const { copies } = this.#stream;
    const buffer = gpuBuffer(slot.buffer);
    if (copies.recordFromBuffer(buffer.gpu, start, target, byteOffset, bytes)) return;
    copies.fromBuffer(buffer, target, bytes, byteOffset, start);
    // Where the target has failed, nothing was recorded that would end the chunk.
    this.#stream.schedule();
  }

  /** Whether {@link fill} would find mapped memory for so many bytes, in this task. */
  hasRoom(byteLength: number): boolean {
    if (this.#roomFor(byteLength) === null) return false;
    // Where nobody fills it after all, the end of the task gives it back.
    if (this.#used === 0) this.#stream.schedule();
    return true;
  }

  /** Whether memory that is on its way would serve so many bytes. */
  mayServe(byteLength: number): boolean {
    if (this.#isClosed) return false;
    return byteLength <= largeBytes && this.#inFlightBytes + this.#fullBytes > 0;
  }

  /** Settles when a chunk that is on its way has arrived; everything is submitted for that. */
  async arrival(): Promise<void> {
    if (this.#isClosed) return;
    const arrived = new Promise<void>((resolve) => this.#arrivals.push(resolve));
    await this.#stream.whenSubmitted(true);
    await arrived;
  }

  /** The open chunk, where it has room; else another one. */
  #roomFor(byteLength: number): PinnedSlot | null {
    const open = this.#open;
    if (open !== null && hasFailed(open)) this.#dropFailed(open);
    else if (open !== null && this.#used + byteLength <= open.buffer.size) return open;
    return this.#another(byteLength);
  }

  /** What was copied from it so far has failed with it. */
  #dropFailed(chunk: PinnedSlot): void {
    this.#open = null;
    void this.#slots.takeBack(chunk);
  }

  #another(byteLength: number): PinnedSlot | null {
    const open = this.#open;
    if (byteLength > largeBytes || this.#isClosed) return null;
    if (open !== null) {
      this.#close(open);
      this.#chunkBytes = largeBytes;
      // Not under the hands of who fills another range of it.
      if (this.#fillDepth === 0) this.#stream.flush();
    }
    this.#open = this.#next(byteLength);
    return this.#open;
  }

  #close(chunk: PinnedSlot): void {
    this.#full.push(chunk);
    this.#fullBytes += chunk.buffer.size;
    this.#open = null;
  }

  /** An empty chunk of the class that is due, or a large one where only that suffices. */
  #next(byteLength: number): PinnedSlot | null {
    const size = byteLength > this.#chunkBytes ? largeBytes : this.#chunkBytes;
    const isTooMuch = this.#inFlightBytes + this.#fullBytes + size > mostInFlightBytes;
    if (isTooMuch) return null;
    this.#used = 0;
    const slot = this.#slots.lend(size, "upload", label);
    if (slot !== null || byteLength > smallBytes) return slot;
    return size === smallBytes ? null : this.#slots.lend(smallBytes, "upload", label);
  }

  /** Gives the latest range back, which nothing was recorded for. */
  #undo(chunk: PinnedSlot, start: number, end: number): void {
    // Behind it there may be others by now.
    if (chunk !== this.#open || end !== this.#used) return;
    this.#used = start;
    // Nothing else would submit it, and give it back.
    if (start === 0) this.#giveBackUnused();
  }

  #giveBackUnused(): void {
    if (this.#open === null || this.#used > 0) return;
    void this.#slots.takeBack(this.#open);
    this.#open = null;
  }

  /** Settles when no chunk is open any more, which is asked for; `null` where none is. */
  sent(): Promise<void> | null {
    if (this.#isClosed || (this.#open === null && this.#full.length === 0)) return null;
    // Not under the hands of who fills one.
    return this.#fillDepth > 0 ? null : this.#stream.whenSubmitted(true);
  }

  /** Before what is recorded is submitted: nobody writes these chunks any more. */
  seal(): void {
    this.#giveBackUnused();
    if (this.#open !== null) this.#close(this.#open);
    if (this.#full.length === 0) return;
    if (this.#producedBytes <= smallBytes / 2) this.#chunkBytes = smallBytes;
    this.#producedBytes = 0;
    const full = this.#full;
    this.#full = [];
    this.#fullBytes = 0;
    for (const chunk of full) {
      chunk.buffer.unmap();
      chunk.range = null;
      chunk.state = "in-flight";
      chunk.idle = false;
      this.#inFlightBytes += chunk.buffer.size;
      this.#sealed.push(chunk);
    }
  }

  /** After that: they are mapped again as soon as they can be. */
  submitted(): void {
    if (this.#sealed.length === 0) return;
    const sealed = this.#sealed;
    this.#sealed = [];
    for (const chunk of sealed) {
      // Where work waits, so may copies from this chunk: then it is mapped behind them.
      const mapping = this.#stream.isHolding
        ? this.#slots.map(chunk, false)
        : this.#slots.mapSubmitted(chunk);
      // Lost with its device: the pinned heap knows.
      mapping.catch(() => {});
      // Once it is pooled: who waits for it takes it from there.
      void this.#slots.takeBack(chunk).then(() => this.#arrived(chunk.buffer.size));
    }
  }

  #arrived(size: number): void {
    this.#inFlightBytes -= size;
    this.#wake();
  }

  #wake(): void {
    if (this.#arrivals.length === 0) return;
    for (const resolve of this.#arrivals.splice(0)) resolve();
  }

  /**
   * The end: gives back what is open, used or not, because what was recorded from it is lost with the
   * device. Who waits for an arrival looks again.
   */
  close(): void {
    this.#isClosed = true;
    if (this.#open !== null) this.#close(this.#open);
    for (const chunk of this.#full) void this.#slots.takeBack(chunk);
    this.#full = [];
    this.#fullBytes = 0;
    this.#wake();
  }
}

function takenAway(tensor: string, cause?: unknown): LifetimeError {
  return new LifetimeError(
    "NOT_MAPPED",
    `the memory of "${tensor}" was handed to the GPU while it was filled: the function that fills it has submitted work, or read something; let it write its elements only`,
    { label: tensor, cause },
  );
}
