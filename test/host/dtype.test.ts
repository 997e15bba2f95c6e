import { expect, test } from "vitest";

import {
  arrayName,
  arrayOver,
  dtypeInfo,
  dtypes,
  hostDtypeInfo,
  hostDtypes,
  newArray,
  requireArrayOf,
  vectorAlignment,
} from "../../src/host/dtype.ts";
import type { DType, HostDType } from "../../src/host/dtype.ts";
import { caught, codeOf } from "../support/caught.ts";

const table: readonly [DType, number, string, string][] = [
  ["float32", 4, "f32", "Float32Array"],
  ["float16", 2, "f32", "Uint16Array"],
  ["int32", 4, "i32", "Int32Array"],
  ["uint32", 4, "u32", "Uint32Array"],
  ["uint8", 1, "u32", "Uint8Array"],
];

test("the list of dtypes is complete", () => {
  expect([...dtypes].sort()).toEqual(table.map(([name]) => name).sort());
});

test.each(table)("%s: size, words, scalar and array", (dtype, bytes, scalar, array) => {
  expect(dtypeInfo(dtype)).toMatchObject({ name: dtype, bytes, perWord: 4 / bytes, scalar });
  expect(arrayName(dtype)).toBe(array);
  const made = newArray(dtype, 5);
  expect(made.constructor.name).toBe(array);
  expect(made.byteLength).toBe(5 * bytes);
  expect([...made]).toEqual([0, 0, 0, 0, 0]);
});

test("every dtype has an id of its own", () => {
  expect(new Set(dtypes.map((dtype) => dtypeInfo(dtype).id)).size).toBe(dtypes.length);
});

test.each(table)("%s: an array over memory shares it", (dtype, bytes) => {
  const buffer = new ArrayBuffer(64);
  const array = arrayOver(dtype, buffer, 8, 3);
  expect(array).toMatchObject({ byteOffset: 8, length: 3 });
  expect(array.buffer).toBe(buffer);
  array[2] = 7;
  const copy = arrayOver(dtype, buffer.slice(8 + 2 * bytes), 0, 1);
  expect(copy[0]).toBe(7);
});

test.each(["", "Float32", "int64", undefined, null, "constructor", "toString", "__proto__"])(
  "%j is refused with the list of what there is",
  (name) => {
    const error = caught(() => dtypeInfo(name as DType));
    expect(codeOf(() => hostDtypeInfo(name as DType))).toBe("UNSUPPORTED_DTYPE");
    expect(error.code).toBe("UNSUPPORTED_DTYPE");
    expect(error.message).toContain(String(name));
    for (const dtype of dtypes) expect(error.message).toContain(dtype);
    expect(codeOf(() => requireArrayOf(name as DType, new Float32Array(1), "x"))).toBe(
      "UNSUPPORTED_DTYPE",
    );
  },
);

const arrays = [
  new Float32Array(1),
  new Float64Array(1),
  new Int8Array(1),
  new Uint8Array(1),
  new Uint8ClampedArray(1),
  new Int16Array(1),
  new Uint16Array(1),
  new Int32Array(1),
  new Uint32Array(1),
  new BigInt64Array(1),
  new DataView(new ArrayBuffer(8)),
];

test.each(table)("%s takes its own array, and refuses all others by name", (dtype, ...rest) => {
  const own = rest[2];
  for (const array of arrays) {
    const { name } = array.constructor;
    const isRight = name === own || (dtype === "uint8" && name === "Uint8ClampedArray");
    if (isRight) {
      expect(() => requireArrayOf(dtype, array, "x")).not.toThrow();
      continue;
    }
    const error = caught(() => requireArrayOf(dtype, array, "image"));
    expect(error).toMatchObject({ code: "UNSUPPORTED_DTYPE", label: "image" });
    for (const word of ["image", dtype, name, own]) expect(error.message).toContain(word);
  }
});

test("a Float16Array is a float16 array where the engine has one", () => {
  class Float16Array extends Uint16Array {}
  expect(() => requireArrayOf("float16", new Float16Array(1), "x")).not.toThrow();
  expect(codeOf(() => requireArrayOf("float32", new Float16Array(1), "x"))).toBe(
    "UNSUPPORTED_DTYPE",
  );
});

const hostOnly: readonly [HostDType, number, string, DType][] = [
  ["float64", 8, "Float64Array", "float32"],
  ["int8", 1, "Int8Array", "int32"],
  ["int16", 2, "Int16Array", "int32"],
  ["uint16", 2, "Uint16Array", "uint32"],
  ["bool", 1, "Uint8Array", "uint8"],
];

test("the host has every dtype of the device, and those that WGSL lacks", () => {
  expect(hostDtypes).toEqual([...dtypes, ...hostOnly.map(([name]) => name)]);
  for (const dtype of dtypes) {
    expect(hostDtypeInfo(dtype)).toEqual({
      name: dtype,
      bytes: dtypeInfo(dtype).bytes,
      onDevice: dtype,
    });
  }
  expect(codeOf(() => hostDtypeInfo("int64" as HostDType))).toBe("UNSUPPORTED_DTYPE");
});

test.each(hostOnly)(
  "%s is the host's alone: the device names the cast",
  (dtype, bytes, array, cast) => {
    expect(hostDtypeInfo(dtype)).toEqual({ name: dtype, bytes, onDevice: cast });
    expect(newArray(dtype, 3).constructor.name).toBe(array);
    const error = caught(() => dtypeInfo(dtype as DType));
    expect(error.code).toBe("UNSUPPORTED_DTYPE");
    expect(error.message).toContain(`cast("${cast}")`);
  },
);

test("vectors of four and eight float32 are aligned to 16 and 32 bytes", () => {
  expect([1, 4, 8].map((lanes) => vectorAlignment("float32", lanes as 1 | 4 | 8))).toEqual([
    4, 16, 32,
  ]);
  expect(vectorAlignment("float64", 8)).toBe(64);
  expect(vectorAlignment("uint8", 16)).toBe(16);
});
