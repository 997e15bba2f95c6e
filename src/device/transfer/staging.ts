/**
 * Staging of transfers: taken where there is some, waited for where other transfers will give it back, or
 * the device. What is in a program's hands, who takes bytes or makes them, nobody waits for: that program
 * may itself be waiting for a transfer.
 */

import { OutOfMemoryError } from "../../host/errors.ts";
import type {
  PinnedBlock,
  PinnedDirection,
  PinnedRequest,
  PinnedSlot,
} from "../../host/pinned/pinned-block.ts";
import type { PinnedHeap } from "../../host/pinned/pinned-heap.ts";

export class Staging {
  readonly pinned: PinnedHeap;
  readonly #sent: () => Promise<void> | null;
  /** Reads under way, however they go, and who waits for the end of the last. */
  readingCount = 0;
  readonly #idle: (() => void)[] = [];
  /** Buffers that transfers hold and will give back by themselves, and who waits for that. */
  #held = 0;
  readonly #waiting: (() => void)[] = [];

  /**
   * @param sent - settles when what is mapped for uploads is on its way to the device, and asks for that;
   * `null` where nothing is
   */
  constructor(pinned: PinnedHeap, sent: () => Promise<void> | null) {
    this.pinned = pinned;
    this.#sent = sent;
    pinned.comingBack = () => this.coming();
  }

  /** Staging, or `null` where there is none now. Throws what is no lack of memory. */
  take(byteLength: number, label: string): PinnedBlock | null {
    const taken = this.pinned.tryAlloc(requestOf(byteLength, label));
    if (!taken.ok) {
      if (taken.error.code !== "OUT_OF_MEMORY") throw taken.error;
      // It is not refused yet: who has waited for nothing says so.
      this.pinned.slots.ledger.retried();
      return null;
    }
    this.#held++;
    return taken.value;
  }

  /** A read that {@link readingCount} counted has ended, or is in a program's hands. */
  ended(): void {
    this.readingCount--;
    if (this.readingCount === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Settles when nothing is being read, or only by programs that take their time. */
  async settled(): Promise<void> {
    while (this.readingCount > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /**
   * Staging without a handle: pooled, or a new buffer that is named by `label` where that is told. `null`
   * where there is none now. O(1).
   */
  lendSlot(
    byteLength: number,
    label: string | null = null,
    direction: PinnedDirection = "readback",
  ): PinnedSlot | null {
    const slot = this.pinned.slots.lend(byteLength, direction, label);
    if (slot !== null) this.#held++;
    return slot;
  }

  /** Whether a new buffer for so many bytes costs none that is there. */
  hasRoomFor(byteLength: number): boolean {
    return this.pinned.slots.hasRoomFor(byteLength);
  }

  /** The end of {@link lendSlot}; who waits may have it. */
  takeSlotBack(slot: PinnedSlot): void {
    this.#held--;
    void this.pinned.slots.takeBack(slot);
    if (this.#waiting.length > 0) this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** What `work` gives, in which a program has so many buffers in its hands, for a read of its own or not. */
  async inHands<T>(count: number, work: PromiseLike<T>, isRead: boolean): Promise<T> {
    this.#held -= count;
    this.#wake();
    if (isRead) this.ended();
    try {
      return await work;
    } finally {
      this.#held += count;
      if (isRead) this.readingCount++;
    }
  }

  /** Bytes that nobody holds, or that are on their way back. */
  get availableBytes(): number {
    const { ledger, budgetBytes } = this.pinned.slots;
    return Math.max(0, budgetBytes - ledger.live - ledger.padding);
  }

  /** Staging, as soon as there is some. Rejects where none is on its way. */
  async room(byteLength: number, label: string): Promise<PinnedBlock> {
    for (;;) {
      // Counted in the same breath: another that waits must see that somebody will give it back.
      const taken = this.take(byteLength, label);
      if (taken !== null) return taken;
      const coming = this.coming();
      if (coming === null) break;
      await coming;
    }
    // Says what is missing, once those were told who may free some.
    const block = await this.pinned.allocAsync(requestOf(byteLength, label));
    this.#held++;
    return block;
  }

  /** Settles when there may be staging to be lent; rejects where none is on its way. */
  async nextSlot(byteLength: number, label: string): Promise<void> {
    const coming = this.coming();
    if (coming !== null) return await coming;
    try {
      this.pinned.free(await this.pinned.allocAsync(requestOf(byteLength, label)));
    } catch (error) {
      // Somebody else may have got what came back meanwhile, and gives it back in turn.
      const next = error instanceof OutOfMemoryError ? this.coming() : null;
      if (next === null) throw error;
      await next;
    }
  }

  /** Settles when staging comes back, from a transfer or from the device; `null` where none will. */
  coming(): Promise<void> | null {
    const back = this.pinned.slots.nextBack() ?? this.#sent();
    if (this.#held === 0) return back;
    const released = new Promise<void>((resolve) => this.#waiting.push(resolve));
    return back === null ? released : Promise.race([released, back]);
  }

  /** A transfer is done with its staging; who waits may have it. */
  release(block: PinnedBlock): void {
    this.#held--;
    this.pinned.free(block);
    this.#wake();
  }

  /** What is lent ends by its borrower's doing: who waits looks for something else. */
  lend(): void {
    this.#held--;
    this.#wake();
  }
}

function requestOf(byteLength: number, label: string): PinnedRequest {
  return { byteLength, direction: "readback", label: `read ${label}`, isInternal: true };
}
