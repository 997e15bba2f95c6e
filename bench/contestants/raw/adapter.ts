/** What a hand-written case asks about the adapter before it chooses a kernel. */

import { NotSupportedError } from "../../core/contract.ts";
import type { Kit } from "./kit.ts";

/** Lanes of a subgroup where that is a fixed number and kernels may use subgroups. */
export function fixedSubgroupSize({ device }: Kit): number | undefined {
  if (!device.features.has("subgroups")) return undefined;
  const { subgroupMinSize, subgroupMaxSize } = device.adapterInfo;
  return subgroupMinSize === subgroupMaxSize ? subgroupMinSize : undefined;
}

/** The lanes of a processor's vectors: kernels for these are a few workgroups of one subgroup each. */
export function requireVectorLanes(kit: Kit): number {
  const size = fixedSubgroupSize(kit);
  if (size === undefined || size < 4 || size > 16)
    throw new NotSupportedError("this variant is for subgroups of 4 to 16 lanes");
  return size;
}

/**
 * Keeps a variant with barriers in long loops off an adapter that runs on the processor: it has lost
 * there by far whenever it was tried, and takes long about it.
 */
export function requireHardware({ device }: Kit): void {
  const { architecture, description } = device.adapterInfo;
  if (/swiftshader|llvmpipe|software/i.test(`${architecture} ${description}`))
    throw new NotSupportedError("this variant is for GPUs");
}
