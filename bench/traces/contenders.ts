/** Moorage and the models of other policies, each on a device of its own. */

import { createRuntime, GiB } from "moorage";

import type { BenchHost } from "../core/contract.ts";
import type { Contender, OpenedAllocator } from "./allocator.ts";
import { CountedBuffers, DeviceBuffers } from "./buffers.ts";
import { MoorageAllocator } from "./moorage-allocator.ts";
import { BareBuffers, BucketPool, CappedExactPool, ExactSizePool } from "./policies.ts";
import type { Policy } from "./policies.ts";

export function allContenders(host: BenchHost): Contender[] {
  return [
    {
      name: "Moorage",
      about: "the device heap, through the public API",
      open: async () => await openMoorage(host),
    },
    model(
      host,
      "exact-size pool",
      "as TensorFlow.js 4.22 on WebGPU",
      (buffers) => new ExactSizePool(buffers),
    ),
    model(
      host,
      "bucketed pool",
      "as ONNX Runtime Web 1.30 on WebGPU",
      (buffers) => new BucketPool(buffers),
    ),
    model(
      host,
      "capped exact-size pool",
      "as jax-js 0.1.25",
      (buffers) => new CappedExactPool(buffers),
    ),
    model(host, "bare", "a buffer for each allocation", (buffers) => new BareBuffers(buffers)),
  ];
}

async function openMoorage(host: BenchHost): Promise<OpenedAllocator> {
  let failure: string | null = null;
  const runtime = await createRuntime({
    adapter: await host.requestAdapter(),
    label: "replay: Moorage",
    budget: { deviceBytes: 4 * GiB },
    onError: (error) => (failure ??= error.message),
  });
  return {
    allocator: new MoorageAllocator(runtime),
    failure: () => failure,
    close: async () => await runtime.dispose(),
  };
}

function model(
  host: BenchHost,
  name: string,
  about: string,
  make: (buffers: CountedBuffers) => Policy,
): Contender {
  return {
    name,
    about,
    account: () => make(new CountedBuffers()),
    async open() {
      const device = await host.requestDevice(`replay: ${name}`);
      const allocator = make(new DeviceBuffers(device));
      let failure: string | null = null;
      device.addEventListener("uncapturederror", (event) => {
        event.preventDefault();
        failure ??= event.error.message;
      });
      return {
        allocator,
        failure: () => failure,
        async close() {
          allocator.close();
          device.destroy();
          await device.lost;
        },
      };
    },
  };
}
