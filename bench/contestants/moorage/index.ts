/** Moorage, as its users would write it: operations in a scope for each iteration. */

import { createRuntime, GiB } from "moorage";
import type { Runtime, Tensor } from "moorage";

import { implementationName, NotSupportedError } from "../../core/contract.ts";
import type {
  BenchHost,
  Contestant,
  HostTensor,
  Numbers,
  Prepared,
  Problem,
  Session,
  Variant,
} from "../../core/contract.ts";
import { graphs } from "./graphs.ts";
import type { Graph, Operand } from "./program.ts";
import { programs } from "./programs.ts";

export const moorage: Contestant = {
  name: "moorage",
  kind: "moorage",
  title: "Moorage",
  async open(host) {
    const runtime = await createRuntime({
      adapter: await host.requestAdapter(),
      label: "bench: Moorage",
      budget: { deviceBytes: 8 * GiB, pinnedBytes: 2 * GiB },
    });
    return new MoorageSession(runtime, host);
  },
};

class MoorageSession implements Session {
  readonly device: GPUDevice;
  readonly #runtime: Runtime;
  readonly #host: BenchHost;

  constructor(runtime: Runtime, host: BenchHost) {
    this.#runtime = runtime;
    this.#host = host;
    this.device = runtime.device;
  }

  async prepare(problem: Problem): Promise<Prepared | readonly Variant[]> {
    const name = implementationName(problem);
    const program = programs[name];
    if (program !== undefined) return await program(this.#runtime, problem, this.#host);
    const graph = graphs[name];
    if (graph === undefined) throw new NotSupportedError(`not yet: Moorage has no ${name}`);
    return prepareGraph(this.#runtime, problem, graph);
  }

  async close(): Promise<void> {
    await this.#runtime.dispose();
  }
}

function prepareGraph(runtime: Runtime, { inputs, values }: Problem, graph: Graph): Prepared {
  const uploaded = upload(runtime, inputs);
  return {
    async run(iterations) {
      for (let index = 0; index < iterations; index++) {
        await runtime.scope((s) => void graph(s, uploaded, values));
      }
      // Not a flush and the host's wait: work in a new slab is held back until the device has it, and
      // that wait would end before it was submitted. In Node, both wait alike.
      await runtime.sync();
    },
    outputs: async () =>
      await runtime.scope(async (s) => {
        const results = graph(s, uploaded, values);
        const all = Array.isArray(results) ? results : [results];
        const read: Numbers[] = [];
        for (const result of all as Tensor<"float32">[]) read.push(await result.data());
        return read;
      }),
    dispose() {
      for (const tensor of Object.values(uploaded)) tensor.dispose();
    },
  };
}

/** Every input as a tensor on the device heap. */
export function upload(
  runtime: Runtime,
  inputs: Readonly<Record<string, HostTensor>>,
): Readonly<Record<string, Operand>> {
  return Object.fromEntries(
    Object.entries(inputs).map(([label, { data, shape }]) => [
      label,
      runtime.tensor(data as Float32Array, { shape, dtype: dtypeOf(data), label }),
    ]),
  );
}

/** The tables of graphs are written for float32; index inputs keep their own dtype at run time. */
function dtypeOf(data: Numbers): "float32" {
  const dtype =
    data instanceof Float32Array
      ? "float32"
      : data instanceof Int32Array
        ? "int32"
        : data instanceof Uint32Array
          ? "uint32"
          : "uint8";
  return dtype as "float32";
}
