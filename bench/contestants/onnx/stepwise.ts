/** Work in steps, each a run of one model whose extents differ from step to step. */

import { batchOf } from "../../cases/memory.ts";
import { inputOf, valueOf } from "../../core/contract.ts";
import type { HostTensor, Prepared } from "../../core/contract.ts";
import type { OnnxKit, OnnxProgram, OrtTensor } from "./kit.ts";
import { extended, ModelBuilder } from "./model-builder.ts";

/** Iterations that each leave one tensor, kept until the next. */
function iterated(kit: OnnxKit, iterate: () => Promise<OrtTensor>): Prepared {
  let last: OrtTensor | undefined;
  return {
    async run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) {
        last?.dispose();
        last = undefined;
        last = await iterate();
      }
      await kit.finish();
    },
    outputs: async () => [await kit.read(last!)],
    dispose: () => last?.dispose(),
  };
}

/** Rows as inputs of their own: a tensor over a buffer starts where the buffer does. */
function rowsOf(kit: OnnxKit, { shape, data }: HostTensor): OrtTensor[] {
  const [count = 0, width = 0] = shape;
  return Array.from({ length: count }, (_, row) =>
    kit.input({ shape: [1, width], data: data.subarray(row * width, (row + 1) * width) }),
  );
}

const varyingBatch: OnnxProgram = async (kit, { inputs, values }) => {
  const [steps, batch, width] = ["steps", "batch", "width"].map((name) =>
    valueOf(values, name),
  ) as [number, number, number];
  const m = new ModelBuilder();
  const [w1, w2] = [m.constant(inputOf(inputs, "w1")), m.constant(inputOf(inputs, "w2"))];
  const hidden = m.op("Relu", [m.op("MatMul", [m.input("x", ["rows", width]), w1])]);
  m.output("y", m.op("MatMul", [hidden, w2]));
  const session = await kit.session(m.build());
  const all = kit.input(inputOf(inputs, "x"));
  return iterated(kit, async () => {
    let out: OrtTensor | undefined;
    for (let step = 0; step < steps; step++) {
      out?.dispose();
      const x = kit.over(all.gpuBuffer, [batchOf(batch, step), width]);
      out = (await session.run({ x }))["y"];
    }
    return out!;
  });
};

const growingCaches: OnnxProgram = async (kit, { inputs, values }) => {
  const [tensors, width] = [valueOf(values, "tensors"), valueOf(values, "width")];
  const m = new ModelBuilder();
  const parts = [m.input("former", ["rows", width]), m.input("row", [1, width])];
  m.output("y", m.op("Concat", parts, { axis: 0 }));
  const session = await kit.session(m.build());
  const [first, ...later] = rowsOf(kit, inputOf(inputs, "x"));
  return iterated(kit, async () => {
    let caches = Array.from({ length: tensors }, () => first!);
    for (const row of later) {
      const grown: OrtTensor[] = [];
      for (const former of caches) {
        grown.push((await session.run({ former, row }))["y"]!);
        if (former !== first) former.dispose();
      }
      caches = grown;
    }
    for (const cache of caches.slice(1)) cache.dispose();
    return caches[0]!;
  });
};

/** `[rows, width]` as the attention operator keeps its caches: `[1, heads, rows, width of a head]`. */
function byHeads({ shape, data }: HostTensor, heads: number): HostTensor {
  const [rows = 0, width = 0] = shape;
  const part = width / heads;
  const result = new Float32Array(data.length);
  for (let index = 0; index < data.length; index++) {
    const [row, column] = [Math.floor(index / width), index % width];
    const head = Math.floor(column / part);
    result[(head * rows + row) * part + (column % part)] = data[index]!;
  }
  return { shape: [1, heads, rows, part], data: result };
}

/** The attention operator appends to the caches that it is given, and gives the longer ones. */
const decode: OnnxProgram = async (kit, { inputs, values }) => {
  const [width, heads] = [valueOf(values, "width"), valueOf(values, "heads")];
  const m = new ModelBuilder();
  const x = m.op("Add", [m.input("row", [1, width]), m.input("former", [1, width])]);
  const project = (from: string, name: string): string =>
    m.op("MatMul", [from, m.constant(inputOf(inputs, name))]);
  const [q, k, v] = ["wq", "wk", "wv"].map((name) =>
    m.op("Reshape", [project(x, name), m.list(1, 1, width)]),
  );
  const past = ["keys", "values"].map((name) => m.input(name, [1, heads, "past", width / heads]));
  const given = [q!, k!, v!, "", "", "", ...past];
  const attended = m.ops("MultiHeadAttention", given, { num_heads: heads }, 3, extended);
  const mixed = m.op("Reshape", [attended[0]!, m.list(1, width)]);
  m.output("out", project(mixed, "wo"));
  m.output("nextKeys", attended[1]!);
  m.output("nextValues", attended[2]!);
  const session = await kit.session(m.build());
  const rows = rowsOf(kit, inputOf(inputs, "xs"));
  const nothing = kit.input({ shape: [1, width], data: new Float32Array(width) });
  const start = ["keys", "values"].map((name) => kit.input(byHeads(inputOf(inputs, name), heads)));
  return iterated(kit, async () => {
    let [former, keys, cached] = [nothing, start[0]!, start[1]!];
    for (const [step, row] of rows.entries()) {
      const next = await session.run({ row, former, keys, values: cached });
      if (step > 0) for (const tensor of [former, keys, cached]) tensor.dispose();
      [former, keys, cached] = [next["out"]!, next["nextKeys"]!, next["nextValues"]!];
    }
    keys.dispose();
    cached.dispose();
    return former;
  });
};

export const onnxStepwise: Readonly<Record<string, OnnxProgram>> = {
  "peak of a varying batch": varyingBatch,
  "peak of growing key-value tensors": growingCaches,
  "key-value decoding": decode,
};
