/**
 * The one place where GPU buffers are made. It counts what lives, holds the budget for all of them
 * together, and labels them; nothing else in Moorage calls `createBuffer`.
 */

import { DeviceError, OutOfMemoryError } from "../../host/errors.ts";

/** What the GPU buffers of a runtime come to. */
export interface GpuBufferStats {
  /** Bytes of all live `GPUBuffer`s: slabs, pinned buffers and the parameter ring. */
  readonly liveBytes: number;
  readonly peakBytes: number;
  readonly liveCount: number;
  /** `createBuffer` calls so far. */
  readonly createdCount: number;
}

/** A buffer that {@link GpuMemory} made; destroying it twice is harmless. */
export interface ManagedBuffer {
  readonly buffer: GPUBuffer;
  readonly byteLength: number;
  destroy(): void;
}

export class GpuMemory {
  /** Set anew after a loss. */
  device: GPUDevice;
  /** All buffers together never pass this. */
  readonly budgetBytes: number;
  /** Gives back what is only cached; called before a buffer is refused. */
  reclaim: () => void = () => {};
  #liveBytes = 0;
  #peakBytes = 0;
  #liveCount = 0;
  #createdCount = 0;

  constructor(device: GPUDevice, budgetBytes: number) {
    this.device = device;
    this.budgetBytes = budgetBytes;
  }

  get availableBytes(): number {
    return this.budgetBytes - this.#liveBytes;
  }

  /**
   * A new buffer. Throws `OUT_OF_MEMORY` past the budget and where mapping fails at once; the
   * platform's own out of memory arrives later, through an error scope.
   */
  create(descriptor: GPUBufferDescriptor & { readonly label: string }): ManagedBuffer {
    const { size, label } = descriptor;
    if (size > this.availableBytes) this.reclaim();
    if (size > this.availableBytes) {
      throw new OutOfMemoryError(
        `"${label}" needs a GPU buffer of ${size} bytes, and ${this.availableBytes} are left of the budget of ${this.budgetBytes}; ` +
          "dispose tensors, trim(), or raise budget.totalBytes",
        { requestedBytes: size, availableBytes: this.availableBytes },
        { label },
      );
    }
    let buffer: GPUBuffer;
    try {
      buffer = this.device.createBuffer(descriptor);
    } catch (cause) {
      // A RangeError is how mappedAtCreation reports that there is no memory.
      if (!(cause instanceof RangeError)) {
        throw new DeviceError("DEVICE_ERROR", `the device refused to create "${label}"`, {
          label,
          cause,
        });
      }
      throw new OutOfMemoryError(
        `"${label}" needs a GPU buffer of ${size} bytes, which the platform could not map`,
        { requestedBytes: size, availableBytes: 0 },
        { label, cause },
      );
    }
    this.#createdCount++;
    this.#liveCount++;
    this.#liveBytes += size;
    this.#peakBytes = Math.max(this.#peakBytes, this.#liveBytes);
    let destroyed = false;
    return {
      buffer,
      byteLength: size,
      destroy: () => {
        if (destroyed) return;
        destroyed = true;
        this.#liveCount--;
        this.#liveBytes -= size;
        buffer.destroy();
      },
    };
  }

  stats(): GpuBufferStats {
    return {
      liveBytes: this.#liveBytes,
      peakBytes: this.#peakBytes,
      liveCount: this.#liveCount,
      createdCount: this.#createdCount,
    };
  }
}
