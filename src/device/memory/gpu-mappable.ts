/** Pinned memory made of GPU buffers: what `host` knows only as something that can be mapped. */

import { OutOfMemoryError } from "../../host/errors.ts";
import type { MoorageError } from "../../host/errors.ts";
import type {
  MappableBuffer,
  MappableSource,
  PinnedDirection,
} from "../../host/pinned/pinned-block.ts";
import { bufferUsage } from "./gpu-constants.ts";
import type { GpuMemory } from "./gpu-memory.ts";

/** The part of the command stream that staging waits for, and holds back. */
export interface Submissions {
  requireDevice(): void;
  hold(settled: Promise<void>): void;
  whenSubmitted(urgent: boolean): Promise<void>;
}

/** Told of what is waited for; gives the same promise. */
export type Waiting = <T>(waiting: Promise<T>) => Promise<T>;

export class GpuMappableSource implements MappableSource {
  readonly #memory: GpuMemory;
  readonly #stream: () => Submissions;
  readonly #during: Waiting;

  /** `stream` is asked each time: another device has another. */
  constructor(
    memory: GpuMemory,
    stream: () => Submissions,
    during: Waiting = (waiting) => waiting,
  ) {
    this.#memory = memory;
    this.#stream = stream;
    this.#during = during;
  }

  create(byteLength: number, direction: PinnedDirection, label: string): MappableBuffer {
    this.#stream().requireDevice();
    const isUpload = direction === "upload";
    const { device } = this.#memory;
    let made: MappableGpuBuffer | undefined;
    // Out of memory is reported asynchronously, and one bad buffer would take its whole submission with
    // it: what copies from it or into it is held back until the platform has spoken.
    device.pushErrorScope("out-of-memory");
    try {
      const managed = this.#memory.create({
        size: byteLength,
        usage: isUpload
          ? bufferUsage.mapWrite | bufferUsage.copySource
          : bufferUsage.mapRead | bufferUsage.copyTarget,
        mappedAtCreation: isUpload,
        label,
      });
      made = new MappableGpuBuffer(managed.buffer, byteLength, this.#during, () =>
        managed.destroy(),
      );
    } finally {
      const spoken = device.popErrorScope().then(
        (error) => made?.settle(error),
        (cause: unknown) => made?.settle(cause),
      );
      if (made !== undefined) this.#stream().hold(spoken);
    }
    return made;
  }

  whenSubmitted(urgent: boolean): Promise<void> {
    return this.#stream().whenSubmitted(urgent);
  }
}

/** A `GPUBuffer` that can be mapped; it may turn out that the device had no memory for it. */
export class MappableGpuBuffer implements MappableBuffer {
  failure: MoorageError | null = null;
  readonly gpu: GPUBuffer;
  readonly size: number;
  readonly destroy: () => void;
  readonly #during: Waiting;

  constructor(gpu: GPUBuffer, size: number, during: Waiting, destroy: () => void) {
    this.gpu = gpu;
    this.size = size;
    this.#during = during;
    this.destroy = destroy;
  }

  settle(error: unknown): void {
    if (error === null) return;
    this.failure = new OutOfMemoryError(
      `the device has no memory for a staging buffer of ${this.size} bytes; dispose tensors, or lower the budgets to what the machine has`,
      { requestedBytes: this.size, availableBytes: 0 },
      { cause: error },
    );
  }

  mapAsync(mode: number, byteLength = this.size): Promise<unknown> {
    return this.#during(this.gpu.mapAsync(mode, 0, byteLength));
  }

  getMappedRange(byteLength = this.size): ArrayBuffer {
    return this.gpu.getMappedRange(0, byteLength);
  }

  unmap(): void {
    this.gpu.unmap();
  }
}

/** The GPU buffer behind a mappable one. */
export function gpuBuffer(buffer: MappableBuffer): MappableGpuBuffer {
  return buffer as MappableGpuBuffer;
}
