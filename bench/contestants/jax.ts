/** jax-js on its WebGPU backend, twice: operation by operation, and compiled with `jit`. */

import { implementationName, inputOf } from "../core/contract.ts";
import type {
  BenchHost,
  Contestant,
  Numbers,
  Prepared,
  Problem,
  Session,
} from "../core/contract.ts";
import { openJaxBackend } from "./jax-backends.ts";
import { jaxGraphs } from "./jax-graphs.ts";
import { JaxKit } from "./jax-kit.ts";
import type { Arrays, JaxArray, JaxGraph } from "./jax-kit.ts";
import { jaxPrograms, jitGaps } from "./jax-programs.ts";
import { gapOf } from "./peer-gaps.ts";
import { warmedUp } from "./warmed-up.ts";

const title = "jax-js 0.1.25";

const gaps = { "allocation churn": "there is no public way to allocate without numbers" };

/** A function over inputs that are uploaded beforehand; the former output is disposed. */
async function graphRun(
  graph: JaxGraph,
  kit: JaxKit,
  { inputs, values }: Problem,
): Promise<Prepared> {
  const arrays: Record<string, JaxArray> = {};
  const given = graph.inputs?.(inputs) ?? inputs;
  for (const name of Object.keys(given)) arrays[name] = await kit.upload(inputOf(given, name));
  const run = kit.compile((all: Arrays) => graph.run(kit.jax, all, values));
  let last: JaxArray | undefined;
  return {
    async run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) {
        last?.dispose();
        last = undefined;
        last = run(kit.jax.tree.ref(arrays));
        await kit.submit(last);
      }
      await kit.host.wait(kit.device);
    },
    async outputs() {
      const numbers = await kit.read(last!);
      return [graph.output?.(numbers as Float32Array, values) ?? numbers];
    },
    dispose() {
      last?.dispose();
      for (const array of Object.values(arrays)) array.dispose();
    },
  };
}

async function prepare(kit: JaxKit, problem: Problem): Promise<Prepared> {
  const name = implementationName(problem);
  if (kit.isJit && name in jitGaps) throw gapOf(name, jitGaps);
  const graph = jaxGraphs[name];
  if (graph !== undefined) return await graphRun(graph, kit, problem);
  const program = jaxPrograms[name];
  if (program !== undefined) return await program(kit, problem);
  throw gapOf(name, gaps);
}

async function open(host: BenchHost, isJit: boolean): Promise<Session> {
  const backend = await openJaxBackend();
  const { device } = backend;
  return {
    device,
    async prepare(problem) {
      backend.enter();
      const kit = new JaxKit(backend, host, isJit);
      const prepared = await prepare(kit, problem);
      const entering: Prepared = {
        async run(iterations) {
          backend.enter();
          return await prepared.run(iterations);
        },
        async outputs(): Promise<readonly Numbers[]> {
          backend.enter();
          return await prepared.outputs();
        },
        async dispose() {
          backend.enter();
          await prepared.dispose();
          kit.dispose();
        },
      };
      return await warmedUp(entering, problem);
    },
    close() {
      backend.close();
      return Promise.resolve();
    },
  };
}

export const jaxEager: Contestant = {
  name: "jax-eager",
  kind: "peer",
  title: `${title}, eager`,
  open: async (host) => await open(host, false),
};

export const jaxJit: Contestant = {
  name: "jax-jit",
  kind: "peer",
  title: `${title}, jit`,
  open: async (host) => await open(host, true),
};
