/** A runtime over a simulated device. It has the kernels that memory is moved with: copies. */

import { createRuntime } from "../../src/index.ts";
import type { Runtime, RuntimeOptions } from "../../src/index.ts";
import { SimulatedDevice } from "./simulated-device.ts";
import type { SimulatedOptions } from "./simulated-device.ts";
import type { SimulatedKernel } from "./simulated-encoder.ts";

/**
 * Copies of 32-bit elements, in the forms that Moorage's shaders have: in a row, or by strides on either
 * side. The parameters are: the offset of the source and of the target, how many elements, and where
 * there are strides the extents, the strides of the source, and those of the target.
 */
const copyElements: SimulatedKernel = (bindings, _, code) => {
  const parameters = bindings.at(-1)!;
  const { buffer, byteOffset } = parameters;
  const words = new Uint32Array(buffer.slice(byteOffset, byteOffset + parameters.length));
  const [from, to, count] = words as unknown as [number, number, number];
  const source = elements(bindings[0]!);
  const target = elements(bindings.at(-2)!);
  const rank = new Set(code.match(/extent\d+: u32/g)).size;
  if (rank === 0) {
    target.set(source.subarray(from, from + count), to);
    return;
  }
  const extents = words.subarray(3, 3 + rank);
  const sourceStrides = words.subarray(3 + rank, 3 + 2 * rank);
  const targetStrides = words.subarray(3 + 2 * rank, 3 + 3 * rank);
  const isTargetStrided = code.includes("fn place(");
  for (let index = 0; index < count; index++) {
    let [rest, read, write] = [index, from, to];
    for (let axis = rank - 1; axis >= 0; axis--) {
      const coordinate = axis === 0 ? rest : rest % extents[axis]!;
      rest = Math.floor(rest / extents[axis]!);
      read += coordinate * sourceStrides[axis]!;
      write += coordinate * targetStrides[axis]!;
    }
    target[isTargetStrided ? write : to + index] = source[read]!;
  }
};

function elements({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>): Uint32Array {
  return new Uint32Array(buffer, byteOffset, Math.floor(byteLength / 4));
}

/** A simulated device that can copy. */
export function simulatedCopies(options: SimulatedOptions = {}): SimulatedDevice {
  const device = new SimulatedDevice(options);
  for (const label of ["moorage copy words", "moorage copy"]) {
    device.kernels.set(label, copyElements);
  }
  return device;
}

export async function openSimulated(
  options: RuntimeOptions = {},
  device: SimulatedOptions = {},
): Promise<{ readonly runtime: Runtime; readonly device: SimulatedDevice }> {
  const simulated = simulatedCopies(device);
  const runtime = await createRuntime({ ...options, device: simulated.asDevice });
  return { runtime, device: simulated };
}
