/**
 * Moorage itself under a trace, as a user would drive it: a block is a tensor of `uint8` on the device
 * heap, made by `empty()` and disposed. No memory is touched. What it reserves is counted where buffers
 * are really made, and comprises the runtime's ring of parameters, which no model has.
 */

import type { Runtime, Tensor } from "moorage";

import { copyCounts, deviceCounts, startPeak } from "../core/counting.ts";
import type { Allocator, AllocatorStats } from "./allocator.ts";

export class MoorageAllocator implements Allocator<Tensor<"uint8">> {
  readonly name = "Moorage";
  readonly #runtime: Runtime;
  readonly #createdBefore: number;
  readonly #destroyedBefore: number;
  #liveBytes = 0;
  #allocationCount = 0;

  /** The runtime's device has to be one whose buffers are counted: see `installCounting`. */
  constructor(runtime: Runtime) {
    this.#runtime = runtime;
    startPeak(runtime.device);
    this.#createdBefore = copyCounts(runtime.device).buffersCreated;
    this.#destroyedBefore = destroyedCount(runtime);
  }

  allocate(bytes: number, label: string): Tensor<"uint8"> {
    const tensor = this.#runtime.empty([bytes], { dtype: "uint8", label });
    this.#liveBytes += bytes;
    this.#allocationCount++;
    return tensor;
  }

  free(tensor: Tensor<"uint8">): void {
    this.#liveBytes -= tensor.size;
    tensor.dispose();
  }

  step(): void {
    this.#runtime.flush();
  }

  settle(): Promise<void> {
    return this.#runtime.sync();
  }

  async trim(): Promise<void> {
    // A slab can go once the platform has said that it came to be.
    await this.#runtime.sync();
    this.#runtime.trim();
  }

  stats(): AllocatorStats {
    const { liveBytes, peakBytes, buffersCreated } = deviceCounts(this.#runtime.device);
    const bufferCreates = buffersCreated - this.#createdBefore;
    return {
      reservedBytes: liveBytes,
      peakReservedBytes: peakBytes,
      liveBytes: this.#liveBytes,
      bufferCreates,
      bufferDestroys: destroyedCount(this.#runtime) - this.#destroyedBefore,
      cacheHits: this.#allocationCount - bufferCreates,
    };
  }
}

function destroyedCount(runtime: Runtime): number {
  const { createdCount, liveCount } = runtime.stats().gpuBuffers;
  return createdCount - liveCount;
}
