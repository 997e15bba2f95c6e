/** The cases that are more than a graph over uploaded inputs: transfers, allocation, recording. */

import { inputOf, valueOf } from "../core/contract.ts";
import type { Numbers, Prepared, Problem } from "../core/contract.ts";
import { timedReads } from "../core/reading.ts";
import { timedRecording } from "../core/recording.ts";
import type { Tensor, TensorflowKit } from "./tensorflow-kit.ts";

export type Program = (kit: TensorflowKit, problem: Problem) => Prepared;

const upload: Program = (kit, { inputs }) => {
  const x = inputOf(inputs, "x");
  let held: Tensor | undefined;
  return {
    async run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) {
        held?.dispose();
        held = kit.upload(x);
      }
      await kit.finish();
    },
    outputs: async () => [await kit.read(held!)],
    dispose: () => held?.dispose(),
  };
};

/**
 * Tensors that read from the device every time: one that was read keeps its numbers on the host and
 * gives them again. Over a buffer of the bench's own each read has a tensor that has none yet.
 */
function readers(kit: TensorflowKit, { inputs }: Problem, count: number): Prepared {
  const { data } = inputOf(inputs, "x");
  const size = data.length / count;
  const buffers = Array.from({ length: count }, (_, index) =>
    kit.buffer(data.subarray(index * size, (index + 1) * size)),
  );
  const read = async (buffer: GPUBuffer): Promise<Numbers> => {
    const tensor = kit.tf.tensor({ buffer, zeroCopy: true }, [size], "float32");
    const numbers = await kit.read(tensor);
    tensor.dispose();
    return numbers;
  };
  let last: readonly Numbers[] = [];
  return {
    run: timedReads(kit.host, data.byteLength, async () => {
      last = await Promise.all(buffers.map(async (buffer) => await read(buffer)));
    }),
    outputs() {
      const all = new Float32Array(data.length);
      for (const [index, part] of last.entries()) all.set(part, index * size);
      return Promise.resolve([all]);
    },
    dispose() {
      for (const buffer of buffers) buffer.destroy();
    },
  };
}

/** Filled tensors that come and go. */
const filledChurn: Program = (kit, { inputs, values }) => {
  const { fill, slice } = kit.tf;
  const bytes = inputOf(inputs, "bytes").data;
  const places = inputOf(inputs, "places").data;
  const live = Array.from<Tensor | undefined>({ length: valueOf(values, "window") });
  const allocate = (): void => {
    for (let index = 0; index < bytes.length; index++) {
      const place = places[index]!;
      live[place]?.dispose();
      live[place] = fill([bytes[index]! / 4], index, "float32");
    }
  };
  const release = (): void => {
    for (const tensor of live) tensor?.dispose();
    live.fill(undefined);
  };
  return {
    async run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) {
        allocate();
        release();
      }
      await kit.finish();
    },
    async outputs() {
      allocate();
      const firsts = new Float32Array(live.length);
      for (const [place, tensor] of live.entries()) {
        const first = slice(tensor!, [0], [1]);
        firsts[place] = (await kit.read(first))[0]!;
        first.dispose();
      }
      release();
      return [firsts];
    },
    dispose: release,
  };
};

/** By the pool that every tensor comes from: the library makes no tensor without numbers or a kernel. */
const churn: Program = ({ backend, device }, { inputs, values }) => {
  const bytes = inputOf(inputs, "bytes").data;
  const places = inputOf(inputs, "places").data;
  const live = Array.from<GPUBuffer | undefined>({ length: valueOf(values, "window") });
  const pool = backend.bufferManager;
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const free = (place: number): void => {
    const buffer = live[place];
    if (buffer !== undefined) pool.releaseBuffer(buffer);
    live[place] = undefined;
  };
  const allocate = (): void => {
    for (let index = 0; index < bytes.length; index++) {
      const place = places[index]!;
      free(place);
      live[place] = pool.acquireBuffer(bytes[index]!, usage);
    }
  };
  const release = (): void => {
    for (let place = 0; place < live.length; place++) free(place);
  };
  return {
    run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) {
        allocate();
        release();
      }
      return Promise.resolve();
    },
    async outputs() {
      allocate();
      const firsts = new Float32Array(live.length);
      for (const [place, buffer] of live.entries()) {
        device.queue.writeBuffer(buffer!, 0, Float32Array.of(place));
      }
      for (const [place, buffer] of live.entries()) {
        firsts[place] = new Float32Array(await backend.getBufferData(buffer!))[0]!;
      }
      release();
      return [firsts];
    },
    dispose: release,
  };
};

/** The time to issue dependent operations and to submit them, on a device that executes nothing. */
const recording: Program = (kit, { inputs, values }) => {
  const { tf, host } = kit;
  const count = valueOf(values, "count");
  const x = kit.upload(inputOf(inputs, "x"));
  const record = (): void => {
    tf.tidy(() => {
      let v = x;
      for (let step = 0; step < count; step++) v = tf.add(v, x);
    });
    kit.flush();
  };
  return { ...timedRecording(host, kit.device, record), dispose: () => x.dispose() };
};

export const tensorflowPrograms: Readonly<Record<string, Program>> = {
  upload,
  "read back": (kit, problem) => readers(kit, problem, 1),
  "read back many": (kit, problem) => readers(kit, problem, valueOf(problem.values, "count")),
  "allocation churn": churn,
  "allocation churn with a fill": filledChurn,
  recording,
};
