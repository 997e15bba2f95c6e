/** Between host and device, by the paths that Moorage has. */

import { KiB, MiB } from "moorage";
import type { Runtime, Tensor } from "moorage";

import { inputOf, valueOf } from "../../core/contract.ts";
import type { Numbers, Prepared, Problem } from "../../core/contract.ts";
import { timedReads } from "../../core/reading.ts";
import type { Program } from "./program.ts";

type Held = Tensor<"float32">;

/** An array becomes a tensor, `iterations` times; the last one stays until the next call, to be read. */
function uploads(
  runtime: Runtime,
  { inputs }: Problem,
  once: (data: Float32Array, shape: readonly number[], former: Held | undefined) => Held,
): Prepared {
  const { data, shape } = inputOf(inputs, "x");
  let held: Held | undefined;
  return {
    async run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) {
        held = once(data as Float32Array, shape, held);
      }
      await runtime.sync();
    },
    outputs: async () => [await held!.data()],
    dispose: () => held?.dispose(),
  };
}

const upload: Program = (runtime, problem) =>
  Promise.resolve(
    uploads(runtime, problem, (data, shape, former) => {
      former?.dispose();
      return runtime.tensor(data, { shape, dtype: "float32", label: "upload" });
    }),
  );

const write: Program = (runtime, problem) =>
  Promise.resolve(
    uploads(runtime, problem, (data, shape, former) => {
      const target = former ?? runtime.empty(shape, { dtype: "float32", label: "written" });
      runtime.write(target, data);
      return target;
    }),
  );

/** Below this, one wait serves many: after so many bytes, for those of the round before. */
const waitedForBytes = 64 * KiB;
const mostInFlightBytes = 4 * MiB;

/** Above this, the memory is filled piece by piece, and the device copies one while the next is filled. */
const inPiecesAbove = MiB;

/** The device's memory is filled from an array where it is mapped: nothing is copied on the host after that. */
const throughPinned: Program = (runtime, { inputs }) => {
  const { data, shape } = inputOf(inputs, "x");
  const { byteLength } = data;
  const bytes = new Uint8Array(data.buffer, data.byteOffset, byteLength);
  let held: Held | undefined;
  const options = { shape, dtype: "float32", label: "produced" } as const;
  const fill = (elements: Float32Array): void => elements.set(data);
  const small = async (iterations: number): Promise<void> => {
    let inFlightBytes = 0;
    let former = Promise.resolve();
    for (let iteration = 0; iteration < iterations; iteration++) {
      held?.dispose();
      held = runtime.produce(options, fill);
      inFlightBytes += byteLength;
      if (inFlightBytes < mostInFlightBytes) continue;
      const latest = runtime.sync();
      await former;
      former = latest;
      inFlightBytes = 0;
    }
  };
  const atOnce = async (iterations: number): Promise<void> => {
    for (let iteration = 0; iteration < iterations; iteration++) {
      held?.dispose();
      held = await runtime.produceAsync(options, fill);
    }
  };
  const inPieces = async (iterations: number): Promise<void> => {
    for (let iteration = 0; iteration < iterations; iteration++) {
      held?.dispose();
      held = runtime.empty(shape, options);
      await runtime.writeFrom(
        held,
        (piece, offset) => piece.set(bytes.subarray(offset, offset + piece.length)),
        { windowBytes: 16 * MiB },
      );
    }
  };
  const many = byteLength > inPiecesAbove ? inPieces : byteLength < waitedForBytes ? small : atOnce;
  return Promise.resolve({
    async run(iterations) {
      await many(iterations);
      await runtime.sync();
    },
    outputs: async () => [await held!.data()],
    dispose: () => held?.dispose(),
  });
};

const readBack: Program = (runtime, { inputs }, host) => {
  const { data, shape } = inputOf(inputs, "x");
  const held = runtime.tensor(data, { shape, dtype: "float32", label: "x" });
  let last: Numbers = new Float32Array();
  return Promise.resolve({
    run: timedReads(host, data.byteLength, async () => {
      last = await held.data();
    }),
    outputs: () => Promise.resolve([last]),
    dispose: () => held.dispose(),
  });
};

const readInto: Program = (runtime, { inputs }, host) => {
  const { data, shape } = inputOf(inputs, "x");
  const held = runtime.tensor(data, { shape, dtype: "float32", label: "x" });
  const target = new Float32Array(data.length);
  return Promise.resolve({
    run: timedReads(host, data.byteLength, () => held.readInto(target)),
    outputs: () => Promise.resolve([target]),
    dispose: () => held.dispose(),
  });
};

const readMany: Program = (runtime, { inputs, values }, host) => {
  const [count, elements] = [valueOf(values, "count"), valueOf(values, "elements")];
  const { data } = inputOf(inputs, "x");
  const held = Array.from({ length: count }, (_, index) =>
    runtime.tensor((data as Float32Array).subarray(index * elements, (index + 1) * elements), {
      shape: [elements],
      dtype: "float32",
      label: `x${index}`,
    }),
  );
  let last: readonly Float32Array[] = [];
  return Promise.resolve({
    run: timedReads(host, data.byteLength, async () => {
      last = await runtime.readAll(held);
    }),
    outputs() {
      const all = new Float32Array(count * elements);
      for (const [index, part] of last.entries()) all.set(part, index * elements);
      return Promise.resolve([all]);
    },
    dispose() {
      for (const tensor of held) tensor.dispose();
    },
  });
};

export const transferPrograms: Readonly<Record<string, Program>> = {
  upload,
  "upload into a tensor": write,
  "upload through pinned memory": throughPinned,
  "read back": readBack,
  "read back into an array": readInto,
  "read back many": readMany,
};
