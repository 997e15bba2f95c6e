/**
 * What recording costs: a scope of 1,000 dispatches that ran before (eight kernels, 64 shapes, fresh
 * scratch, inputs and some outputs on the heap at varying offsets), against as many dispatches by
 * hand. By hand, every pipeline, buffer and bind group was made beforehand, and each dispatch makes
 * the same calls (pipeline, bindings, parameters, dispatch) on stand-in kernels of one size: what
 * they compute is not the same, and does not matter to recording. Both are recorded in turn, in one
 * run; figures are medians in microseconds per dispatch. Runs in Node and in a page alike.
 */

import { defineElementwise } from "moorage";
import type { Runtime, Scope, Tensor } from "moorage";

export interface RecordingCost {
  /** Medians, in microseconds per dispatch. */
  readonly moorage: number;
  readonly byHand: number;
  readonly ratio: number;
  /** Made during the measured scopes. */
  readonly buffersCreated: number;
  readonly bindGroupsCreated: number;
}

const dispatches = 1000;
const shapeCount = 64;

const scaled = defineElementwise({
  label: "scaled sum",
  inputs: ["a", "b"],
  output: "float32",
  parameters: { k: "f32" },
  expression: "a * P.k + b",
});

type Operand = Tensor<"float32">;

/** One of eight kernels over operands of one shape; all results but one are scratch of the scope. */
function dispatchOne<S>(s: Scope<S>, which: number, { x, y, z }: Pair): void {
  switch (which) {
    case 0:
      return void s.add(x, y);
    case 1:
      return void s.multiply(x, y);
    case 2:
      return void s.subtract(x, 0.5);
    case 3:
      return void s.unary("exp", x);
    case 4:
      return void s.cast(x, "int32");
    case 5:
      return s.assign(z, y);
    case 6:
      return void s.map(scaled, [x, y], { parameters: { k: 2 } });
    default:
      return void s.softmax(x, { axis: 1 });
  }
}

interface Pair {
  readonly x: Operand;
  readonly y: Operand;
  /** Written in place. */
  readonly z: Operand;
}

/** Operands of 64 shapes on the heap, at whatever offsets they happen to get. */
function operands(runtime: Runtime): Pair[] {
  return Array.from({ length: shapeCount }, (_, index) => {
    const shape = [4 + (index % 8), 16 + 4 * Math.floor(index / 8)];
    return {
      x: runtime.full(shape, 0.5, { dtype: "float32", label: `x${index}` }),
      y: runtime.full(shape, 0.25, { dtype: "float32", label: `y${index}` }),
      z: runtime.full(shape, 0, { dtype: "float32", label: `z${index}` }),
    };
  });
}

async function recordWithMoorage(runtime: Runtime, pairs: readonly Pair[]): Promise<number> {
  return await runtime.scope((s) => {
    const started = performance.now();
    for (let index = 0; index < dispatches; index++) {
      dispatchOne(s, index % 8, pairs[(index * 7) % shapeCount]!);
    }
    runtime.flush();
    return ((performance.now() - started) * 1000) / dispatches;
  });
}

