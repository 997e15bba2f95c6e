/**
 * Element types: their size, their typed array on the host, their scalar in WGSL. The host has more of
 * them than the device: what WGSL cannot store is converted before it is uploaded.
 */

import { InvalidArgumentError } from "./errors.ts";

/** The element types that a device tensor can have. */
export type DType = "float32" | "float16" | "int32" | "uint32" | "uint8";

/** The element types of the host: the device's, and those that WGSL has no storage for. */
export type HostDType = DType | "float64" | "int8" | "int16" | "uint16" | "bool";

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
  float64: Float64Array<ArrayBuffer>;
  int8: Int8Array<ArrayBuffer>;
  int16: Int16Array<ArrayBuffer>;
  uint16: Uint16Array<ArrayBuffer>;
  /** A byte of 0 or 1 for each element. */
  bool: Uint8Array<ArrayBuffer>;
}

/** Any typed array that carries a dtype of the device. */
export type HostArray = ArrayOf[DType];

/** What is known of a dtype of the host. */
export interface HostDTypeInfo {
  readonly name: HostDType;
  /** Bytes of one element, which are its alignment too. */
  readonly bytes: number;
  /** The dtype to convert to before an upload; the dtype itself where the device has it. */
  readonly onDevice: DType;
}

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
  float64: Float64Array,
  int8: Int8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  bool: Uint8Array,
} as const;

/** Where a dtype goes that the device lacks: to the nearest that holds every value, or most digits. */
const onDevice: { readonly [D in HostDType]: DType } = {
  float32: "float32",
  float16: "float16",
  int32: "int32",
  uint32: "uint32",
  uint8: "uint8",
  float64: "float32",
  int8: "int32",
  int16: "int32",
  uint16: "uint32",
  bool: "uint8",
};

/** The dtypes in a fixed order. */
export const dtypes: readonly DType[] = ["float32", "float16", "int32", "uint32", "uint8"];

/** The dtypes of the host in a fixed order: the device's first. */
export const hostDtypes: readonly HostDType[] = [
  ...dtypes,
  "float64",
  "int8",
  "int16",
  "uint16",
  "bool",
];

const hostInfos = Object.fromEntries(
  hostDtypes.map((name): [HostDType, HostDTypeInfo] => [
    name,
    { name, bytes: constructors[name].BYTES_PER_ELEMENT, onDevice: onDevice[name] },
  ]),
) as Readonly<Record<string, HostDTypeInfo | undefined>>;

// Without these, "constructor" would be a dtype: every object has one.
for (const table of [infos, constructors, onDevice, hostInfos]) Object.setPrototypeOf(table, null);

/** What is known of `dtype`; throws `UNSUPPORTED_DTYPE` for anything else. O(1). */
export function dtypeInfo(dtype: DType): DTypeInfo {
  const info = infos[dtype] as DTypeInfo | undefined;
  if (info !== undefined) return info;
  const other = onDevice[dtype] as DType | undefined;
  throw new InvalidArgumentError(
    "UNSUPPORTED_DTYPE",
    other === undefined
      ? `"${String(dtype)}" is not a dtype of the device; use one of ${dtypes.join(", ")}`
      : `the device has no ${String(dtype)}; convert to ${other} before the upload: cast("${other}") of a host tensor does`,
  );
}

/** What is known of a dtype of the host; throws `UNSUPPORTED_DTYPE` for anything else. O(1). */
export function hostDtypeInfo(dtype: HostDType): HostDTypeInfo {
  return hostInfos[dtype] ?? notADtype(dtype);
}

/** Apart, so that the functions that look a dtype up stay short, and the engine unfolds them. */
function notADtype(dtype: HostDType): never {
  throw new InvalidArgumentError(
    "UNSUPPORTED_DTYPE",
    `"${String(dtype)}" is not a dtype; use one of ${hostDtypes.join(", ")}`,
  );
}

/**
 * The alignment of a vector of `lanes` elements, in bytes: 16 for four float32, 32 for eight of them.
 * `lanes` is 1, 2, 4, 8 or 16.
 */
export function vectorAlignment(dtype: HostDType, lanes: 1 | 2 | 4 | 8 | 16): number {
  return hostDtypeInfo(dtype).bytes * lanes;
}

/** A typed array of `dtype` over `buffer`. `byteOffset` must be a multiple of the element's size. */
export function arrayOver<D extends HostDType>(
  dtype: D,
  buffer: ArrayBuffer,
  byteOffset: number,
  count: number,
): ArrayOf[D] {
  return new constructors[dtype](buffer, byteOffset, count) as ArrayOf[D];
}

/** A new typed array of `dtype` with `count` elements, all zero. */
export function newArray<D extends HostDType>(dtype: D, count: number): ArrayOf[D] {
  return new constructors[dtype](count) as ArrayOf[D];
}

/** Node's way to memory that is not cleared first. */
const { Buffer: nodeBuffer } = globalThis as {
  readonly Buffer?: { allocUnsafeSlow?(byteLength: number): Uint8Array<ArrayBuffer> };
};

/**
 * A new typed array that holds anything, for who writes every element: where the platform can, its memory
 * is not filled with zeros first, which costs as much as filling it.
 */
export function unfilledArray<D extends HostDType>(dtype: D, count: number): ArrayOf[D] {
  // Pages may have a stand-in for Node's.
  if (typeof nodeBuffer?.allocUnsafeSlow !== "function") return newArray(dtype, count);
  const { buffer } = nodeBuffer.allocUnsafeSlow(count * hostDtypeInfo(dtype).bytes);
  return arrayOver(dtype, buffer, 0, count);
}

/** The name of the typed array that carries `dtype`: what an error tells a user to pass. */
export function arrayName(dtype: HostDType): string {
  return constructors[hostDtypeInfo(dtype).name].name;
}

/**
 * Throws `UNSUPPORTED_DTYPE` unless `array` is the typed array that carries `dtype`
 * (`Uint8ClampedArray` is let through for `uint8`: a canvas gives it).
 */
export function requireArrayOf(dtype: HostDType, array: ArrayBufferView, label: string): void {
  // Nearly always; names are for arrays of another realm.
  if (array.constructor !== constructors[dtype]) requireArrayByName(dtype, array, label);
}

function requireArrayByName(dtype: HostDType, array: ArrayBufferView, label: string): void {
  const { name } = array.constructor;
  if (name === arrayName(dtype) || (dtype === "uint8" && name === "Uint8ClampedArray")) return;
  if (dtype === "float16" && name === "Float16Array") return;
  throw new InvalidArgumentError(
    "UNSUPPORTED_DTYPE",
    `"${label}" has dtype ${dtype}, but was given a ${name}; pass a ${arrayName(dtype)}, or change the dtype`,
    { label },
  );
}
