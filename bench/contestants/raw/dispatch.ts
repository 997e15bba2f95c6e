/**
 * Small dependent kernels: everything is made beforehand, the vector stays where it is, and a dispatch
 * is one call.
 */

import { inputOf, valueOf } from "../../core/contract.ts";
import type { Prepared, Problem } from "../../core/contract.ts";
import { timedRecording } from "../../core/recording.ts";
import type { Kit } from "./kit.ts";
import type { RawVariant } from "./variant.ts";

/** One workgroup of 64 invocations, a vec4 each: 256 elements. */
const code = `
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> v: array<vec4f>;
@compute @workgroup_size(64) fn start(@builtin(local_invocation_index) lane: u32) {
  v[lane] = x[lane] + x[lane];
}
@compute @workgroup_size(64) fn add(@builtin(local_invocation_index) lane: u32) {
  v[lane] += x[lane];
}`;

interface Chain {
  readonly v: GPUBuffer;
  readonly elements: number;
  /** Dispatches of an iteration: the first starts anew from x. */
  readonly count: number;
  /** Records and submits dispatches, numbered over all iterations, in one pass. */
  readonly submit: (first: number, end: number) => void;
}

async function chainOf({ inputs, values }: Problem, kit: Kit): Promise<Chain> {
  const { device } = kit;
  const [count, elements] = [valueOf(values, "count"), valueOf(values, "elements")];
  const x = kit.input("x", inputOf(inputs, "x"));
  const v = kit.buffer("v", elements * 4);
  const label = "raw: small kernels";
  const layout = device.createBindGroupLayout({
    label,
    entries: (["read-only-storage", "storage"] as const).map((type, binding) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type },
    })),
  });
  const module = device.createShaderModule({ label, code });
  const pipelineLayout = device.createPipelineLayout({ label, bindGroupLayouts: [layout] });
  const pipelineOf = (entryPoint: string): Promise<GPUComputePipeline> =>
    device.createComputePipelineAsync({
      label: `raw: ${entryPoint}`,
      layout: pipelineLayout,
      compute: { module, entryPoint },
    });
  const [start, add] = await Promise.all([pipelineOf("start"), pipelineOf("add")]);
  const group = device.createBindGroup({
    label,
    layout,
    entries: [x, v].map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  const submit = (first: number, end: number): void => {
    const encoder = device.createCommandEncoder({ label });
    const pass = encoder.beginComputePass({ label });
    pass.setBindGroup(0, group);
    let current: GPUComputePipeline | undefined;
    for (let index = first; index < end; index++) {
      const wanted = index % count === 0 ? start : add;
      if (wanted !== current) pass.setPipeline((current = wanted));
      pass.dispatchWorkgroups(1);
    }
    pass.end();
    device.queue.submit([encoder.finish()]);
  };
  return { v, elements, count, submit };
}

/** @param most - dispatches to a submission: the device begins with the first while the next is recorded */
function dependentKernels(most: number, variant: string): RawVariant {
  return async (problem, kit) => {
    const { v, elements, count, submit } = await chainOf(problem, kit);
    return {
      variant,
      async run(iterations) {
        const total = iterations * count;
        for (let first = 0; first < total; first += most)
          submit(first, Math.min(total, first + most));
        await kit.host.wait(kit.device);
      },
      outputs: async () => [await kit.read(v, elements)],
      dispose: () => kit.dispose(),
    };
  };
}

async function recording(problem: Problem, kit: Kit): Promise<Prepared> {
  const { count, submit } = await chainOf(problem, kit);
  return {
    ...timedRecording(kit.host, kit.device, () => submit(0, count)),
    dispose: () => kit.dispose(),
  };
}

export const dispatchChains: Readonly<Record<string, readonly RawVariant[]>> = {
  "dependent small kernels": [
    dependentKernels(Number.POSITIVE_INFINITY, "one submission"),
    dependentKernels(100, "a submission for 100 dispatches"),
  ],
  recording: [recording],
};
