/** What a device allows slabs and blocks to be. */

import { InvalidArgumentError } from "../../host/errors.ts";

export interface SlabLimits {
  /** Every block starts and ends at a multiple of this: the device's binding alignment. */
  readonly granuleBytes: number;
  /** The largest buffer. */
  readonly maxBufferBytes: number;
  /** The largest range that a dispatch can bind. */
  readonly maxBindingBytes: number;
}

export function slabLimits({ limits }: GPUDevice): SlabLimits {
  // Kernels count elements in 32 bits, and sizes are told in whole granules.
  const maxBufferBytes = Math.floor(Math.min(limits.maxBufferSize, 2 ** 32 - 256) / 256) * 256;
  const maxBindingBytes = Math.floor(limits.maxStorageBufferBindingSize / 256) * 256;
  return {
    granuleBytes: Math.max(16, limits.minStorageBufferOffsetAlignment),
    maxBufferBytes,
    maxBindingBytes: Math.min(maxBindingBytes, maxBufferBytes),
  };
}

/** Throws `LIMIT_EXCEEDED` for a block that no buffer is large enough for. */
export function requirePossible(byteLength: number, maxBufferBytes: number, label: string): void {
  if (byteLength > maxBufferBytes) throw impossible(byteLength, maxBufferBytes, label);
}

function impossible(
  byteLength: number,
  maxBufferBytes: number,
  label: string,
): InvalidArgumentError {
  return new InvalidArgumentError(
    "LIMIT_EXCEEDED",
    `"${label}" needs ${byteLength} bytes in one buffer, and this device makes at most ${maxBufferBytes}; split the tensor`,
    { label },
  );
}
