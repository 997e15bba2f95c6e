/** A block of pinned memory: a mappable buffer, and the state that says who may touch it. */

import type { Duties } from "../diagnostics/duties.ts";
import { arrayOver, hostDtypeInfo } from "../dtype.ts";
import type { ArrayOf, HostDType } from "../dtype.ts";
import { LifetimeError } from "../errors.ts";
import type { MoorageError } from "../errors.ts";
import { deadHandle, requireAlive } from "../region.ts";
import type { Allocation, AllocationRequest } from "../region.ts";

/** A `GPUBuffer`, as far as the host has to know it. */
export interface MappableBuffer {
  readonly size: number;
  /** Why the platform refused the buffer, once it has said so: it may be mapped all the same. */
  readonly failure?: MoorageError | null;
  /** @param byteLength - of its start; all of it unless told */
  mapAsync(mode: number, byteLength?: number): Promise<unknown>;
  /** @param byteLength - as it was mapped */
  getMappedRange(byteLength?: number): ArrayBuffer;
  unmap(): void;
  destroy(): void;
}

/** `upload` memory is written by the host and read by the GPU; `readback` the other way round. */
export type PinnedDirection = "upload" | "readback";

/** Makes the buffers: `upload` buffers come mapped, `readback` buffers unmapped. */
export interface MappableSource {
  create(byteLength: number, direction: PinnedDirection, label: string): MappableBuffer;
  /**
   * Settles when every transfer recorded so far has been submitted; `urgent` asks for that now.
   * A buffer must not start mapping earlier: the submission would be refused.
   */
  whenSubmitted(urgent: boolean): Promise<void>;
}

export type PinnedState = "mapped" | "in-flight" | "mapping" | "lost";

/** What a block needs of the heap that gave it. */
export interface PinnedOwner {
  readonly label: string;
  free(block: PinnedBlock): void;
  map(slot: PinnedSlot, urgent: boolean): Promise<void>;
  released(block: PinnedBlock): void;
  readonly duties: Duties | null;
}

/** A request for pinned memory; `direction` is `upload` unless told. */
export interface PinnedRequest extends AllocationRequest {
  readonly direction?: PinnedDirection;
  /** @internal Staging of Moorage's own, which nobody has to dispose. */
  readonly isInternal?: boolean;
}

/** The GPU buffer behind a block; it outlives the block and is used again by later ones. */
export class PinnedSlot {
  readonly buffer: MappableBuffer;
  readonly direction: PinnedDirection;
  state: PinnedState;
  /** The mapped range, fetched once per mapping: a second `getMappedRange` would throw. */
  range: ArrayBuffer | null = null;
  mapping: Promise<void> | null = null;
  isDestroyed = false;
  /** No transfer has been recorded since it left the pool: nothing to wait for. */
  idle = true;

  constructor(buffer: MappableBuffer, direction: PinnedDirection) {
    this.buffer = buffer;
    this.direction = direction;
    this.state = direction === "upload" ? "mapped" : "in-flight";
  }

  /**
   * The memory of a mapped slot. Throws `NOT_MAPPED`, with what the platform says, where that has taken the
   * memory away: a device that is lost takes it before anybody is told. O(1).
   */
  memory(label: string): ArrayBuffer {
    if (this.range !== null && this.range.byteLength > 0) return this.range;
    try {
      this.range = this.buffer.getMappedRange();
      return this.range;
    } catch (cause) {
      this.state = "lost";
      throw new LifetimeError(
        "NOT_MAPPED",
        `the platform has taken the mapped memory of "${label}" away, as it does when the device is lost; await runtime.lost, and fill it again on a new device`,
        { label, cause },
      );
    }
  }
}

/** A block of pinned memory. */
export class PinnedBlock implements Allocation {
  readonly label: string;
  readonly byteLength: number;
  /** @internal */
  readonly heap: PinnedOwner;
  /** @internal */
  readonly slot: PinnedSlot;
  /** @internal */
  references = 1;
  /** @internal Who is reading or writing the mapped memory right now, through the system or a stream. */
  useCount = 0;
  /** @internal Whether it is staging of Moorage's own. */
  isInternal = false;

