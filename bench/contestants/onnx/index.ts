/**
 * ONNX Runtime Web on its WebGPU provider. Each session of the bench has a device of its own, opened
 * as the runtime opens one; what the runtime keeps on a device goes with its last model there.
 */

import { implementationName } from "../../core/contract.ts";
import type { BenchHost, Contestant, Session } from "../../core/contract.ts";
import { gapOf } from "../peer-gaps.ts";
import { warmedUp } from "../warmed-up.ts";
import { OnnxKit } from "./kit.ts";
import type { Ort } from "./kit.ts";
import { ModelBuilder } from "./model-builder.ts";
import { variantsOf } from "./model-run.ts";
import { onnxModels } from "./models.ts";
import { onnxPrograms } from "./programs.ts";
import { copySharedViews } from "./shared-views.ts";
import { onnxStepwise } from "./stepwise.ts";

const gaps = { "allocation churn": "there is no public way to allocate without numbers" };

/** What the runtime asks an adapter for. */
const wantedFeatures: readonly GPUFeatureName[] = [
  "timestamp-query",
  "shader-f16",
  "subgroups",
  "subgroup-size-control" as GPUFeatureName,
];
const wantedLimits = [
  "maxBindGroups",
  "maxStorageBuffersPerShaderStage",
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
] as const satisfies readonly (keyof GPUSupportedLimits)[];

let loaded: Promise<Ort> | undefined;

async function openDevice(host: BenchHost): Promise<GPUDevice> {
  const adapter = await host.requestAdapter();
  return await adapter.requestDevice({
    label: "bench: ONNX Runtime",
    requiredFeatures: wantedFeatures.filter((feature) => adapter.features.has(feature)),
    requiredLimits: Object.fromEntries(wantedLimits.map((name) => [name, adapter.limits[name]])),
  });
}

/** Loads the package, and its WebAssembly with a first model: no case's time is to hold that. */
async function load(host: BenchHost): Promise<Ort> {
  if (host.environment === "node") copySharedViews();
  const ort = await import("onnxruntime-web/webgpu");
  // More threads would want workers and an isolated page; with the work on the device they do little.
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const device = await openDevice(host);
  const kit = new OnnxKit(ort, device, host);
  const model = new ModelBuilder();
  model.output("y", model.op("Identity", [model.input("x", [1])]));
  await kit.session(model.build());
  await kit.dispose();
  device.destroy();
  return ort;
}

async function open(host: BenchHost): Promise<Session> {
  const ort = await (loaded ??= load(host));
  const device = await openDevice(host);
  const kits: OnnxKit[] = [];
  const newKit = (): OnnxKit => {
    const kit = new OnnxKit(ort, device, host);
    kits.push(kit);
    return kit;
  };
  return {
    device,
    async prepare(problem) {
      const name = implementationName(problem);
      const models = onnxModels[name];
      if (models !== undefined) return variantsOf(models, newKit, problem);
      const program = onnxPrograms[name] ?? onnxStepwise[name];
      if (program === undefined) throw gapOf(name, gaps);
      const kit = newKit();
      const prepared = await program(kit, problem);
      const dispose = async (): Promise<void> => {
        await prepared.dispose();
        await kit.dispose();
      };
      return await warmedUp({ ...prepared, dispose }, problem);
    },
    async close() {
      // Where preparing failed, something may still be there.
      for (const kit of kits) await kit.dispose();
      device.destroy();
    },
  };
}

export const onnx: Contestant = {
  name: "onnx",
  kind: "peer",
  title: "ONNX Runtime Web 1.30.0",
  open,
};
