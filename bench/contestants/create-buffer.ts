/**
 * A buffer for each tensor, made and destroyed, and a new typed array for each array: what Moorage's
 * allocators spare. Takes part in `alloc` and `host` alone.
 */

import { implementationName, inputOf, NotSupportedError, valueOf } from "../core/contract.ts";
import type { BenchHost, Contestant, Prepared, Problem } from "../core/contract.ts";
import { Kit } from "./raw/kit.ts";

export const createBuffer: Contestant = {
  name: "create-buffer",
  kind: "reference",
  title: "createBuffer and destroy, or new Float32Array, one each",
  suites: ["alloc", "host"],
  async open(host) {
    const device = await host.requestDevice("bench: create-buffer");
    return {
      device,
      prepare(problem) {
        const name = implementationName(problem);
        if (name.startsWith("array ")) return Promise.resolve(arrays(problem));
        if (name !== "allocation churn")
          return Promise.reject(new NotSupportedError("only the bare allocation is compared"));
        return Promise.resolve(churn(device, problem, host));
      },
      close() {
        device.destroy();
        return Promise.resolve();
      },
    };
  },
};

function churn(device: GPUDevice, problem: Problem, host: BenchHost): Prepared {
  const bytes = inputOf(problem.inputs, "bytes").data;
  const places = inputOf(problem.inputs, "places").data;
  const window = valueOf(problem.values, "window");
  const live: (GPUBuffer | undefined)[] = Array.from({ length: window });
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const allocate = (): void => {
    for (let index = 0; index < bytes.length; index++) {
      const place = places[index]!;
      live[place]?.destroy();
      live[place] = device.createBuffer({ label: "churn", size: bytes[index]!, usage });
    }
  };
  const release = (): void => {
    for (const buffer of live) buffer?.destroy();
    live.fill(undefined);
  };
  return {
    async run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) {
        allocate();
        release();
        // Dawn frees a destroyed buffer only after a submission has passed.
        device.queue.submit([]);
        await host.wait(device);
      }
    },
    async outputs() {
      allocate();
      const kit = new Kit(device, host);
      const firsts = new Float32Array(window);
      for (const [place, buffer] of live.entries())
        device.queue.writeBuffer(buffer!, 0, Float32Array.of(place));
      for (const [place, buffer] of live.entries())
        firsts[place] = (await kit.read(buffer!, 1))[0]!;
      release();
      return [firsts];
    },
    dispose: release,
  };
}

/** The engine's own arrays, which it collects. */
function arrays({ values }: Problem): Prepared {
  const [count, elements] = [valueOf(values, "count"), valueOf(values, "elements")];
  const isFilled = valueOf(values, "isFilled") === 1;
  const seen = new Float32Array(count);
  return {
    run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) {
        for (let index = 0; index < count; index++) {
          const array = new Float32Array(elements);
          if (isFilled) array.fill(index);
          else array[0] = array[elements - 1] = index;
          seen[index] = array[0]! + array[elements - 1]!;
        }
      }
      return Promise.resolve();
    },
    outputs: () => Promise.resolve([seen]),
    dispose() {},
  };
}
