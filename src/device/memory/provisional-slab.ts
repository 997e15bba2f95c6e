/**
 * A slab that may turn out not to exist: out of memory is reported asynchronously. Until the platform has
 * spoken the slab is provisional, and the command stream holds back whatever is recorded.
 */

import { DeviceError, OutOfMemoryError } from "../../host/errors.ts";
import type { MoorageError } from "../../host/errors.ts";
import { bufferUsage } from "./gpu-constants.ts";
import type { GpuMemory } from "./gpu-memory.ts";
import { Slab } from "./slab.ts";

export interface ProvisionalSlabOptions {
  readonly size: number;
  readonly index: number;
  readonly serial: number;
  readonly granuleBytes: number;
  /** Who needed it, for the error. */
  readonly label: string;
  /** Told of a slab whose failure is set. */
  readonly onRefused: (slab: Slab) => void;
}

/** Makes a slab; `settled` is when the platform has said whether it is there. Throws what creating throws. */
export function provisionalSlab(
  memory: GpuMemory,
  { size, index, serial, granuleBytes, label, onRefused }: ProvisionalSlabOptions,
): { readonly slab: Slab; readonly settled: Promise<void> } {
  const { device } = memory;
  let slab: Slab | undefined;
  const settle = (error: unknown): void => {
    if (slab === undefined) return;
    slab.isReady = error === null;
    if (error === null) return;
    slab.failure = failureOf(slab, error, label);
    onRefused(slab);
  };
  let settled: Promise<void>;
  device.pushErrorScope("out-of-memory");
  try {
    const managed = memory.create({
      size,
      usage: bufferUsage.storage | bufferUsage.copySource | bufferUsage.copyTarget,
      label: `moorage slab ${serial}`,
    });
    slab = new Slab(managed, index, serial, granuleBytes);
  } finally {
    settled = device.popErrorScope().then(settle, settle);
  }
  return { slab, settled };
}

function failureOf({ byteLength }: Slab, error: unknown, label: string): MoorageError {
  if ((error as object).constructor.name === "GPUOutOfMemoryError") {
    return new OutOfMemoryError(
      `"${label}" needed a new slab of ${byteLength} bytes, and the device has no memory for it; ` +
        "dispose tensors, or lower budget.deviceBytes to what the machine has",
      { requestedBytes: byteLength, availableBytes: 0 },
      { label, cause: error },
    );
  }
  return new DeviceError("DEVICE_LOST", `the device was lost while "${label}" got its memory`, {
    label,
    cause: error,
  });
}
