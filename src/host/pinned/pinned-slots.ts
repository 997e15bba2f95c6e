/**
 * The buffers of pinned memory: made within a budget, lent and taken back, mapped again when the GPU is
 * done, and kept for later. A slot is a buffer and the state that says who may touch it:
 *
 *               taken                unmapped (a transfer is recorded)
 *     [pooled] ───────▶ (mapped) ─────────────────▶ (in-flight)
 *         ▲                ▲                             │ submitted: mapAsync
 *         │ returned       │ GPU done                    ▼
 *         └────────────────┴───────────────────────(mapping)
 *
 * A slot that is returned in flight is deferred: it goes back to the pool when the GPU is done.
 */

import { alignUp } from "../alignment.ts";
import type { RegionObserver, Observed } from "../diagnostics/observer.ts";
import { LifetimeError, MoorageError, OutOfMemoryError } from "../errors.ts";
import { RegionLedger } from "../statistics.ts";
import { PinnedSlot } from "./pinned-block.ts";
import type { MappableBuffer, MappableSource, PinnedDirection } from "./pinned-block.ts";
import { hasFailed, PinnedPool } from "./pinned-pool.ts";

// GPUMapMode by value: `host` knows no GPU globals.
const mapMode: { readonly [D in PinnedDirection]: number } = { readback: 1, upload: 2 };

export interface PinnedHeapOptions {
  /** All buffers together never pass this. */
  readonly budgetBytes: number;
  /** A new buffer past this first costs what is pooled, and is told of. Default: the budget. */
  readonly softBytes?: number;
}

/** Pinned memory is short: `soft` past the soft budget; `refused` unless something is freed. */
export interface PinnedPressure {
  readonly requestedBytes: number;
  readonly availableBytes: number;
  readonly reservedBytes: number;
  readonly budgetBytes: number;
  readonly level: "soft" | "refused";
}

export class PinnedSlots {
  /** Live, pooled and in flight together never pass this. */
  readonly budgetBytes: number;
  readonly ledger = new RegionLedger("pinned");
  /** Told of memory that is short, and may free some. */
  onPressure: (event: PinnedPressure) => void = () => {};
  /** Told of a buffer that is kept for later. */
  onPooled: () => void = () => {};
  /** Told of what is lent, and of its end. */
  observer: RegionObserver | null = null;
  readonly #source: MappableSource;
  readonly #owner: Observed;
  readonly #softBytes: number;
  readonly #pool = new PinnedPool((slot) => this.#destroy(slot));
  /** Returned in flight: by slot, when it is back. */
  readonly #deferred = new Map<PinnedSlot, Promise<void>>();
  /** Lent and not back, with the bytes that were asked for. */
  readonly #lent = new Map<PinnedSlot, number>();
  #idle: (() => void)[] = [];
  #isClosed = false;
  /** Who only tries has another way: nobody is troubled for it. */
  #isTrying = false;

  /** @param owner - whose allocations an observer is told of */
  constructor(source: MappableSource, owner: Observed, options: PinnedHeapOptions) {
    this.#source = source;
    this.#owner = owner;
    this.budgetBytes = options.budgetBytes;
    this.#softBytes = options.softBytes ?? options.budgetBytes;
  }

  /** A slot for so many bytes. O(1) from the pool; else a buffer is created. Throws `OUT_OF_MEMORY`. */
  take(byteLength: number, direction: PinnedDirection, label: string): PinnedSlot {
    const size = sizeClass(byteLength);
    const slot = this.#pool.take(size, direction) ?? this.#create(size, direction, label);
    this.ledger.allocated(byteLength, size - byteLength);
    return slot;
  }

