/**
 * TensorFlow.js on its WebGPU backend. Each session builds a backend on a device of its own, opened as
 * the library opens one, so that its pool and its pipelines start empty and its bytes are its own.
 */

import { implementationName } from "../core/contract.ts";
import type { BenchHost, Contestant, Prepared, Problem, Session } from "../core/contract.ts";
import { gapOf } from "./peer-gaps.ts";
import { tensorflowGraphs } from "./tensorflow-graphs.ts";
import { TensorflowKit } from "./tensorflow-kit.ts";
import type { Graph, Tensor, Tf, TfWebGpu } from "./tensorflow-kit.ts";
import { tensorflowPrograms } from "./tensorflow-programs.ts";
import { warmedUp } from "./warmed-up.ts";

/** The kernels are registered for this name, so that every session's backend takes it in turn. */
const backendName = "webgpu";

/** What the library's own start-up asks an adapter for. */
const wantedFeatures: readonly GPUFeatureName[] = ["timestamp-query"];
const wantedLimits = [
  "maxComputeWorkgroupStorageSize",
  "maxComputeWorkgroupsPerDimension",
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "maxComputeWorkgroupSizeX",
  "maxComputeInvocationsPerWorkgroup",
] as const satisfies readonly (keyof GPUSupportedLimits)[];

async function load(): Promise<readonly [Tf, TfWebGpu]> {
  const tf = await import("@tensorflow/tfjs-core");
  const webgpu = await import("@tensorflow/tfjs-backend-webgpu");
  // Small operations on numbers that are still on the host would be computed there.
  tf.env().set("WEBGPU_CPU_FORWARD", false);
  return [tf, webgpu];
}

async function openDevice(host: BenchHost): Promise<GPUDevice> {
  const adapter = await host.requestAdapter();
  return await adapter.requestDevice({
    label: "bench: TensorFlow.js",
    requiredFeatures: wantedFeatures.filter((feature) => adapter.features.has(feature)),
    requiredLimits: Object.fromEntries(wantedLimits.map((name) => [name, adapter.limits[name]])),
  });
}

/** A graph over inputs that are uploaded beforehand; each iteration in a `tidy`, the former output disposed. */
function graphRun(graph: Graph, kit: TensorflowKit, { inputs, values }: Problem): Prepared {
  const { tf } = kit;
  const tensors = Object.fromEntries(
    Object.entries(inputs).map(([name, tensor]) => [name, kit.upload(tensor)]),
  );
  kit.flush();
  let last: Tensor | undefined;
  return {
    async run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) {
        last?.dispose();
        last = tf.tidy(() => graph(kit, tensors, values));
      }
      await kit.finish();
    },
    outputs: async () => [await kit.read(last!)],
    dispose() {
      last?.dispose();
      for (const tensor of Object.values(tensors)) tensor.dispose();
    },
  };
}

function prepare(kit: TensorflowKit, problem: Problem): Prepared {
  const name = implementationName(problem);
  const graph = tensorflowGraphs[name];
  if (graph !== undefined) return graphRun(graph, kit, problem);
  const program = tensorflowPrograms[name];
  if (program !== undefined) return program(kit, problem);
  throw gapOf(name);
}

async function open(host: BenchHost): Promise<Session> {
  const [tf, { WebGPUBackend }] = await load();
  const device = await openDevice(host);
  const backend = new WebGPUBackend(device, device.adapterInfo);
  tf.removeBackend(backendName);
  tf.registerBackend(backendName, () => backend);
  await tf.setBackend(backendName);
  const kit = new TensorflowKit(tf, backend, device, host);
  return {
    device,
    async prepare(problem) {
      const prepared = prepare(kit, problem);
      const dispose = async (): Promise<void> => {
        await prepared.dispose();
        kit.dispose();
      };
      return await warmedUp({ ...prepared, dispose }, problem);
    },
    close() {
      backend.dispose();
      device.destroy();
      return Promise.resolve();
    },
  };
}

export const tensorflow: Contestant = {
  name: "tensorflow",
  kind: "peer",
  title: "TensorFlow.js 4.22.0",
  open,
};
