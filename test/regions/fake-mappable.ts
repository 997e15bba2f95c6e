/** Mappable buffers in plain memory, with the rules of WebGPU's, and switches to make them fail. */

import type {
  MappableBuffer,
  MappableSource,
  PinnedDirection,
} from "../../src/host/pinned/pinned-block.ts";

/** A buffer without a GPU. Misuse throws, as the platform would. */
export class FakeBuffer implements MappableBuffer {
  readonly size: number;
  readonly direction: PinnedDirection;
  isDestroyed = false;
  isMapped: boolean;
  readonly #source: FakeSource;
  readonly #memory: ArrayBuffer;
  #range: ArrayBuffer | null = null;

  constructor(source: FakeSource, size: number, direction: PinnedDirection) {
    this.#source = source;
    this.size = size;
    this.direction = direction;
    this.isMapped = direction === "upload";
    this.#memory = new ArrayBuffer(size);
  }

  async mapAsync(mode: number): Promise<void> {
    if (this.isMapped || this.isDestroyed) throw new Error("mapAsync of a mapped or dead buffer");
    if (mode !== (this.direction === "upload" ? 2 : 1)) throw new Error(`map mode ${mode}`);
    await this.#source.mapping();
    if (this.isDestroyed) throw new Error("destroyed while mapping");
    this.isMapped = true;
  }

  getMappedRange(): ArrayBuffer {
    if (!this.isMapped || this.#range !== null) throw new Error("no range, or taken twice");
    this.#range = this.#memory.slice();
    return this.#range;
  }

  unmap(): void {
    if (!this.isMapped || this.isDestroyed) throw new Error("unmap of an unmapped buffer");
    if (this.#range !== null) {
      new Uint8Array(this.#memory).set(new Uint8Array(this.#range));
      // Detaches it, as unmapping does.
      structuredClone(this.#range, { transfer: [this.#range] });
    }
    this.#range = null;
    this.isMapped = false;
  }

  destroy(): void {
    if (this.isDestroyed) throw new Error("destroyed twice");
    this.isDestroyed = true;
    this.#source.alive.delete(this);
  }
}

export class FakeSource implements MappableSource {
  readonly alive = new Set<FakeBuffer>();
  createdCount = 0;
  /** Thrown by the next `create`. */
  refusal: Error | null = null;
  /** What every `mapAsync` rejects with. */
  mapFailure: Error | null = null;
  #gate: Promise<void> = Promise.resolve();
  #open: () => void = () => {};

  create(byteLength: number, direction: PinnedDirection): FakeBuffer {
    const { refusal } = this;
    this.refusal = null;
    if (refusal !== null) throw refusal;
    const buffer = new FakeBuffer(this, byteLength, direction);
    this.alive.add(buffer);
    this.createdCount++;
    return buffer;
  }

  get aliveBytes(): number {
    return [...this.alive].reduce((bytes, { size }) => bytes + size, 0);
  }

  async whenSubmitted(): Promise<void> {}

  /** Holds every mapping back until {@link release}. */
  holdMappings(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  release(): void {
    this.#open();
    this.#gate = Promise.resolve();
  }

  async mapping(): Promise<void> {
    await this.#gate;
    if (this.mapFailure !== null) throw this.mapFailure;
  }
}