  /** @internal */
  constructor(heap: PinnedOwner, slot: PinnedSlot, byteLength: number, label: string) {
    this.heap = heap;
    this.slot = slot;
    this.byteLength = byteLength;
    this.label = label;
  }

  get isAlive(): boolean {
    return this.references > 0;
  }

  /** Always 0: a block is a buffer of its own. */
  get byteOffset(): number {
    requireAlive(this, this.heap);
    return 0;
  }

  get state(): PinnedState {
    requireAlive(this, this.heap);
    return this.slot.state;
  }

  get direction(): PinnedDirection {
    return this.slot.direction;
  }

  /** The buffer, for recording a copy. */
  get buffer(): MappableBuffer {
    requireAlive(this, this.heap);
    return this.slot.buffer;
  }

  /** The mapped memory; throws `NOT_MAPPED` in any other state. */
  memory(): ArrayBuffer {
    requireAlive(this, this.heap);
    const { slot } = this;
    if (slot.state !== "mapped") {
      throw new LifetimeError(
        "NOT_MAPPED",
        slot.state === "lost"
          ? `"${this.label}" was pinned on a device that is lost; its contents are gone: fill it again on a new device`
          : `"${this.label}" is ${slot.state}: the GPU owns its memory now; await mapped() before you touch it`,
        { label: this.label },
      );
    }
    return slot.memory(this.label);
  }

  /** The mapped memory as elements of `dtype`; throws what {@link memory} throws. */
  array<D extends HostDType>(dtype: D): ArrayOf[D] {
    const count = Math.floor(this.byteLength / hostDtypeInfo(dtype).bytes);
    return arrayOver(dtype, this.memory(), 0, count);
  }

  /**
   * Holds the mapped memory while something that Moorage does not see reads or writes it: the system,
   * a stream, a WebAssembly module. Until the use is disposed, freeing the block or handing it to the
   * GPU throws `IN_USE`. Throws what {@link memory} throws.
   */
  use(): PinnedUse {
    this.memory();
    return new PinnedUse(this);
  }

  /** @internal Throws `IN_USE` while the memory is held. */
  requireUnused(what: string): void {
    if (this.useCount === 0) return;
    throw new LifetimeError(
      "IN_USE",
      `"${this.label}" cannot be ${what}: ${this.useCount} reads or writes of its memory are under way; await them first`,
      { label: this.label },
    );
  }

  /** Ends the mapping, which detaches every array over it, and hands the memory to the GPU. */
  unmap(): MappableBuffer {
    this.memory();
    this.requireUnused("handed to the GPU");
    this.slot.buffer.unmap();
    this.slot.range = null;
    this.slot.state = "in-flight";
    this.slot.idle = false;
    return this.slot.buffer;
  }

  /** The buffer of a readback block, for recording a copy into it. */
  receive(): MappableBuffer {
    const { buffer } = this;
    this.slot.idle = false;
    return buffer;
  }

  /**
   * Maps again once the transfer is submitted, which `urgent` asks for now. Settles when the host may
   * touch the memory.
   */
  map(urgent = true): Promise<void> {
    requireAlive(this, this.heap);
    return this.heap.map(this.slot, urgent);
  }
}

/** Mapped memory that is being read or written; see {@link PinnedBlock.use}. */
export class PinnedUse implements Disposable {
  readonly #block: PinnedBlock;
  #isHeld = true;

  /** @internal */
  constructor(block: PinnedBlock) {
    this.#block = block;
    block.useCount++;
  }

  /** The held bytes. Throws `USE_AFTER_DISPOSE` once the use has ended. */
  bytes(): Uint8Array<ArrayBuffer> {
    if (!this.#isHeld) throw deadHandle(this.#block.label, this.#block.heap.label);
    return this.#block.array("uint8");
  }

  dispose(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#block.useCount--;
    this.#block.heap.released(this.#block);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
