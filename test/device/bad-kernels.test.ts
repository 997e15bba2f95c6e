/** A kernel that does not compile, or that the device refuses, is an error at its own call, and harms nothing else. */

import { defineElementwise, defineKernel, KernelError } from "moorage";
import type { MoorageError, Tensor } from "moorage";
import { afterEach, describe, expect, test } from "vitest";

import { useRuntime } from "../harness.ts";

const told: MoorageError[] = [];
const rt = useRuntime({ onError: (error) => told.push(error) });
afterEach(() => {
  told.length = 0;
});

let serial = 0;
/** A kernel that no test has run before. */
const broken = () =>
  defineElementwise({
    label: `broken ${++serial}`,
    inputs: ["x"],
    output: "float32",
    body: "let y = x + 1.0;\nlet z = y * nothing;\nreturn z;",
  });
const fine = () =>
  defineElementwise({
    label: `fine ${++serial}`,
    inputs: ["x"],
    output: "float32",
    expression: "x * 2.0",
  });
const entry = (wgsl: string, workgroup: readonly [number, number?, number?] = [64]) =>
  defineKernel({
    label: `entry ${++serial}`,
    inputs: { x: "float32" },
    outputs: { y: "float32" },
    workgroup,
    wgsl,
  });
const ones = (): Tensor<"float32"> => rt().full([8], 1, { dtype: "float32" });
const all = (value: number): number[] => Array.from({ length: 8 }, () => value);

