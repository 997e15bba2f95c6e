/** A tensor over pinned memory: what the host writes before an upload, or reads after a download. */

import { arrayOver } from "../dtype.ts";
import type { ArrayOf, DType } from "../dtype.ts";
import { shapeText } from "../layout.ts";
import type { Layout, Shape } from "../layout.ts";
import { deadHandle } from "../region.ts";
import type { PinnedBlock, PinnedDirection, PinnedState } from "./pinned-block.ts";

export interface PinnedTensorOptions<D extends DType = DType> {
  /** Elements along each axis. */
  readonly shape: Shape;
  readonly dtype: D;
  /** Names the tensor in errors and reports. */
  readonly label?: string;
  /** Default `upload`: mapped at once, to be written. */
  readonly direction?: PinnedDirection;
}

export class PinnedTensor<D extends DType = DType> implements Disposable {
  readonly dtype: D;
  readonly label: string;
  /** Row-major. */
  readonly layout: Layout;
  readonly #block: PinnedBlock;
  #array: ArrayOf[D] | null = null;
  #disposed = false;

  /** @internal */
  constructor(block: PinnedBlock, layout: Layout, dtype: D, label: string) {
    this.#block = block;
    this.layout = layout;
    this.dtype = dtype;
    this.label = label;
  }

  get shape(): Shape {
    return this.layout.shape;
  }

  get byteLength(): number {
    return this.#block.byteLength;
  }

  get state(): PinnedState | "disposed" {
    return this.#disposed ? "disposed" : this.#block.state;
  }

  /** @internal Its memory, alive or not. */
  get allocation(): PinnedBlock {
    return this.#block;
  }

  /** @internal The block, or null once this owner has ended. */
  get blockOrNull(): PinnedBlock | null {
    return this.#disposed ? null : this.#block;
  }

  /** @internal The block, checked to be this tensor's still. */
  get block(): PinnedBlock {
    if (this.#disposed) throw deadHandle(this.label, "pinned heap");
    return this.#block;
  }

  /**
   * The elements: a real typed array over the mapped buffer. Throws `NOT_MAPPED` while the GPU owns
   * the memory. An array kept from before has length 0 after an upload: the platform detaches it.
   */
  get data(): ArrayOf[D] {
    const memory = this.block.memory();
    if (this.#array?.buffer !== memory) {
      this.#array = arrayOver(this.dtype, memory, 0, this.layout.count);
    }
    return this.#array;
  }

  /**
   * Settles when the host may use {@link data} again: at once, or when the transfer is done. Rejects
   * with `NOT_MAPPED` where the device was lost, or the runtime was disposed, and with `OUT_OF_MEMORY` where
   * it turned out that the device has no memory for it.
   */
  async mapped(): Promise<this> {
    await this.block.map();
    return this;
  }

  /** A second owner of the same memory, with an end of its own. */
  retain(): PinnedTensor<D> {
    this.block.references++;
    const other = new PinnedTensor(this.#block, this.layout, this.dtype, this.label);
    this.#block.heap.duties?.owe(other, "pinned", this.label);
    return other;
  }

  /**
   * Ends this owner; the memory goes back to the pool with the last one, once the GPU is done. Without
   * an upload before it is still mapped then: drop arrays over it, the next tensor may write there.
   */
  dispose(): void {
    if (this.#disposed) return;
    // Throws while its memory is read or written; it can be disposed after that.
    this.#block.heap.free(this.#block);
    this.#block.heap.duties?.paid(this);
    this.#disposed = true;
    this.#array = null;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return `PinnedTensor ${this.dtype}${shapeText(this.shape)} "${this.label}" (pinned, ${this.state})`;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}
