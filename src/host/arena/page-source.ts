/** Where an arena's memory is from: pages of a pool, or one stretch that is given. */

import { detached } from "../detach.ts";
import { InvalidArgumentError, OutOfMemoryError } from "../errors.ts";
import type { RegionLedger } from "../statistics.ts";
import type { HotAllocation } from "./hot-allocation.ts";

/** A stretch of host memory. */
export interface ArenaPage {
  /** Asked for at each use: a WebAssembly memory that grew has another buffer, at the same offsets. */
  readonly memory: ArrayBuffer;
  /** Bytes from the start of the buffer. */
  readonly start: number;
  readonly size: number;
}

/**
 * What an aligned offset is worth: over WebAssembly memory, whose start is aligned to a page, it is an
 * aligned address; elsewhere JavaScript does not know where a buffer starts.
 */
export type AlignmentKind = "address" | "offset";

export interface PageSource {
  readonly alignmentKind: AlignmentKind;
  /** Counts all arenas over this source together. */
  readonly ledger: RegionLedger | null;
  /** Bytes that further pages could have. */
  readonly availableBytes: number;
  /** A page of at least `byteLength` bytes of old contents; throws an `OutOfMemoryError`. */
  lease(byteLength: number, label: string): ArenaPage;
  giveBack(page: ArenaPage): void;
  /** The arena keeps a page, and everything that was in it has ended. */
  keep(page: ArenaPage): void;
}

/** What an arena can lie in. A shared buffer is seen through typed arrays that share it. */
export type ArenaMemory = ArrayBuffer | SharedArrayBuffer | WebAssembly.Memory;

/** The buffer of a memory as it is now. */
function bufferOf(memory: ArenaMemory): ArrayBuffer {
  // Typed arrays take either kind of buffer; the types of this package name the common one.
  return ("buffer" in memory ? memory.buffer : memory) as ArrayBuffer;
}

/** One page, leased by one arena at a time. */
abstract class SinglePage implements PageSource, ArenaPage {
  readonly ledger = null;
  readonly alignmentKind: AlignmentKind;
  readonly start: number;
  readonly size: number;
  readonly #label: string;
  #isLeased = false;

  constructor(start: number, size: number, label: string, alignmentKind: AlignmentKind) {
    this.alignmentKind = alignmentKind;
    this.start = start;
    this.size = size;
    this.#label = label;
  }

  abstract readonly memory: ArrayBuffer;

  get availableBytes(): number {
    return this.#isLeased ? 0 : this.size;
  }

  lease(byteLength: number, label: string): ArenaPage {
    if (this.#isLeased || byteLength > this.size) {
      throw exhausted(this.#label, byteLength, this.availableBytes, label);
    }
    this.#isLeased = true;
    return this;
  }

  giveBack(): void {
    this.#isLeased = false;
  }

  keep(): void {}
}

/** A page over memory that somebody else owns. */
export class GivenPage extends SinglePage {
  readonly #memory: ArenaMemory;

  /** Throws `INVALID_ARGUMENT` for a range that the memory does not have. */
  constructor(memory: ArenaMemory, byteOffset: number, byteLength: number, label: string) {
    const there = bufferOf(memory).byteLength;
    const isRange =
      Number.isSafeInteger(byteOffset) && Number.isSafeInteger(byteLength) && byteOffset >= 0;
    if (!isRange || byteLength < 1 || byteOffset + byteLength > there) {
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `${label} was to lie in bytes ${byteOffset} to ${byteOffset + byteLength} of memory that has ${there}; give a range inside it`,
        { label },
      );
    }
    super(byteOffset, byteLength, label, "buffer" in memory ? "address" : "offset");
    this.#memory = memory;
  }

  override get memory(): ArrayBuffer {
    return bufferOf(this.#memory);
  }
}

/** A page inside another arena. */
export class CarvedPage extends SinglePage {
  readonly #piece: HotAllocation;

  constructor(piece: HotAllocation) {
    super(piece.byteOffset, piece.byteLength, piece.label, piece.arena.alignmentKind);
    this.#piece = piece;
  }

  override get memory(): ArrayBuffer {
    return this.#piece.memory;
  }
}

/** A page of memory of its own. */
export class FixedPage extends SinglePage {
  override memory: ArrayBuffer;
  readonly #isStrict: boolean;

  constructor(byteLength: number, isStrict: boolean, label: string) {
    super(0, byteLength, label, "offset");
    if (!(Number.isSafeInteger(byteLength) && byteLength > 0)) {
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `${label} was to have ${byteLength} bytes; give a positive whole number`,
        { label },
      );
    }
    try {
      this.memory = new ArrayBuffer(byteLength);
    } catch (cause) {
      throw new OutOfMemoryError(
        `${label} was to have ${byteLength} bytes, and the engine refused; ask for less`,
        { requestedBytes: byteLength, availableBytes: 0 },
        { label, cause },
      );
    }
    this.#isStrict = isStrict;
  }

  override giveBack(): void {
    super.giveBack();
    this.keep();
  }

  override keep(): void {
    if (this.#isStrict) this.memory = detached(this.memory);
  }
}

function exhausted(
  region: string,
  requestedBytes: number,
  availableBytes: number,
  label: string,
): OutOfMemoryError {
  return new OutOfMemoryError(
    `"${label}" asked ${region} for ${requestedBytes} bytes, and it has no room left for them; reset it, make it larger, or use a growing arena`,
    { requestedBytes, availableBytes },
    { label, code: "REGION_EXHAUSTED" },
  );
}