  /** Whether a new buffer for so many bytes costs none that is pooled, and nobody is told. O(1). */
  hasRoomFor(byteLength: number): boolean {
    const most = Math.min(this.budgetBytes, this.#softBytes);
    return this.ledger.reserved + sizeClass(byteLength) <= most;
  }

  /** What `action` gives, while no program is told that memory is short. */
  trying<T>(action: () => T): T {
    const before = this.#isTrying;
    this.#isTrying = true;
    try {
      return action();
    } finally {
      this.#isTrying = before;
    }
  }

  #create(size: number, direction: PinnedDirection, label: string): PinnedSlot {
    const { ledger, budgetBytes } = this;
    if (ledger.reserved + size > budgetBytes) {
      this.trim(Math.max(0, this.pooledBytes - (ledger.reserved + size - budgetBytes)));
    }
    if (ledger.reserved + size > this.#softBytes) this.#press(size);
    if (ledger.reserved + size > budgetBytes) throw this.#refused(size, label);
    let buffer: MappableBuffer;
    try {
      buffer = this.#source.create(size, direction, `moorage pinned ${direction} ${size}`);
    } catch (cause) {
      if (cause instanceof MoorageError && !(cause instanceof OutOfMemoryError)) throw cause;
      throw this.#refused(size, label, cause);
    }
    ledger.reserve(size);
    return new PinnedSlot(buffer, direction);
  }

  /** What is pooled goes, and the program is told, who may dispose. */
  #press(requestedBytes: number): void {
    if (this.#isTrying) return;
    const { budgetBytes } = this;
    const reservedBytes = this.ledger.reserved;
    const isRefused = reservedBytes + requestedBytes > budgetBytes;
    this.onPressure({
      requestedBytes,
      availableBytes: Math.max(0, budgetBytes - reservedBytes),
      reservedBytes,
      budgetBytes,
      level: isRefused ? "refused" : "soft",
    });
    this.trim(0);
  }

  #refused(requestedBytes: number, label: string, cause?: unknown): OutOfMemoryError {
    this.ledger.failed();
    const availableBytes = Math.max(0, this.budgetBytes - this.ledger.reserved);
    return new OutOfMemoryError(
      `"${label}" needs ${requestedBytes} bytes of pinned memory, and ${availableBytes} are left of the budget of ` +
        `${this.budgetBytes}; dispose pinned tensors, await transfers in flight (allocAsync waits), or raise budget.pinnedBytes`,
      { requestedBytes, availableBytes },
      { label, cause },
    );
  }

  /**
   * A slot for who takes and returns it by himself: a pooled one, or a new one named by `label` where that
   * is told. `null` where there is none, and then nobody is troubled for it. O(1), and a buffer is created.
   */
  lend(
    byteLength: number,
    direction: PinnedDirection,
    label: string | null = null,
  ): PinnedSlot | null {
    const size = sizeClass(byteLength);
    let slot = this.#pool.take(size, direction);
    if (slot === undefined && label !== null) slot = this.#tryCreate(size, direction, label);
    if (slot === undefined) return null;
    this.#lent.set(slot, byteLength);
    this.ledger.allocated(byteLength, size - byteLength);
    this.observer?.allocated(this.#owner, slot, label ?? direction, byteLength);
    return slot;
  }

  #tryCreate(size: number, direction: PinnedDirection, label: string): PinnedSlot | undefined {
    // Who waits tries often: an error for each would cost more than all else.
    if (this.ledger.reserved - this.pooledBytes + size > this.budgetBytes) return undefined;
    try {
      return this.trying(() => this.#create(size, direction, label));
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      this.ledger.retried();
      return undefined;
    }
  }

  /**
   * The end of {@link lend}: the slot is idle or on its way back, or lost. Settles when it may be had again.
   * O(1).
   */
  takeBack(slot: PinnedSlot): Promise<void> {
    this.observer?.freed(this.#owner, slot);
    const byteLength = this.#lent.get(slot);
    // It went with its device.
    if (byteLength === undefined) return isThere;
    this.#lent.delete(slot);
    this.return(slot, byteLength);
    if (this.#lent.size === 0 && this.#idle.length > 0) this.#wake();
    return this.#deferred.get(slot) ?? isThere;
  }

  /** The end of {@link take}. O(1). */
  return(slot: PinnedSlot, byteLength: number): void {
    if (slot.isDestroyed) return;
    const { size } = slot.buffer;
    this.ledger.freed(byteLength, size - byteLength);
    if (slot.state === "lost" || hasFailed(slot)) this.#destroy(slot);
    else if (slot.state !== "mapped" && !slot.idle) this.#defer(slot, size);
    else this.#recycle(slot);
  }

  #defer(slot: PinnedSlot, size: number): void {
    this.ledger.defer(size);
    const back = (): void => this.#undefer(slot, size);
    this.#deferred.set(slot, this.map(slot, false).then(back, back));
  }

  #undefer(slot: PinnedSlot, size: number): void {
    this.ledger.defer(-size);
    this.#deferred.delete(slot);
    if (this.#isClosed || slot.state === "lost") this.#destroy(slot);
    else this.#recycle(slot);
  }

  #recycle(slot: PinnedSlot): void {
    if (slot.direction === "readback" && slot.state === "mapped") {
      slot.buffer.unmap();
      slot.range = null;
      slot.state = "in-flight";
    }
    this.#pool.put(slot);
    this.onPooled();
  }

  #destroy(slot: PinnedSlot): void {
    if (slot.isDestroyed) return;
    slot.isDestroyed = true;
    slot.state = "lost";
    slot.range = null;
    slot.buffer.destroy();
    this.ledger.reserve(-slot.buffer.size);
  }

