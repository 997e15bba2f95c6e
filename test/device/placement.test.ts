/** Where outputs are put, and that it does not matter for what they hold. */

import { defineElementwise, defineKernel, dtypes, KiB, MiB } from "moorage";
import type { DType, Operations, Tensor } from "moorage";
import type { Runtime } from "moorage/node";
import { describe, expect, test } from "vitest";

import { contextOf, slabOf } from "../support/adopted.ts";
import { expectTensor, put, tolerance, withRuntime } from "../support/device.ts";
import { made, mapped, zipped } from "../support/reference.ts";

const seven = "abcdefg".split("");
const weighted = defineElementwise({
  label: "seven",
  inputs: seven,
  output: "float32",
  expression: seven.map((name, index) => `${name} * ${index + 1}.0`).join(" + "),
});
const shuffle = defineKernel({
  label: "five in, three out",
  inputs: { a: "float32", b: "float32", c: "uint8", d: "float16", e: "int32" },
  outputs: { p: "float32", q: "uint8", r: "float16" },
  workgroup: [16],
  wgsl: `@compute @workgroup_size(16)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.x;
  if (i >= a_extent0()) { return; }
  p_set(i, a_get(i) + b_get(i) * f32(c_get(i)));
  q_set(i, c_get(i) + u32(abs(e_get(i))));
  r_set(i, d_get(i) * 2.0);
}`,
});

