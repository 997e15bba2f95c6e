/** A device as a library that wants all of an adapter would open it. */

const wantedFeatures: readonly GPUFeatureName[] = ["timestamp-query", "shader-f16", "subgroups"];

const wantedLimits = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupStorageSize",
  "maxComputeWorkgroupsPerDimension",
  "maxStorageBuffersPerShaderStage",
] as const satisfies readonly (keyof GPUSupportedLimits)[];

/** Asks for the adapter's own limits and for the features that kernels of this field use, where it has them. */
export async function openDevice(adapter: GPUAdapter, label: string): Promise<GPUDevice> {
  return await adapter.requestDevice({
    label,
    requiredFeatures: wantedFeatures.filter((feature) => adapter.features.has(feature)),
    requiredLimits: Object.fromEntries(wantedLimits.map((name) => [name, adapter.limits[name]])),
  });
}
