/** The cases that are more than one function over uploaded inputs: transfers, fills, recording. */

import { inputOf, valueOf } from "../core/contract.ts";
import type { Numbers, Prepared, Problem } from "../core/contract.ts";
import { timedReads } from "../core/reading.ts";
import { timedRecording } from "../core/recording.ts";
import type { JaxArray, JaxKit, JaxProgram } from "./jax-kit.ts";
import { jaxStepwise, pendingAtMost } from "./jax-stepwise.ts";

const upload: JaxProgram = (kit, { inputs }) => {
  const x = inputOf(inputs, "x");
  let held: JaxArray | undefined;
  return Promise.resolve({
    async run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) {
        held?.dispose();
        held = await kit.upload(x);
      }
      await kit.host.wait(kit.device);
    },
    outputs: async () => [await kit.read(held!)],
    dispose: () => held?.dispose(),
  });
};

async function readers(kit: JaxKit, { inputs }: Problem, count: number): Promise<Prepared> {
  const { data } = inputOf(inputs, "x");
  const size = data.length / count;
  const sources: JaxArray[] = [];
  for (let first = 0; first < data.length; first += size) {
    sources.push(await kit.upload({ shape: [size], data: data.subarray(first, first + size) }));
  }
  let last: readonly Numbers[] = [];
  return {
    run: timedReads(kit.host, data.byteLength, async () => {
      last = await Promise.all(sources.map(async (source) => await kit.read(source)));
    }),
    outputs() {
      const all = new Float32Array(data.length);
      for (const [index, part] of last.entries()) all.set(part, index * size);
      return Promise.resolve([all]);
    },
    dispose() {
      for (const source of sources) source.dispose();
    },
  };
}

/** Filled arrays that come and go. */
const filledChurn: JaxProgram = (kit, { inputs, values }) => {
  const bytes = inputOf(inputs, "bytes").data;
  const places = inputOf(inputs, "places").data;
  const live = Array.from<JaxArray | undefined>({ length: valueOf(values, "window") });
  const allocate = async (): Promise<void> => {
    for (let index = 0; index < bytes.length; index++) {
      const place = places[index]!;
      live[place]?.dispose();
      const filled = kit.jax.numpy.full([bytes[index]! / 4], index);
      live[place] = filled;
      await kit.submit(filled);
    }
  };
  const release = (): void => {
    for (const [place, array] of live.entries()) {
      array?.dispose();
      live[place] = undefined;
    }
  };
  return Promise.resolve({
    async run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) {
        await allocate();
        release();
      }
      await kit.host.wait(kit.device);
    },
    async outputs() {
      await allocate();
      const firsts = new Float32Array(live.length);
      for (const [place, array] of live.entries()) {
        firsts[place] = (await array!.ref.slice([0, 1]).data())[0]!;
      }
      release();
      return [firsts];
    },
    dispose: release,
  });
};

/** The time to issue dependent operations and to submit them, on a device that executes nothing. */
const recording: JaxProgram = async (kit, { inputs, values }) => {
  const { host, device } = kit;
  const count = valueOf(values, "count");
  const x = await kit.upload(inputOf(inputs, "x"));
  const record = (): void => {
    let v = x.ref;
    for (let step = 1; step <= count; step++) {
      v = v.add(x.ref);
      if (step % pendingAtMost === 0) v.ref.gpuBufferSync();
    }
    v.gpuBufferSync();
  };
  return { ...timedRecording(host, device, record), dispose: () => x.dispose() };
};

export const jaxPrograms: Readonly<Record<string, JaxProgram>> = {
  upload,
  "read back": async (kit, problem) => await readers(kit, problem, 1),
  "read back many": async (kit, problem) =>
    await readers(kit, problem, valueOf(problem.values, "count")),
  "allocation churn with a fill": filledChurn,
  recording,
  ...jaxStepwise,
};

const asEager = "nothing of it is compiled: as jax-js, eager";

/** What `jit` has no part in. */
export const jitGaps: Readonly<Record<string, string>> = {
  upload: asEager,
  "read back": asEager,
  "read back many": asEager,
  "allocation churn with a fill": asEager,
  recording: "it makes one kernel of them all",
};
