/** A pool of slabs by itself, on a simulated device. */

import { GpuMemory } from "../../src/device/memory/gpu-memory.ts";
import { SlabPool } from "../../src/device/memory/slab-pool.ts";
import type { Place, SlabPoolOptions } from "../../src/device/memory/slab-pool.ts";
import { MiB } from "../../src/index.ts";
import { SimulatedDevice } from "../simulated/simulated-device.ts";

export interface Opened {
  readonly device: SimulatedDevice;
  readonly memory: GpuMemory;
  readonly pool: SlabPool;
}

export function open(options: Partial<SlabPoolOptions> = {}, totalBytes = 1024 * MiB): Opened {
  const device = new SimulatedDevice({
    limits: { maxStorageBufferBindingSize: 64 * MiB, maxBufferSize: 256 * MiB },
  });
  const memory = new GpuMemory(device.asDevice, totalBytes);
  const pool = new SlabPool(memory, { budgetBytes: 8 * MiB, slabBytes: MiB, ...options });
  return { device, memory, pool };
}

export const indices = (places: readonly Place[]): number[] => places.map(({ slab }) => slab.index);

export function free({ slab, node }: Place): void {
  slab.allocator.free(node);
}

/** As the platform's answers come. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
}
