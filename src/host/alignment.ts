/** Alignment arithmetic, exact for every integer up to 2^53 - 1 (bit operations would stop at 2^31). */

import { InvalidArgumentError } from "./errors.ts";

/** The alignments that have a name, in bytes. */
export const Alignment = {
  /** What a host allocation gets unless it asks for more. */
  default: 8,
  simd128: 16,
  simd256: 32,
  simd512: 64,
  cacheLine: 64,
  page: 4096,
  /** WebGPU: offsets and sizes of buffer copies. */
  copy: 4,
  /** WebGPU: offsets of `mapAsync` and `getMappedRange`. */
  map: 8,
  /** WGSL: `vec4<f32>` in storage memory. */
  vec4: 16,
} as const;

/**
 * The alignment that a device asks of the offset of a buffer binding, in bytes: from its limits, 16 to
 * 256. O(1).
 */
export function bindingAlignment(limits: {
  readonly minStorageBufferOffsetAlignment: number;
  readonly minUniformBufferOffsetAlignment: number;
}): number {
  return Math.max(limits.minStorageBufferOffsetAlignment, limits.minUniformBufferOffsetAlignment);
}

/** Whether `alignment` is a power of two that can be represented exactly. O(1). */
export function isValidAlignment(alignment: number): boolean {
  if (!Number.isSafeInteger(alignment) || alignment < 1) return false;
  // log2 of a power of two is an integer, and exact in binary floating point.
  return 2 ** Math.round(Math.log2(alignment)) === alignment;
}

/**
 * Throws `UNSUPPORTED_ALIGNMENT` unless `alignment` is a power of two.
 * `what` names the request in the message.
 */
export function requireAlignment(alignment: number, what: string): void {
  if (isValidAlignment(alignment)) return;
  throw new InvalidArgumentError(
    "UNSUPPORTED_ALIGNMENT",
    `${what} asked for an alignment of ${alignment} bytes; alignments are powers of two: ask for 1, 2, 4, 8, 16 …`,
    { label: what },
  );
}

/**
 * The smallest multiple of `alignment` that is not below `bytes`.
 * `alignment` must be valid; throws `SIZE_OVERFLOW` where the result would pass 2^53 - 1. O(1).
 */
export function alignUp(bytes: number, alignment: number): number {
  const rest = bytes % alignment;
  if (rest === 0) return bytes;
  const aligned = bytes + (alignment - rest);
  if (aligned > Number.MAX_SAFE_INTEGER) {
    throw new InvalidArgumentError(
      "SIZE_OVERFLOW",
      `${bytes} bytes cannot be rounded up to a multiple of ${alignment}: the result passes 2^53 - 1`,
    );
  }
  return aligned;
}

/** The largest multiple of `alignment` that is not above `bytes`. O(1). */
export function alignDown(bytes: number, alignment: number): number {
  return bytes - (bytes % alignment);
}

/** Whether `bytes` is a multiple of `alignment`. O(1). */
export function isAligned(bytes: number, alignment: number): boolean {
  return bytes % alignment === 0;
}

/** Whether a view starts at a multiple of `alignment` in its buffer. O(1). */
export function isViewAligned(view: ArrayBufferView, alignment: number): boolean {
  return isAligned(view.byteOffset, alignment);
}

/** Bytes in whole 32-bit words: what WebGPU copies. */
export function wordBytes(byteLength: number): number {
  return Math.ceil(byteLength / 4) * 4;
}