/** Every family of operations, with operands in one block and in several; the bytes of all results. */
async function everything<S>(s: Operations<S>): Promise<Record<string, readonly number[]>> {
  const results: Record<string, Tensor<DType, S>> = {};
  const x = put(s, made("float32", [12, 20], 1)) as Tensor<"float32", S>;
  const y = put(s, made("float32", [20, 12], 2)) as Tensor<"float32", S>;
  const row = put(s, made("float32", [20], 3, [0.1, 1])) as Tensor<"float32", S>;
  const vector = x.reshape([240]);
  for (const dtype of dtypes) {
    const [a, b] = [put(s, made(dtype, [7, 9], 4)), put(s, made(dtype, [7, 9], 5))];
    results[`add ${dtype}`] = s.add(a, b);
    results[`add to itself ${dtype}`] = s.add(a, a);
    results[`views of one block ${dtype}`] = s.subtract(a.slice([0, 3]), a.slice([4, 7]));
    results[`with its transpose ${dtype}`] = s.multiply(
      a.slice(null, [0, 7]),
      a.slice(null, [0, 7]).transpose(),
    );
    results[`row and view ${dtype}`] = s.subtract(a, a.slice([3, 4]));
    results[`element and whole ${dtype}`] = s.subtract(a, a.slice([3, 4], [2, 3]));
    results[`copy ${dtype}`] = s.copy(a.transpose());
    results[`argmax ${dtype}`] = s.argmax(b, { axis: 0 });
    results[`max ${dtype}`] = s.max(b);
    results[`cast ${dtype}`] = s.cast(b, "float32");
    const target = s.copy(a);
    s.assign(target.slice([1, 5, 2], [1, 8, 3]), b.slice([0, 2], [0, 3]));
    s.assign(target.slice([3, 7]), target.slice([2, 6]));
    s.fill(target.slice(6), 3);
    results[`assign ${dtype}`] = target;
  }
  results["sum"] = s.sum(x, { axis: 1 });
  const long = put(s, made("float32", [9999], 6));
  results["long sum"] = s.sum(long);
  results["long argmax"] = s.argmax(long);
  results["softmax"] = s.softmax(x, { axis: 0 });
  results["long softmax"] = s.softmax(long, { axis: 0 });
  results["convolve"] = s.convolve(x, row.slice([0, 5]), { axis: 1 });
  results["convolve with a part of itself"] = s.convolve(vector, vector.slice([3, 10]), {
    axis: 0,
  });
  results["separable"] = s.convolveSeparable(x, row.slice([0, 3]), row.slice([1, 6]));
  results["matmul"] = s.matmul(x, y);
  results["matmul of one block"] = s.matmul(x, x.transpose());
  results["matmul of halves"] = s.matmul(
    x.slice([0, 6]),
    s.cast(s.cast(x, "float16"), "float32").transpose(),
  );
  results["seven"] = s.map(
    weighted,
    Array.from({ length: 7 }, (_, n) => s.add(row, n)),
  );
  results["seven of two blocks"] = s.map(weighted, [x, row, x, x, row.slice([3, 4]), row, x]);
  const flat = {
    a: row,
    b: s.add(row, 1),
    c: s.full([20], 200, { dtype: "uint8" }),
    d: s.cast(row, "float16"),
    e: s.full([20], -70, { dtype: "int32" }),
  };
  const shapes = { p: [20], q: [20], r: [20] };
  Object.assign(results, s.run(shuffle, { inputs: flat, shapes, invocations: [20] }));
  const again = s.run(shuffle, { inputs: { ...flat, b: row }, shapes, invocations: [20] });
  for (const [name, tensor] of Object.entries(again)) results[`${name} again`] = tensor;
  const entries = Object.entries(results).map(
    async ([name, tensor]) => [name, bytesOf(await tensor.data())] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}

function bytesOf(data: ArrayBufferView<ArrayBuffer>): readonly number[] {
  return [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];
}

const single = { deviceBytes: 16 * MiB };

describe("colours", () => {
  test("outputs lie in slabs that none of the inputs live in, while there is room", async () => {
    await withRuntime({}, async (rt) => {
      await rt.scope(async (s) => {
        const a = put(s, made("float32", [100], 1));
        const b = put(s, made("float32", [100], 2));
        const c = s.add(a, b);
        const d = s.add(c, a);
        const e = s.map(weighted, [a, b, c, a, b, c, a]);
        for (const [output, inputs] of [
          [c, [a, b]],
          [d, [c, a]],
        ] as const) {
          for (const input of inputs) expect(slabOf(rt, output)).not.toBe(slabOf(rt, input));
        }
        expect(rt.stats().slabs.count).toBeLessThanOrEqual(3);
        await expectTensor(
          e,
          mapped(
            zipped(
              made("float32", [100], 1),
              made("float32", [100], 2),
              (p, q) => p * (1 + 3 + 4 + 6 + 7) + q * (2 + 3 + 5 + 6),
            ),
            (v) => v,
          ),
          tolerance.sum,
          "seven",
        );
      });
    });
  });
});

test("with one slab for everything, every operation gives the same bytes", async () => {
  const apart = await withRuntime({}, (rt) => rt.scope((s) => everything(s)));
  const alike = async (rt: Runtime): Promise<void> => {
    await rt.reserve(single.deviceBytes);
    expect(rt.stats().slabs.count).toBe(1);
    for (let round = 0; round < 2; round++) {
      const together = await rt.scope((s) => everything(s));
      for (const [name, bytes] of Object.entries(apart))
        expect(together[name], name).toEqual(bytes);
    }
    expect(rt.stats().slabs.count).toBe(1);
  };
  await withRuntime({ budget: single }, alike);
});

test("in more slabs than there are colours, too", async () => {
  const apart = await withRuntime({}, (rt) => rt.scope((s) => everything(s)));
  await withRuntime({ slabBytes: 64 * KiB }, async (rt) => {
    const fillers = [];
    while (rt.stats().slabs.count < 36)
      fillers.push(rt.full([16 * KiB], 5, { dtype: "float32", label: "filler" }));
    const high = fillers.filter((filler) => slabOf(rt, filler) >= 31);
    expect(high.length).toBeGreaterThan(3);
    using sum = rt.add(high[0]!, high.at(-1)!);
    rt.assign(high[1]!.slice([3, 9]), high[0]!.slice([0, 6]));
    rt.fill(high[0]!.slice([1, 16 * KiB, 2]), 7);
    using both = rt.add(high[0]!, high[1]!);
    expect(new Set(await sum.data())).toEqual(new Set([10]));
    expect([...(await both.slice([0, 4]).data())]).toEqual([10, 12, 10, 12]);
    // What is left of the room lies in the last slabs.
    const among = await rt.scope((s) => everything(s));
    for (const [name, bytes] of Object.entries(apart)) expect(among[name], name).toEqual(bytes);
    for (const filler of fillers) filler.dispose();
  });
});

test("a slab's index is used again, and nothing remembers the old one", async () => {
  await withRuntime({ slabBytes: 64 * KiB }, async (rt) => {
    for (let round = 0; round < 4; round++) {
      using a = rt.full([20 * KiB], round, { dtype: "float32" });
      using b = rt.add(a, 1);
      using c = rt.multiply(b, a);
      expect(new Set(await c.data())).toEqual(new Set([round * (round + 1)]));
      a.dispose();
      rt.trim();
      expect(new Set(await c.data())).toEqual(new Set([round * (round + 1)]));
    }
    rt.trim();
    expect(contextOf(rt).pool.slabs).toEqual([]);
  });
});