  /** Maps a slot once its transfer has been submitted, which `urgent` asks for now. */
  map(slot: PinnedSlot, urgent: boolean): Promise<void> {
    if (slot.state === "mapped") return Promise.resolve();
    const submitted = this.#source.whenSubmitted(urgent);
    slot.mapping ??= this.#map(slot, submitted);
    return slot.mapping;
  }

  /** The same, of a transfer that has been submitted. */
  mapSubmitted(slot: PinnedSlot): Promise<void> {
    // Where it has failed it has done so before it was ever mapping.
    slot.mapping ??= this.#map(slot, hasFailed(slot) ? Promise.resolve() : null);
    return slot.mapping;
  }

  async #map(slot: PinnedSlot, submitted: Promise<void> | null): Promise<void> {
    try {
      if (submitted !== null) await submitted;
      // What does not exist cannot be mapped: to ask for it would be an error that everybody hears of.
      if (hasFailed(slot)) throw slot.buffer.failure;
      if (slot.isDestroyed) throw new Error("the buffer is destroyed");
      slot.state = "mapping";
      await slot.buffer.mapAsync(mapMode[slot.direction]);
      if (slot.state === "mapping") slot.state = "mapped";
    } catch (cause) {
      slot.state = "lost";
      if (cause instanceof MoorageError) throw cause;
      throw new LifetimeError(
        "NOT_MAPPED",
        "a pinned buffer could not be mapped again: the device is lost or the runtime was disposed",
        { cause },
      );
    } finally {
      slot.mapping = null;
    }
  }

  /** Settles when one of those in flight is back, and asks for that; `null` where none is in flight. */
  nextBack(): Promise<void> | null {
    if (this.#deferred.size === 0) return null;
    // Looked at now: while this waits, all of it may come back, and a race of nothing has no end.
    const deferred = [...this.#deferred.values()];
    // It may still have to be submitted, and nobody else may ask for it.
    return this.#source.whenSubmitted(true).then(() => Promise.race(deferred));
  }

  /**
   * When a slot will be back that would do for so many bytes; `null` where fewer than `count` of them are on
   * their way, or one is there already. O(slots in flight).
   */
  arriving(byteLength: number, direction: PinnedDirection, count: number): Promise<void> | null {
    const size = sizeClass(byteLength);
    if (this.#pool.has(size, direction)) return null;
    const arriving: Promise<void>[] = [];
    for (const [slot, back] of this.#deferred)
      if (slot.direction === direction && slot.buffer.size === size) arriving.push(back);
    return arriving.length < count ? null : Promise.race(arriving);
  }

  /** Destroys pooled buffers until at most `keepBytes` of them are left. */
  trim(keepBytes: number): void {
    this.#pool.trim(keepBytes);
  }

  /** Destroys as many pooled buffers as nobody has used since the call before. Whether some are left. */
  decay(): boolean {
    return this.#pool.decay();
  }

  /** Bytes of buffers that are kept for later. */
  get pooledBytes(): number {
    return this.#pool.byteLength;
  }

  /** Settles when nothing is in flight that was returned, and nothing is lent. */
  async settled(): Promise<void> {
    for (;;) {
      if (this.#deferred.size > 0) await Promise.all(this.#deferred.values());
      else if (this.#lent.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
      else return;
    }
  }

  #wake(): void {
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }

  /**
   * The device is gone, and every buffer with it, those that are held with their bytes among them; new ones
   * come from another device, unless this is the end.
   */
  lose(held: Iterable<readonly [PinnedSlot, number]>, isEnd: boolean): void {
    if (isEnd) this.#isClosed = true;
    this.trim(0);
    for (const [slot, byteLength] of [...held, ...this.#lent]) {
      if (slot.isDestroyed) continue;
      this.ledger.freed(byteLength, slot.buffer.size - byteLength);
      this.#destroy(slot);
    }
    this.#lent.clear();
    this.#wake();
  }
}

const isThere = Promise.resolve();

/**
 * The size of the buffer for a request: four classes in each doubling, so at most a quarter more
 * than asked, and multiples of 256 so that every mapping and copy alignment holds.
 */
function sizeClass(byteLength: number): number {
  if (byteLength <= 2048) return (byteLength + 255) & -256;
  const step = 2 ** (Math.ceil(Math.log2(byteLength)) - 3);
  return alignUp(byteLength, step);
}
