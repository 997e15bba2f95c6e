/** Element types: their size, their typed array on the host, their scalar in WGSL. */

import { InvalidArgumentError } from "./errors.ts";

/** The element types that a device tensor can have. */
export type DType = "float32" | "float16" | "int32" | "uint32" | "uint8";

/** The WGSL scalar that a kernel sees when it loads an element. */
export type WgslScalar = "f32" | "i32" | "u32";

/**
 * The typed array that carries a dtype on the host. `float16` travels as its raw bits, because
 * not every engine has `Float16Array`.
 */
export interface ArrayOf {
  float32: Float32Array<ArrayBuffer>;
  float16: Uint16Array<ArrayBuffer>;
  int32: Int32Array<ArrayBuffer>;
  uint32: Uint32Array<ArrayBuffer>;
  uint8: Uint8Array<ArrayBuffer>;
}

/** Any typed array that carries a dtype. */
export type HostArray = ArrayOf[DType];

/** What is known of a dtype. */
export interface DTypeInfo {
  readonly name: DType;
  /** Bytes of one element. */
  readonly bytes: number;
  /** Elements in one 32-bit word: WGSL stores nothing smaller than a word. */
  readonly perWord: number;
  readonly scalar: WgslScalar;
  /** A number unlike that of every other dtype, for keys. */
  readonly id: number;
}

const infos: { readonly [D in DType]: DTypeInfo } = {
  float32: { name: "float32", bytes: 4, perWord: 1, scalar: "f32", id: 0 },
  // Loaded and computed as f32 through pack2x16float, so that adapters without shader-f16 have it.
  float16: { name: "float16", bytes: 2, perWord: 2, scalar: "f32", id: 1 },
  int32: { name: "int32", bytes: 4, perWord: 1, scalar: "i32", id: 2 },
  uint32: { name: "uint32", bytes: 4, perWord: 1, scalar: "u32", id: 3 },
  uint8: { name: "uint8", bytes: 1, perWord: 4, scalar: "u32", id: 4 },
};

const constructors = {
  float32: Float32Array,
  float16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  uint8: Uint8Array,
} as const;

/** The dtypes in a fixed order. */
export const dtypes: readonly DType[] = ["float32", "float16", "int32", "uint32", "uint8"];

/** What is known of `dtype`; throws `UNSUPPORTED_DTYPE` for anything else. O(1). */
export function dtypeInfo(dtype: DType): DTypeInfo {
  const info = infos[dtype] as DTypeInfo | undefined;
  if (info !== undefined) return info;
  throw new InvalidArgumentError(
    "UNSUPPORTED_DTYPE",
    `"${String(dtype)}" is not a dtype of the device; use one of ${dtypes.join(", ")}`,
  );
}

/** A typed array of `dtype` over `buffer`. `byteOffset` must be a multiple of the element's size. */
export function arrayOver<D extends DType>(
  dtype: D,
  buffer: ArrayBuffer,
  byteOffset: number,
  count: number,
): ArrayOf[D] {
  return new constructors[dtype](buffer, byteOffset, count) as ArrayOf[D];
}

/** A new typed array of `dtype` with `count` elements, all zero. */
export function newArray<D extends DType>(dtype: D, count: number): ArrayOf[D] {
  return new constructors[dtype](count) as ArrayOf[D];
}

/** The name of the typed array that carries `dtype`: what an error tells a user to pass. */
export function arrayName(dtype: DType): string {
  return constructors[dtypeInfo(dtype).name].name;
}

/**
 * Throws `UNSUPPORTED_DTYPE` unless `array` is the typed array that carries `dtype`
 * (`Uint8ClampedArray` is let through for `uint8`: a canvas gives it).
 */
export function requireArrayOf(dtype: DType, array: ArrayBufferView, label: string): void {
  const { name } = array.constructor;
  if (name === arrayName(dtype) || (dtype === "uint8" && name === "Uint8ClampedArray")) return;
  if (dtype === "float16" && name === "Float16Array") return;
  throw new InvalidArgumentError(
    "UNSUPPORTED_DTYPE",
    `"${label}" has dtype ${dtype}, but was given a ${name}; pass a ${arrayName(dtype)}, or change the dtype`,
    { label },
  );
}
