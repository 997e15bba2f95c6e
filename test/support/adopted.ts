/** Real devices whose answers a test bends, adopted by runtimes. */

import { openAdapter } from "moorage/node";
import type { Runtime } from "moorage/node";
import { onTestFinished } from "vitest";

import type { DeviceContext } from "../../src/device/context.ts";

/** A device of the test's own, with the adapter's limits; destroyed when the test ends. */
export async function ownDevice(descriptor: GPUDeviceDescriptor = {}): Promise<GPUDevice> {
  const { adapter } = await openAdapter();
  const device = await adapter.requestDevice(descriptor);
  onTestFinished(() => device.destroy());
  return device;
}

/** Which out-of-memory scopes report one, and when they answer. */
export interface OutOfMemoryPlan {
  /** Counted from 1, over the scopes that slabs are made in. */
  readonly refuse?: (scope: number) => boolean;
  readonly delayMs?: number;
}

/** Lets out-of-memory error scopes around slabs answer as planned; gives the number of them so far. */
export function planOutOfMemory(device: GPUDevice, plan: OutOfMemoryPlan): () => number {
  const filters: GPUErrorFilter[] = [];
  const push = device.pushErrorScope.bind(device);
  const pop = device.popErrorScope.bind(device);
  const create = device.createBuffer.bind(device);
  let scopes = 0;
  let isSlab = false;
  device.createBuffer = (descriptor) => {
    isSlab = descriptor.label?.includes("slab") === true;
    return create(descriptor);
  };
  device.pushErrorScope = (filter) => {
    filters.push(filter);
    return push(filter);
  };
  device.popErrorScope = async () => {
    const isMemory = filters.pop() === "out-of-memory" && isSlab;
    const scope = isMemory ? ++scopes : 0;
    const real = pop();
    if (isMemory && plan.delayMs !== undefined)
      await new Promise((resolve) => setTimeout(resolve, plan.delayMs));
    const answer = await real;
    if (isMemory && plan.refuse?.(scope) === true)
      return new GPUOutOfMemoryError("made up by a test");
    return answer;
  };
  return () => scopes;
}

/** Calls of some of a device's functions, counted from now on. */
export function countCalls<N extends keyof GPUDevice>(
  device: GPUDevice,
  ...names: readonly N[]
): { [K in N]: number } {
  const counts = Object.fromEntries(names.map((name) => [name, 0])) as { [K in N]: number };
  for (const name of names) {
    const original = device[name] as (...args: unknown[]) => unknown;
    Object.defineProperty(device, name, {
      configurable: true,
      value: (...args: unknown[]) => {
        counts[name]++;
        return original.apply(device, args);
      },
    });
    onTestFinished(() => {
      Reflect.deleteProperty(device, name);
    });
  }
  return counts;
}

/** What a test may look into: where tensors lie. */
export function contextOf(runtime: Runtime): DeviceContext {
  return (runtime as unknown as { readonly context: DeviceContext }).context;
}

/** The colour of the slab in which a tensor lies. */
export function slabOf(runtime: Runtime, tensor: object): number {
  const { block } = tensor as { readonly block: { readonly row: number } };
  return contextOf(runtime).table.slab[block.row]!;
}
