/** What computations need at their peak: every buffer is made once, as large as it is ever needed. */

import { batchOf } from "../../cases/memory.ts";
import { inputOf, valueOf } from "../../core/contract.ts";
import type { Prepared, Problem } from "../../core/contract.ts";
import type { Kit, Step } from "./kit.ts";
import type { RawVariant } from "./variant.ts";

/**
 * Four rows by four columns to an invocation; rows past the last fall on padding. How many rows a step
 * takes is said by the grid.
 */
const layerCode = (activation: string): string => `
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> w: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
override quads: u32;
@compute @workgroup_size(16) fn main(@builtin(global_invocation_id) id: vec3u) {
  let first = id.y * 4u * quads;
  var sums: array<vec4f, 4>;
  for (var inner = 0u; inner < quads; inner++) {
    let w0 = w[inner * 4u * quads + id.x];
    let w1 = w[(inner * 4u + 1u) * quads + id.x];
    let w2 = w[(inner * 4u + 2u) * quads + id.x];
    let w3 = w[(inner * 4u + 3u) * quads + id.x];
    for (var row = 0u; row < 4u; row++) {
      let a = x[first + row * quads + inner];
      sums[row] += a.x * w0 + a.y * w1 + a.z * w2 + a.w * w3;
    }
  }
  for (var row = 0u; row < 4u; row++) {
    let sum = sums[row];
    y[first + row * quads + id.x] = ${activation};
  }
}`;

async function varyingBatch({ inputs, values }: Problem, kit: Kit): Promise<Prepared> {
  const [steps, batch, width] = [
    valueOf(values, "steps"),
    valueOf(values, "batch"),
    valueOf(values, "width"),
  ];
  const rows = Array.from({ length: steps }, (_, step) => batchOf(batch, step));
  const padded = Math.ceil(Math.max(...rows) / 4) * 4;
  const [x, w1, w2] = ["x", "w1", "w2"].map((name) => kit.input(name, inputOf(inputs, name)));
  const inner = kit.buffer("inner", padded * width * 4);
  const y = kit.buffer("y", padded * width * 4);
  const constants = { quads: width / 4 };
  const [first, second] = await Promise.all([
    kit.pipeline("inner layer", layerCode("max(sum, vec4f())"), constants),
    kit.pipeline("outer layer", layerCode("sum"), constants),
  ]);
  const layers = [kit.step(first, [x!, w1!, inner], [1]), kit.step(second, [inner, w2!, y], [1])];
  const all = rows.flatMap((count) =>
    layers.map((step): Step => ({ ...step, workgroups: [width / 64, Math.ceil(count / 4)] })),
  );
  return kit.prepared(all, [{ buffer: y, count: rows.at(-1)! * width }]);
}

/** Tensors that grow up to a length that is known are made that long; a row is a copy. */
function growingTensors({ inputs, values }: Problem, kit: Kit): Promise<Prepared> {
  const [tensors, steps, width] = [
    valueOf(values, "tensors"),
    valueOf(values, "steps"),
    valueOf(values, "width"),
  ];
  const x = kit.input("x", inputOf(inputs, "x"));
  const caches = Array.from({ length: tensors }, (_, index) =>
    kit.buffer(`cache ${index}`, steps * width * 4),
  );
  const rowBytes = width * 4;
  const record = (encoder: GPUCommandEncoder): void => {
    for (let step = 0; step < steps; step++) {
      for (const cache of caches)
        encoder.copyBufferToBuffer(x, step * rowBytes, cache, step * rowBytes, rowBytes);
    }
  };
  return Promise.resolve(
    kit.preparedCopies(record, [{ buffer: caches[0]!, count: steps * width }]),
  );
}

export const leastMemory: Readonly<Record<string, readonly RawVariant[]>> = {
  "peak of a varying batch": [varyingBatch],
  "peak of growing key-value tensors": [growingTensors],
};
