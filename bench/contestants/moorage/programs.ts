/** The cases that are more than a graph over uploaded inputs: allocation, memory on the host, recording. */

import type { Runtime, Tensor } from "moorage";

import { inputOf, valueOf } from "../../core/contract.ts";
import type { BenchHost, Numbers, Prepared, Problem } from "../../core/contract.ts";
import { timedRecording } from "../../core/recording.ts";
import { arraysInArena, arraysOnHeap, elementAccess } from "./host-memory.ts";
import type { Program } from "./program.ts";
import { transferPrograms } from "./transfers.ts";

/** Tensors that come and go; those that are live at the end are read where the outputs are asked for. */
function churn(runtime: Runtime, problem: Problem, isFilled: boolean): Prepared {
  const bytes = inputOf(problem.inputs, "bytes").data;
  const places = inputOf(problem.inputs, "places").data;
  const window = valueOf(problem.values, "window");
  const live: (Tensor<"float32"> | undefined)[] = Array.from({ length: window });
  const allocate = (): void => {
    for (let index = 0; index < bytes.length; index++) {
      const place = places[index]!;
      live[place]?.dispose();
      const shape = [bytes[index]! / 4];
      live[place] = isFilled
        ? runtime.full(shape, index, { dtype: "float32" })
        : runtime.empty(shape, { dtype: "float32" });
    }
  };
  const release = (): void => {
    for (let place = 0; place < window; place++) live[place]?.dispose();
    live.fill(undefined);
  };
  return {
    async run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) {
        allocate();
        release();
      }
      if (!isFilled) return;
      await runtime.sync();
    },
    async outputs() {
      allocate();
      const firsts = new Float32Array(window);
      for (let place = 0; place < window; place++) {
        if (!isFilled) runtime.fill(live[place]!, place);
      }
      for (let place = 0; place < window; place++) {
        firsts[place] = await live[place]!.slice([0, 1]).item();
      }
      release();
      return [firsts];
    },
    dispose: release,
  };
}

function bumpAllocation(runtime: Runtime, { values }: Problem): Prepared {
  const [count, elements] = [valueOf(values, "count"), valueOf(values, "elements")];
  const fill = async (): Promise<Numbers> =>
    await runtime.scope((s) => {
      let last: Float32Array | undefined;
      for (let index = 0; index < count; index++) {
        last = s.array("float32", elements);
        last[0] = index;
      }
      return last!;
    });
  return {
    async run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) await fill();
    },
    outputs: async () =>
      await runtime.scope((s) => {
        const arrays = Array.from({ length: count }, (_, index) => {
          const array = s.array("float32", elements);
          array[0] = index;
          return array;
        });
        return [Float32Array.from(arrays, (array) => array[0]!)];
      }),
    dispose() {},
  };
}

function pinnedAllocation(runtime: Runtime, { values }: Problem): Prepared {
  const [count, bytes] = [valueOf(values, "count"), valueOf(values, "bytes")];
  const seen = new Float32Array(count);
  const once = (): void => {
    for (let index = 0; index < count; index++) {
      const block = runtime.pinned.tensor({
        shape: [bytes / 4],
        dtype: "float32",
        label: "pinned allocation",
      });
      const { data } = block;
      data[0] = index;
      seen[index] = data[0];
      block.dispose();
    }
  };
  return {
    run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) once();
      return Promise.resolve();
    },
    outputs: () => Promise.resolve([seen]),
    dispose() {},
  };
}

function copyIntoPinned(runtime: Runtime, { inputs }: Problem): Prepared {
  const { data, shape } = inputOf(inputs, "x");
  const take = () => runtime.pinned.tensor({ shape, dtype: "float32", label: "copy" });
  return {
    run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) {
        const pinned = take();
        pinned.data.set(data);
        pinned.dispose();
      }
      return Promise.resolve();
    },
    outputs() {
      const pinned = take();
      pinned.data.set(data);
      const copy = pinned.data.slice();
      pinned.dispose();
      return Promise.resolve([copy]);
    },
    dispose() {},
  };
}

/** Blocks that nobody disposes: the engine finds them, and a task between two iterations lets it say so. */
function generalAllocation(runtime: Runtime, { values }: Problem): Prepared {
  const [count, elements] = [valueOf(values, "count"), valueOf(values, "elements")];
  const seen = new Float32Array(count);
  const once = (): void => {
    for (let index = 0; index < count; index++) {
      const block = runtime.general.alloc({ byteLength: 4 * elements }).array("float32");
      block[0] = index;
      seen[index] = block[0];
    }
  };
  return {
    async run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) {
        once();
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    },
    outputs: () => Promise.resolve([seen]),
    dispose() {},
  };
}

/** The time to record and submit dependent operations, on a device that executes nothing. */
function recording(runtime: Runtime, { inputs, values }: Problem, host: BenchHost): Prepared {
  const count = valueOf(values, "count");
  const { data, shape } = inputOf(inputs, "x");
  const x = runtime.tensor(data, { shape, dtype: "float32", label: "x" });
  const record = async (): Promise<void> =>
    await runtime.scope((s) => {
      let value = s.add(x, x);
      for (let step = 1; step < count; step++) {
        const next = s.add(value, x);
        value.dispose();
        value = next;
      }
      runtime.flush();
    });
  return { ...timedRecording(host, runtime.device, record), dispose: () => x.dispose() };
}

const ready = (prepared: Prepared): Promise<Prepared> => Promise.resolve(prepared);

export const programs: Readonly<Record<string, Program>> = {
  "allocation churn": (runtime, problem) => ready(churn(runtime, problem, false)),
  "allocation churn with a fill": (runtime, problem) => ready(churn(runtime, problem, true)),
  "bump allocation": (runtime, problem) => ready(bumpAllocation(runtime, problem)),
  "pinned allocation": (runtime, problem) => ready(pinnedAllocation(runtime, problem)),
  "array in an arena": (_, problem) => ready(arraysInArena(problem)),
  "array on the general heap": (runtime, problem) => ready(arraysOnHeap(runtime, problem)),
  "element access": (runtime, problem) => Promise.resolve(elementAccess(runtime, problem)),
  "general heap allocation": (runtime, problem) => ready(generalAllocation(runtime, problem)),
  "copy into pinned memory": (runtime, problem) => ready(copyIntoPinned(runtime, problem)),
  recording: (runtime, problem, host) => ready(recording(runtime, problem, host)),
  ...transferPrograms,
};
