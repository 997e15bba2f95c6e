/** A handle to a block of a general heap: it stays the same wherever the block moves. */

import type { ArrayOf, HostDType } from "../dtype.ts";
import { deadHandle } from "../region.ts";
import type { Allocation } from "../region.ts";
import type { GeneralHeap } from "./general-heap.ts";

export interface PinOptions {
  /**
   * The pin will last: the block moves now, once, to a region of pinned blocks, where it keeps no other
   * block from moving. Typed arrays over it from before show its former place: ask for them again.
   */
  readonly long?: boolean;
}

/** Keeps a block where it is, and alive, until it is disposed. */
export class Pin implements Disposable {
  readonly #block: GeneralBlock;
  #isHeld = true;

  /** @internal */
  constructor(block: GeneralBlock) {
    this.#block = block;
    block.heap.duties?.owe(this, "pin", block.label);
  }

  /** The block's bytes, in their place until the pin ends. Throws `USE_AFTER_DISPOSE` after it. */
  bytes(): Uint8Array<ArrayBuffer> {
    return this.array("uint8");
  }

  array<D extends HostDType>(dtype: D): ArrayOf[D] {
    if (!this.#isHeld) throw deadHandle(`pin of ${this.#block.label}`, this.#block.heap.label);
    return this.#block.heap.arrayOf(this.#block, dtype);
  }

  dispose(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#block.heap.duties?.paid(this);
    this.#block.heap.unpin(this.#block);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

export class GeneralBlock implements Allocation, Disposable {
  readonly label: string;
  readonly byteLength: number;
  /** @internal */
  readonly heap: GeneralHeap;
  /** @internal The entry of the heap's table. */
  readonly index: number;
  /** @internal */
  readonly generation: number;
  /** @internal The latest typed array over the block, and where it lay then. */
  view: ArrayOf[HostDType] | null = null;
  /** @internal */
  viewDtype: HostDType | null = null;
  /** @internal */
  isDisposed = false;
  /** @internal Whether the engine tells the heap when the handle becomes unreachable. */
  isRegistered = false;

  /** @internal */
  constructor(heap: GeneralHeap, index: number, byteLength: number, label: string) {
    this.heap = heap;
    this.index = index;
    this.generation = heap.table.generation[index]!;
    this.byteLength = byteLength;
    this.label = label;
  }

  get isAlive(): boolean {
    return !this.isDisposed && this.heap.table.generation[this.index] === this.generation;
  }

  /** Bytes from the start of the region that holds the block now; it changes when the block moves. */
  get byteOffset(): number {
    this.requireAlive();
    return this.heap.table.offset[this.index]!;
  }

  get isPinned(): boolean {
    this.requireAlive();
    return this.heap.table.pins[this.index]! > 0;
  }

  /**
   * The block's bytes. The array keeps the block alive, `subarray` of it does not. It holds until the
   * next safe point: a block that moved leaves it with length 0 once its old region is emptied, so ask
   * anew instead of keeping it, or pin the block.
   */
  bytes(): Uint8Array<ArrayBuffer> {
    return this.array("uint8");
  }

  /** The block as elements of `dtype`, as many as fit; what is said of {@link bytes} holds. */
  array<D extends HostDType>(dtype: D): ArrayOf[D] {
    this.requireAlive();
    return this.heap.arrayOf(this, dtype);
  }

  /** Keeps the block in its place until the pin is disposed. */
  pin(options: PinOptions = {}): Pin {
    this.requireAlive();
    return this.heap.pin(this, options);
  }

  /** A second owner of the same block, with an end of its own. */
  retain(): GeneralBlock {
    this.requireAlive();
    return this.heap.retain(this);
  }

  /** Ends this owner now instead of when the engine finds it unreachable. Twice is harmless. */
  dispose(): void {
    if (this.isAlive) this.heap.free(this);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @internal */
  requireAlive(): void {
    if (!this.isAlive) throw deadHandle(this.label, this.heap.label);
  }
}
