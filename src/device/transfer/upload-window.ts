/**
 * A window of mapped memory for uploads: a few buffers that take turns. Each is mapped again as soon as
 * the device has copied it, so that it is there when its turn comes:
 *
 *     (mapped) ─ filled ─▶ unmapped, copy submitted, mapAsync ─▶ (mapped)
 */

import { wordBytes } from "../../host/alignment.ts";
import type { PinnedSlot } from "../../host/pinned/pinned-block.ts";
import { KiB } from "../../host/units.ts";
import type { DeviceContext } from "../context.ts";
import type { DeviceAllocation } from "../memory/block-table.ts";
import { gpuBuffer } from "../memory/gpu-mappable.ts";
import type { CommandStream } from "../stream/command-stream.ts";
import type { CopyTicket } from "../stream/held-work.ts";
import { turnCount } from "./piece-sizes.ts";
import type { Staging } from "./staging.ts";
import { unlessAborted } from "./transfer-control.ts";
import type { TransferControl } from "./transfer-control.ts";

/** From here on a piece is submitted by itself: a submission costs as much as copying some of this. */
const submitBytes = 256 * KiB;

export class UploadWindow {
  readonly #context: DeviceContext;
  /** Of the device that there is now: the window ends with it. */
  readonly #stream: CommandStream;
  readonly #staging: Staging;
  readonly #pieceBytes: number;
  readonly #label: string;
  readonly #slots: PinnedSlot[] = [];
  /** How many there may be: fewer where memory is short. */
  #count = turnCount;
  #turn = 0;
  /** The one that is being filled. */
  #filling: PinnedSlot | null = null;
  /** Copies that wait for a submission, and may fail until then. */
  readonly #tickets: CopyTicket[] = [];
  #recordedCount = 0;

  constructor(context: DeviceContext, pieceBytes: number, label: string) {
    this.#context = context;
    this.#stream = context.stream;
    this.#staging = context.readbacks.staging;
    this.#pieceBytes = pieceBytes;
    this.#label = label;
  }

  /** Settles when there is memory for the next piece, which {@link piece} gives. */
  async next(control: TransferControl): Promise<void> {
    const slot =
      this.#slots.length < this.#count
        ? (this.#lend(null) ?? (await this.#another(control)))
        : this.#slots[this.#turn++ % this.#slots.length]!;
    try {
      if (slot.mapping !== null) await slot.mapping;
    } finally {
      // Says more than a mapping that failed with its device.
      this.#stream.requireDevice();
    }
    // What was copied from it knows why.
    if (slot.state === "lost") await this.submitted();
    this.#filling = slot;
  }

  /** The next piece's memory; it ends with {@link send}. Old bytes show. Throws `NOT_MAPPED`. */
  piece(): Uint8Array<ArrayBuffer> {
    // Not where it was waited for: the platform may take it away before who waits goes on.
    return new Uint8Array(this.#filling!.memory(this.#label), 0, this.#pieceBytes);
  }

  /** A buffer more: a pooled one, or a new one that is named by `label` where that is told. */
  #lend(label: string | null): PinnedSlot | null {
    const slot = this.#staging.lendSlot(this.#pieceBytes, label, "upload");
    if (slot !== null) this.#slots.push(slot);
    return slot;
  }

  async #another(control: TransferControl): Promise<PinnedSlot> {
    const { slots } = this.#context.pinned;
    const label = `window of ${this.#label}`;
    for (;;) {
      // Rather than one more buffer, one of the window before: it is warm, and memory stays bounded.
      const wanted = Math.max(1, this.#count - this.#slots.length);
      const arriving = slots.arriving(this.#pieceBytes, "upload", wanted);
      if (arriving !== null) {
        await arriving;
        control.throwIfStopped();
        const back = this.#lend(null);
        if (back !== null) return back;
        continue;
      }
      const slot = this.#lend(label);
      if (slot !== null) return slot;
      // A smaller window than wanted does, too.
      if (this.#slots.length > 0) {
        this.#count = this.#slots.length;
        return this.#slots[this.#turn++ % this.#slots.length]!;
      }
      await unlessAborted(control.signal, this.#staging.nextSlot(this.#pieceBytes, label));
    }
  }

  /** Copies the first bytes of the piece that was asked for last behind a block's start. */
  send(target: DeviceAllocation, byteOffset: number, byteLength: number): void {
    const slot = this.#filling!;
    this.#filling = null;
    const { pinned } = this.#context;
    const stream = this.#stream;
    stream.requireDevice();
    const buffer = gpuBuffer(slot.buffer);
    slot.buffer.unmap();
    slot.range = null;
    slot.state = "in-flight";
    slot.idle = false;
    const bytes = wordBytes(byteLength);
    const isLarge = byteLength >= submitBytes && this.#recordedCount === 0;
    // A buffer that the device had no memory for is told of by way of its ticket.
    const isStraight = isLarge && buffer.failure === null;
    if (isStraight && stream.copies.submitFromBuffer(buffer.gpu, target, byteOffset, bytes)) {
      // Who wants the piece again waits for the same mapping, and is told.
      pinned.slots.mapSubmitted(slot).catch(() => {});
      return;
    }
    // All of it is to be written: what had failed before does not matter from the first piece on.
    const isMending = byteOffset === 0 ? true : undefined;
    this.#tickets.push(stream.copies.fromBuffer(buffer, target, bytes, byteOffset, 0, isMending));
    const isDue = byteLength >= submitBytes || 2 * ++this.#recordedCount >= this.#count;
    if (isDue) this.#recordedCount = 0;
    pinned.slots.map(slot, isDue).catch(() => {});
  }

  /** Settles when every copy is submitted; rejects where one of them failed before that. */
  async submitted(): Promise<void> {
    if (this.#tickets.length === 0) return;
    await this.#stream.whenSubmitted(true);
    this.#stream.requireDevice();
    for (const { failure } of this.#tickets) if (failure !== null) throw failure;
  }

  /** What `filled` gives, while the program has the window in its hands. */
  async inHands(filled: Promise<unknown>): Promise<void> {
    await this.#staging.inHands(this.#slots.length, filled, false);
  }

  /** Gives every piece back: what is in flight when it is back. */
  close(): void {
    const unsent = this.#filling;
    if (unsent?.state === "mapped") {
      // Who was stopped while he filled it may still write: not where others write by then.
      unsent.buffer.unmap();
      unsent.range = null;
      unsent.state = "in-flight";
      unsent.idle = false;
    }
    for (const slot of this.#slots) this.#staging.takeSlotBack(slot);
  }
}
