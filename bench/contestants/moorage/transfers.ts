/** Between host and device, by the paths that Moorage has. */

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

/** Staging comes back when the device has read it: `allocAsync` waits where the budget is spent. */
const throughPinned: Program = (runtime, { inputs }) => {
  const { data, shape } = inputOf(inputs, "x");
  const staging = runtime.pinned.tensor({ shape, dtype: "float32", label: "staging" });
  let held: Held | undefined;
  return Promise.resolve({
    async run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) {
        await staging.mapped();
        staging.data.set(data as Float32Array);
        held?.dispose();
        held = runtime.upload(staging);
      }
      await runtime.sync();
    },
    outputs: async () => [await held!.data()],
    dispose() {
      held?.dispose();
      staging.dispose();
    },
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
      last = await Promise.all(held.map(async (tensor) => await tensor.data()));
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
  "read back many": readMany,
};