/** The same number of dispatches by hand: two bindings and a parameter block each. */
function handWritten(device: GPUDevice): {
  readonly record: () => number;
  readonly destroy: () => void;
} {
  const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
  const slabs = [0, 1, 2].map((n) =>
    device.createBuffer({ size: 4 << 20, usage: storage, label: `by hand ${n}` }),
  );
  const stride = 256;
  const ring = device.createBuffer({
    size: stride * dispatches,
    usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    label: "by hand parameters",
  });
  const entry = (
    binding: number,
    type: GPUBufferBindingType,
    hasDynamicOffset = false,
  ): GPUBindGroupLayoutEntry => ({
    binding,
    visibility: GPUShaderStage.COMPUTE,
    buffer: { type, hasDynamicOffset },
  });
  const layout = device.createBindGroupLayout({
    entries: [entry(0, "read-only-storage"), entry(1, "read-only-storage"), entry(2, "storage")],
  });
  const ringLayout = device.createBindGroupLayout({ entries: [entry(0, "uniform", true)] });
  const pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [layout, ringLayout] });
  const pipelines = [
    "x + y",
    "x * y",
    "x - y",
    "exp(x)",
    "floor(x)",
    "y",
    "x * 2.0 + y",
    "max(x, y)",
  ].map((expression) =>
    device.createComputePipeline({
      layout: pipelineLayout,
      compute: {
        module: device.createShaderModule({
          code: `struct P { a: u32, b: u32, c: u32, n: u32 }
@group(1) @binding(0) var<uniform> p: P;
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= p.n) { return; }
  let x = a[p.a + id.x]; let y = b[p.b + id.x];
  c[p.c + id.x] = ${expression};
}`,
        }),
      },
    }),
  );
  const group = (inputs: GPUBuffer, output: GPUBuffer): GPUBindGroup =>
    device.createBindGroup({
      layout,
      entries: [inputs, inputs, output].map((buffer, binding) => ({
        binding,
        resource: { buffer },
      })),
    });
  const groups = [group(slabs[0]!, slabs[1]!), group(slabs[0]!, slabs[2]!)];
  const ringGroup = device.createBindGroup({
    layout: ringLayout,
    entries: [{ binding: 0, resource: { buffer: ring, size: 256 } }],
  });
  const words = new Uint32Array((stride / 4) * dispatches);
  const offset = new Uint32Array(1);
  const record = (): number => {
    const started = performance.now();
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let index = 0; index < dispatches; index++) {
      pass.setPipeline(pipelines[index % 8]!);
      pass.setBindGroup(0, groups[index & 1]);
      const base = index * 64;
      words[base] = index * 64;
      words[base + 1] = index * 64;
      words[base + 2] = index * 64;
      words[base + 3] = 64;
      offset[0] = index * stride;
      pass.setBindGroup(1, ringGroup, offset, 0, 1);
      pass.dispatchWorkgroups(1);
    }
    pass.end();
    device.queue.writeBuffer(ring, 0, words);
    device.queue.submit([encoder.finish()]);
    return ((performance.now() - started) * 1000) / dispatches;
  };
  return { record, destroy: () => [...slabs, ring].forEach((buffer) => buffer.destroy()) };
}

export interface RecordingRounds {
  readonly rounds?: number;
  /** Until the engine has compiled what is measured: a browser takes about a hundred rounds. */
  readonly warmUpRounds?: number;
}

/** Measures both in turn, `rounds` times after a warm-up. */
export async function recordingCost(
  runtime: Runtime,
  { rounds = 31, warmUpRounds = 120 }: RecordingRounds = {},
): Promise<RecordingCost> {
  const { device } = runtime;
  const made = operands(runtime);
  const hand = handWritten(device);
  try {
    for (let round = 0; round < warmUpRounds; round++) {
      await recordWithMoorage(runtime, made);
      hand.record();
      await runtime.sync();
    }
    const before = runtime.stats();
    const moorage: number[] = [];
    const byHand: number[] = [];
    for (let round = 0; round < rounds; round++) {
      moorage.push(await recordWithMoorage(runtime, made));
      await runtime.sync();
      byHand.push(hand.record());
      await runtime.sync();
    }
    const after = runtime.stats();
    const [own, floor] = [median(moorage), median(byHand)];
    return {
      moorage: own,
      byHand: floor,
      ratio: own / floor,
      buffersCreated: after.gpuBuffers.createdCount - before.gpuBuffers.createdCount,
      bindGroupsCreated: after.bindGroupsCreated - before.bindGroupsCreated,
    };
  } finally {
    hand.destroy();
    for (const { x, y, z } of made) {
      x.dispose();
      y.dispose();
      z.dispose();
    }
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
