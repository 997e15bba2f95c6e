/** The cases that are more than one model over inputs on the device: transfers and fills. */

import { inputOf, valueOf } from "../../core/contract.ts";
import type { Numbers, Prepared, Problem } from "../../core/contract.ts";
import { timedReads } from "../../core/reading.ts";
import type { OnnxKit, OnnxProgram, OrtSession, OrtTensor } from "./kit.ts";
import { ModelBuilder } from "./model-builder.ts";

/** The one way from the host to the device: a model that gives what it is given. */
async function identity(kit: OnnxKit, count: number): Promise<OrtSession> {
  const model = new ModelBuilder();
  model.output("y", model.op("Identity", [model.input("x", [count])]));
  return await kit.session(model.build());
}

const upload: OnnxProgram = async (kit, { inputs }) => {
  const { data, shape } = inputOf(inputs, "x");
  const session = await identity(kit, data.length);
  let held: OrtTensor | undefined;
  return {
    async run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) {
        held?.dispose();
        held = undefined;
        const x = new kit.ort.Tensor("float32", data as Float32Array, [...shape]);
        held = (await session.run({ x }))["y"];
      }
      await kit.finish();
    },
    outputs: async () => [await kit.read(held!)],
    dispose: () => held?.dispose(),
  };
};

/**
 * A tensor can be read from the device once, and then lives on the host. So each iteration makes new
 * ones, waits until they are there, and only then takes the time of reading them.
 */
async function readers(kit: OnnxKit, { inputs }: Problem, count: number): Promise<Prepared> {
  const { data } = inputOf(inputs, "x");
  const size = data.length / count;
  const session = await identity(kit, size);
  const sources = Array.from({ length: count }, (_, index) =>
    kit.input({ shape: [size], data: data.subarray(index * size, (index + 1) * size) }),
  );
  let last: readonly Numbers[] = [];
  const tensors: OrtTensor[] = [];
  const release = (): void => {
    for (const tensor of tensors.splice(0)) tensor.dispose();
  };
  // A tensor that was read keeps its numbers on the host: each read has new ones.
  const compute = async (): Promise<void> => {
    release();
    for (const x of sources) tensors.push((await session.run({ x }))["y"]!);
    await kit.finish();
  };
  const read = async (): Promise<void> => {
    last = await Promise.all(tensors.map(async (tensor) => await kit.read(tensor)));
  };
  return {
    run: timedReads(kit.host, data.byteLength, read, compute),
    outputs() {
      const all = new Float32Array(data.length);
      for (const [index, part] of last.entries()) all.set(part, index * size);
      return Promise.resolve([all]);
    },
    dispose: release,
  };
}

/** Filled tensors that come and go: each is a run of a model that expands one number. */
const filledChurn: OnnxProgram = async (kit, { inputs, values }) => {
  const { Tensor } = kit.ort;
  const bytes = inputOf(inputs, "bytes").data;
  const places = inputOf(inputs, "places").data;
  const model = new ModelBuilder();
  const expanded = model.op("Expand", [
    model.input("value", [1]),
    model.input("shape", [1], "int64"),
  ]);
  model.output("y", expanded);
  const session = await kit.session(model.build());
  const live = Array.from<OrtTensor | undefined>({ length: valueOf(values, "window") });
  const allocate = async (): Promise<void> => {
    for (let index = 0; index < bytes.length; index++) {
      const place = places[index]!;
      live[place]?.dispose();
      live[place] = undefined;
      const value = new Tensor("float32", Float32Array.of(index), [1]);
      const shape = new Tensor("int64", BigInt64Array.of(BigInt(bytes[index]! / 4)), [1]);
      live[place] = (await session.run({ value, shape }))["y"];
    }
  };
  const release = (): void => {
    for (const [place, tensor] of live.entries()) {
      tensor?.dispose();
      live[place] = undefined;
    }
  };
  return {
    async run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) {
        await allocate();
        release();
      }
      await kit.finish();
    },
    async outputs() {
      await allocate();
      const firsts = new Float32Array(live.length);
      for (const [place, tensor] of live.entries()) firsts[place] = (await kit.read(tensor!))[0]!;
      release();
      return [firsts];
    },
    dispose: release,
  };
};

export const onnxPrograms: Readonly<Record<string, OnnxProgram>> = {
  upload,
  "read back": async (kit, problem) => await readers(kit, problem, 1),
  "read back many": async (kit, problem) =>
    await readers(kit, problem, valueOf(problem.values, "count")),
  "allocation churn with a fill": filledChurn,
};
