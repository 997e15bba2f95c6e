import { expect, test } from "vitest";

import { PagePool } from "../../src/host/arena/page-pool.ts";
import {
  DeviceError,
  InvalidArgumentError,
  KernelError,
  LifetimeError,
  MoorageError,
  OutOfMemoryError,
} from "../../src/host/errors.ts";
import { deadHandle, doubleFree, foreignHandle } from "../../src/host/region.ts";
import { caught } from "../support/caught.ts";

const sizes = { requestedBytes: 10, availableBytes: 3 };
const family: readonly [string, MoorageError][] = [
  ["InvalidArgumentError", new InvalidArgumentError("SIZE_OVERFLOW", "fact")],
  ["LifetimeError", new LifetimeError("NOT_MAPPED", "fact")],
  ["DeviceError", new DeviceError("DEVICE_LOST", "fact")],
  ["OutOfMemoryError", new OutOfMemoryError("fact", sizes)],
  ["KernelError", new KernelError("KERNEL_COMPILATION", "fact")],
];

test.each(family)("%s is an Error of the family, under its own name", (name, error) => {
  expect(error).toBeInstanceOf(MoorageError);
  expect(error).toBeInstanceOf(Error);
  expect(error.name).toBe(name);
  expect(String(error)).toBe(`${name}: fact`);
  expect(error.stack).toContain("errors.test.ts");
  // Absent, and not there with the value undefined: consoles print a cause that is there.
  expect("cause" in error).toBe(false);
  expect(error.label).toBeUndefined();
});

test("what the platform threw is the cause, whatever it is", () => {
  for (const cause of [new RangeError("no memory"), "text", 0, null, false]) {
    const error = new DeviceError("DEVICE_ERROR", "refused", { label: "slab 1", cause });
    expect(error).toMatchObject({ code: "DEVICE_ERROR", label: "slab 1", message: "refused" });
    expect(error.cause).toBe(cause);
  }
});

test("running out of memory carries both numbers, and one of two codes", () => {
  expect(new OutOfMemoryError("m", sizes)).toMatchObject({ ...sizes, code: "OUT_OF_MEMORY" });
  const fixed = new OutOfMemoryError("m", sizes, { code: "REGION_EXHAUSTED", label: "ring" });
  expect(fixed).toMatchObject({ ...sizes, code: "REGION_EXHAUSTED", label: "ring" });
});

test("a kernel's messages keep their lines", () => {
  const messages = [{ type: "error", message: "no ;", line: 3, column: 7 }] as const;
  const error = new KernelError("KERNEL_COMPILATION", "m", { messages, label: "k" });
  expect(error.messages).toEqual(messages);
  expect(new KernelError("KERNEL_VALIDATION", "m").messages).toEqual([]);
});

test.each([
  ["USE_AFTER_DISPOSE", deadHandle],
  ["DOUBLE_FREE", doubleFree],
  ["FOREIGN_HANDLE", foreignHandle],
] as const)("%s names the handle and the region", (code, make) => {
  const error = make("weights", "device heap");
  expect(error).toBeInstanceOf(LifetimeError);
  expect(error).toMatchObject({ code, label: "weights" });
  expect(error.message).toContain('"weights"');
  expect(error.message).toContain("device heap");
});

test("where the engine has no memory, its error is the cause and the numbers are the budget's", () => {
  const pool = new PagePool({ budgetBytes: Number.MAX_SAFE_INTEGER });
  const error = caught(() => pool.lease(2 ** 50, "huge"));
  expect(error).toBeInstanceOf(OutOfMemoryError);
  expect(error).toMatchObject({ code: "OUT_OF_MEMORY", label: "huge", requestedBytes: 2 ** 50 });
  expect(error.cause).toBeInstanceOf(RangeError);
  expect(pool.ledger.stats().reservedBytes).toBe(0);
});
