/** Pinned memory made of GPU buffers: what `host` knows only as something that can be mapped. */

import type { MappableBuffer, MappableSource, PinnedDirection } from "../../host/pinned-block.ts";
import type { CommandStream } from "../stream/command-stream.ts";
import { bufferUsage } from "./gpu-constants.ts";
import type { GpuMemory } from "./gpu-memory.ts";

export class GpuMappableSource implements MappableSource {
  readonly #memory: GpuMemory;
  readonly #stream: () => CommandStream;

  /** `stream` is asked each time: another device has another. */
  constructor(memory: GpuMemory, stream: () => CommandStream) {
    this.#memory = memory;
    this.#stream = stream;
  }

  create(byteLength: number, direction: PinnedDirection, label: string): MappableBuffer {
    this.#stream().requireDevice();
    const isUpload = direction === "upload";
    const managed = this.#memory.create({
      size: byteLength,
      usage: isUpload
        ? bufferUsage.mapWrite | bufferUsage.copySource
        : bufferUsage.mapRead | bufferUsage.copyTarget,
      mappedAtCreation: isUpload,
      label,
    });
    return new MappableGpuBuffer(managed.buffer, byteLength, () => managed.destroy());
  }

  whenSubmitted(urgent: boolean): Promise<void> {
    return this.#stream().whenSubmitted(urgent);
  }
}

class MappableGpuBuffer implements MappableBuffer {
  readonly gpu: GPUBuffer;
  readonly size: number;
  readonly destroy: () => void;

  constructor(gpu: GPUBuffer, size: number, destroy: () => void) {
    this.gpu = gpu;
    this.size = size;
    this.destroy = destroy;
  }

  mapAsync(mode: number): Promise<unknown> {
    return this.gpu.mapAsync(mode);
  }

  getMappedRange(): ArrayBuffer {
    return this.gpu.getMappedRange();
  }

  unmap(): void {
    this.gpu.unmap();
  }
}

/** The GPU buffer behind a mappable one. */
export function gpuBuffer(buffer: MappableBuffer): GPUBuffer {
  return (buffer as MappableGpuBuffer).gpu;
}