async function errorOf(promise: Promise<unknown>): Promise<KernelError> {
  const error: unknown = await promise.then(
    () => expect.fail("it did not reject"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(KernelError);
  return error as KernelError;
}

describe("a kernel that does not compile", () => {
  test("says where, in the author's lines, with the stack of the call", async () => {
    using x = ones();
    using bad = rt().map(broken(), [x]);
    const error = await errorOf(bad.data());
    expect(error).toMatchObject({ code: "KERNEL_COMPILATION", name: "KernelError" });
    expect(error.messages.find(({ type }) => type === "error")).toMatchObject({
      line: 2,
      column: 13,
    });
    expect(error.message).toMatch(/"broken \d+".*line 2.*nothing/);
    expect(error.stack).toContain("bad-kernels.test.ts");
    expect(bad.state).toBe("failed");
    // Who has read it has been told.
    bad.dispose();
    expect(told).toEqual([]);
  });

  test("is told to onError where nobody reads it", async () => {
    using x = ones();
    const bad = rt().map(broken(), [x]);
    const also = rt().add(bad, 1);
    await rt().sync();
    bad.dispose();
    also.dispose();
    await rt().sync();
    expect(told.map(({ code }) => code)).toEqual(["KERNEL_COMPILATION"]);
  });

  test("also one written as an expression, and one with a whole entry point", async () => {
    using x = ones();
    const short = defineElementwise({
      label: "short",
      inputs: ["x"],
      output: "float32",
      expression: "x + nothing",
    });
    using bad = rt().map(short, [x]);
    const error = await errorOf(bad.data());
    expect(error.messages[0]).toMatchObject({ type: "error", line: 1, column: 5 });
    const whole = entry(
      "@compute @workgroup_size(64)\nfn main(@builtin(global_invocation_id) id: vec3<u32>) {\n  y_set(id.x, x_get(id.x, 1u));\n}",
    );
    const { y } = rt().run(whole, { inputs: { x }, shapes: { y: [8] }, invocations: [8] });
    const second = await errorOf(y.data());
    expect(second.messages[0]).toMatchObject({ type: "error", line: 3 });
    y.dispose();
  });

  test("harms nothing recorded before it, in between, or after it in the same task", async () => {
    using x = ones();
    using before = rt().add(x, 1);
    using first = rt().map(broken(), [x]);
    using between = rt().map(fine(), [before]);
    using second = rt().map(broken(), [before]);
    using after = rt().multiply(between, 3);
    using late = rt().tensor(new Float32Array(8).fill(9), { shape: [8], dtype: "float32" });
    const failures = [errorOf(first.data()), errorOf(second.data())];
    expect(await before.toArray()).toEqual(all(2));
    expect(await between.toArray()).toEqual(all(4));
    expect(await after.toArray()).toEqual(all(12));
    expect(await late.toArray()).toEqual(all(9));
    const [one, two] = await Promise.all(failures);
    expect(one!.label).not.toBe(two!.label);
    expect(await x.toArray()).toEqual(all(1));
  });

  test("fails everything that depends on it, with the same error, recorded earlier or later", async () => {
    using x = ones();
    using bad = rt().map(broken(), [x]);
    using early = rt().add(bad, 1);
    using earlier = rt().matmul(early.reshape([2, 4]), x.reshape([4, 2]));
    const error = await errorOf(earlier.data());
    using later = rt().sum(early);
    using target = ones();
    rt().assign(target.slice([0, 4]), early.slice([0, 4]));
    for (const tensor of [bad, early, later, target])
      expect(await errorOf(tensor.data())).toBe(error);
    expect(await errorOf(early.slice([1, 8, 2]).data())).toBe(error);
    using unrelated = rt().add(x, 5);
    expect(await unrelated.toArray()).toEqual(all(6));
  });

  test("memory of a failed tensor is as good as new once it is used again", async () => {
    using x = ones();
    for (let round = 0; round < 5; round++) {
      const bad = rt().map(broken(), [x]);
      const next = rt().add(bad, 1);
      bad.dispose();
      using good = rt().add(x, round);
      await errorOf(next.data());
      next.dispose();
      using other = rt().add(good, 1);
      expect(await good.toArray()).toEqual(all(1 + round));
      expect(await other.toArray()).toEqual(all(2 + round));
    }
  });

  test("inside a scope: the scope rejects with it, and ends clean", async () => {
    const error = await errorOf(
      rt().scope((s) => s.map(broken(), [s.full([4], 1, { dtype: "float32" })]).toArray()),
    );
    expect(error.code).toBe("KERNEL_COMPILATION");
  });

  test("is tried again when it is run again, and fails again", async () => {
    using x = ones();
    const kernel = broken();
    using first = rt().map(kernel, [x]);
    await errorOf(first.data());
    using second = rt().map(kernel, [x]);
    expect((await errorOf(second.data())).code).toBe("KERNEL_COMPILATION");
  });
});

describe("a kernel that the device refuses", () => {
  const main = (size: string): string => `@compute @workgroup_size(${size})
fn main(@builtin(global_invocation_id) id: vec3<u32>) { if (id.x < 8u) { y_set(id.x, x_get(id.x)); } }`;

  test("a workgroup over the limit, or too much workgroup memory", async () => {
    using x = ones();
    const { limits } = rt().device;
    const [x1, z1] = [limits.maxComputeWorkgroupSizeX + 1, limits.maxComputeWorkgroupSizeZ + 1];
    const words = limits.maxComputeWorkgroupStorageSize / 4 + 1;
    const much = `var<workgroup> much: array<u32, ${words}>;\n${main("64").replace("{ if", "{ much[id.x] = 1u; if")}`;
    const refused = [
      entry(main(`${x1}`), [x1]),
      entry(main(`1, 1, ${z1}`), [1, 1, z1]),
      entry(much),
    ];
    for (const kernel of refused) {
      const { y } = rt().run(kernel, { inputs: { x }, shapes: { y: [8] }, invocations: [8] });
      using sum = rt().add(y, x);
      using other = rt().add(x, 1);
      const error = await errorOf(sum.data());
      expect(error.code).toBe("KERNEL_VALIDATION");
      expect(error.message).toContain(kernel.label);
      expect(error.stack).toContain("bad-kernels.test.ts");
      expect(await other.toArray()).toEqual(all(2));
      y.dispose();
    }
  });

  test("without an entry point, with two, or with bindings of its own", async () => {
    using x = ones();
    const extra = `@group(2) @binding(0) var<storage> extra: array<f32>;\n${main("64").replace("x_get(id.x)", "extra[id.x]")}`;
    const two = `${main("64")}\n${main("64").replace("fn main", "fn other")}`;
    for (const kernel of [entry("fn helper() {}"), entry(two), entry(extra)]) {
      const { y } = rt().run(kernel, { inputs: { x }, shapes: { y: [8] }, invocations: [8] });
      expect((await errorOf(y.data())).code).toBe("KERNEL_VALIDATION");
      y.dispose();
    }
    using after = rt().add(x, 1);
    expect(await after.toArray()).toEqual(all(2));
  });

  test("a workgroup that disagrees with the text is refused when it is described", () => {
    expect(() => entry(main("32"))).toThrowError(/\[64, 1, 1\].*@workgroup_size\(32\)/);
    expect(() => entry(main("8, 8"), [8])).toThrowError(
      expect.objectContaining({ code: "KERNEL_VALIDATION" }),
    );
    expect(() => entry(`// @workgroup_size(1)\n${main("8u, 8,")}`, [8, 8])).not.toThrow();
    expect(() => entry(`const n = 64;\n${main("n")}`)).not.toThrow();
  });
});
