/** From an adapter to a device, with the adapter's limits instead of WebGPU's low defaults. */

import { DeviceError } from "../host/errors.ts";

const wantedLimits = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxDynamicStorageBuffersPerPipelineLayout",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupStorageSize",
  "maxComputeWorkgroupsPerDimension",
  "minStorageBufferOffsetAlignment",
  "minUniformBufferOffsetAlignment",
] as const satisfies readonly (keyof GPUSupportedLimits)[];

/** Asked for where the adapter has them: kernels of users may want them. */
const wantedFeatures: readonly GPUFeatureName[] = ["shader-f16", "subgroups", "timestamp-query"];

/** Throws `DEVICE_ERROR` where the adapter gives no device. */
export async function openDevice(adapter: GPUAdapter, label: string): Promise<GPUDevice> {
  const requiredLimits = Object.fromEntries(
    wantedLimits.map((name) => [name, adapter.limits[name]]),
  );
  const requiredFeatures = wantedFeatures.filter((feature) => adapter.features.has(feature));
  try {
    return await adapter.requestDevice({ label, requiredLimits, requiredFeatures });
  } catch (cause) {
    throw new DeviceError(
      "DEVICE_ERROR",
      "the adapter gave no device; it may be in use up or blocked: try again, or another adapter",
      {
        label,
        cause,
      },
    );
  }
}

/**
 * The browser's adapter. Throws `NO_WEBGPU` where there is no WebGPU (with the reason: an insecure
 * page, or a browser without it), `NO_ADAPTER` where there is no adapter.
 */
export async function browserAdapter(options: GPURequestAdapterOptions): Promise<GPUAdapter> {
  // Node and old browsers have neither; the types say otherwise.
  const host: { readonly navigator?: { readonly gpu?: GPU }; readonly isSecureContext?: boolean } =
    globalThis;
  const gpu = host.navigator?.gpu;
  if (gpu === undefined) {
    throw new DeviceError(
      "NO_WEBGPU",
      host.isSecureContext === false
        ? "WebGPU is hidden from this page: it needs https or localhost"
        : 'there is no WebGPU here; use a browser that has it (Chrome or Edge 113, Safari 26, Firefox 141 or newer), or in Node import "moorage/node"',
    );
  }
  const adapter = await gpu.requestAdapter(options);
  if (adapter !== null) return adapter;
  throw new DeviceError(
    "NO_ADAPTER",
    "the browser has WebGPU but no adapter for it: check that hardware acceleration is on (chrome://gpu), " +
      "or start Chromium with --enable-unsafe-webgpu for a software adapter; in Node run `npx moorage doctor`",
  );
}
