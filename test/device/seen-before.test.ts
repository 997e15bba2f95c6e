/** Dispatches that have run before cost the device no object: criterion 4 of the first version. */

import { defineElementwise, MiB } from "moorage";
import type { Operations, Tensor, TensorInput } from "moorage";
import type { Runtime } from "moorage/node";
import { expect, test } from "vitest";

import { countCalls } from "../support/adopted.ts";
import { expectTensor, tolerance, withRuntime } from "../support/device.ts";
import { made, mapped, random } from "../support/reference.ts";

type Float = TensorInput<"float32">;

const blend = defineElementwise({
  label: "blend",
  inputs: ["x", "y"],
  output: "float32",
  parameters: { part: "f32" },
  expression: "mix(x, y, P.part)",
});

/** More than eight kernels; each makes fresh scratch. */
const operations: readonly (<S>(s: Operations<S>, x: Float, y: Float) => Tensor<"float32", S>)[] = [
  (s, x, y) => s.add(x, y),
  (s, x, y) => s.multiply(x, y),
  (s, x) => s.unary("tanh", x),
  (s, x) => s.add(x, 0.5),
  (s, x, y) => s.map(blend, [x, y], { parameters: { part: 0.25 } }),
  (s, x) => s.softmax(x, { axis: 1 }),
  (s, x) => s.max(x, { axis: 0 }),
  (s, x) => s.min(x, { axis: 1 }),
  (s, x) => s.convolve(x, s.full([3], 0.5, { dtype: "float32" }), { axis: 0 }),
  (s, x, y) => s.binary("maximum", x, y),
];
/** 64 shapes. */
const shapes = Array.from(
  { length: 64 },
  (_, n) => [1 + (n % 8) * 3, 4 + Math.floor(n / 8) * 5] as const,
);

/** A thousand operations in a scope, over inputs on the heap, with some results kept there. */
async function thousand(
  rt: Runtime,
  inputs: readonly Tensor<"float32">[],
  seed: number,
): Promise<void> {
  const next = random(seed);
  const kept: Tensor<"float32">[] = [];
  await rt.scope(async (s) => {
    for (let n = 0; n < 1000; n++) {
      const shape = n % shapes.length;
      const result = operations[n % operations.length]!(
        s,
        inputs[shape * 2]!,
        inputs[shape * 2 + 1]!,
      );
      // Results on the heap, at offsets that vary with what lives there.
      if (next() < 0.1) kept.push(s.keep(result));
      if (next() < 0.05) kept.splice(Math.floor(next() * kept.length), 1)[0]?.dispose();
      if (n % 250 === 249) await Promise.resolve();
    }
    await s.sum(inputs[0]!).item();
  });
  for (const tensor of kept) tensor.dispose();
}

test("a thousand dispatches that ran before make no buffer, no bind group and no pipeline", async () => {
  await withRuntime({}, async (rt) => {
    const references = shapes.flatMap((shape, n) => [
      made("float32", shape, n),
      made("float32", shape, n + 100),
    ]);
    const inputs = references.map(({ shape, values }) =>
      rt.tensor(new Float32Array(values), { shape, dtype: "float32" }),
    );
    await thousand(rt, inputs, 1);
    const counts = countCalls(
      rt.device,
      "createBuffer",
      "createBindGroup",
      "createComputePipeline",
      "createComputePipelineAsync",
      "createShaderModule",
      "createBindGroupLayout",
    );
    const stats = rt.stats();
    for (let round = 2; round < 6; round++) await thousand(rt, inputs, round);
    expect(rt.stats().dispatchCount - stats.dispatchCount).toBeGreaterThan(4000);
    expect(counts).toEqual({
      createBuffer: 0,
      createBindGroup: 0,
      createComputePipeline: 0,
      createComputePipelineAsync: 0,
      createShaderModule: 0,
      createBindGroupLayout: 0,
    });
    expect(rt.stats().bindGroupsCreated).toBe(stats.bindGroupsCreated);
    expect(rt.stats().gpuBuffers.createdCount).toBe(stats.gpuBuffers.createdCount);
    // And they were computed.
    using last = rt.add(inputs[126]!, 0.5);
    await expectTensor(
      last,
      mapped(references[126]!, (v) => v + 0.5),
      tolerance.rounded,
      "last",
    );
    for (const input of inputs) input.dispose();
  });
});

test("scopes that overlap in time share what was made, too", async () => {
  await withRuntime({}, async (rt) => {
    const inputs = shapes.flatMap((shape) => [
      rt.full(shape, 1, { dtype: "float32" }),
      rt.full(shape, 2, { dtype: "float32" }),
    ]);
    const overlapping = async (seed: number): Promise<void> => {
      await Promise.all([0, 1, 2, 3].map((n) => thousand(rt, inputs, seed + n)));
    };
    await overlapping(1);
    await overlapping(5);
    const counts = countCalls(rt.device, "createBuffer", "createBindGroup");
    await overlapping(9);
    expect(counts).toEqual({ createBuffer: 0, createBindGroup: 0 });
    for (const input of inputs) input.dispose();
  });
});

test("with one slab for everything, exact ranges move by dynamic offsets", async () => {
  await withRuntime({ budget: { deviceBytes: 16 * MiB } }, async (rt) => {
    await rt.reserve(16 * MiB);
    const inputs = shapes.flatMap((shape) => [
      rt.full(shape, 1, { dtype: "float32" }),
      rt.full(shape, 2, { dtype: "float32" }),
    ]);
    await thousand(rt, inputs, 1);
    await thousand(rt, inputs, 2);
    const counts = countCalls(rt.device, "createBuffer", "createBindGroup");
    for (let round = 3; round < 6; round++) await thousand(rt, inputs, round);
    expect(counts).toEqual({ createBuffer: 0, createBindGroup: 0 });
    expect(rt.stats().slabs.count).toBe(1);
    for (const input of inputs) input.dispose();
  });
});
