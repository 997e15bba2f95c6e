/**
 * The kernels that start soonest: a plain loop in each invocation, little to compile. For cold starts
 * alone; warm, the tuned ones win.
 */

import { inputOf, valueOf } from "../../core/contract.ts";
import type { Prepared, Problem } from "../../core/contract.ts";
import type { Kit } from "./kit.ts";
import type { RawVariant } from "./variant.ts";

const variant = "plain";

const takes = {
  sum: "best += value;",
  max: "best = max(best, value);",
  argmax: "if (value > best) { best = value; place = i; }",
} as const;

/** `lines` folds of `length` elements, `step` apart, the next line's first `jump` further. */
function fold(kind: keyof typeof takes): RawVariant {
  const isPlace = kind === "argmax";
  const code = `
override lines: u32; override length_: u32; override step_: u32; override jump: u32;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<${isPlace ? "u32" : "f32"}>;
@compute @workgroup_size(4) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= lines) { return; }
  var best = ${kind === "sum" ? "0.0" : "-3e38"};${isPlace ? " var place = 0u;" : ""}
  for (var i = 0u; i < length_; i++) { let value = x[id.x * jump + i * step_]; ${takes[kind]} }
  y[id.x] = ${isPlace ? "place" : "best"};
}`;
  return async ({ inputs, values }, kit) => {
    const x = inputOf(inputs, "x");
    const { rows = 1, columns = x.data.length, axis = 1 } = values;
    const [lines, length_] = axis === 1 ? [rows, columns] : [columns, rows];
    const [step_, jump] = axis === 1 ? [1, columns] : [columns, 1];
    const y = kit.buffer("y", lines * 4);
    const pipeline = await kit.pipeline(kind, code, { lines, length_, step_, jump });
    const step = kit.step(pipeline, [kit.input("x", x), y], [Math.ceil(lines / 4)]);
    const output = { buffer: y, count: lines, ...(isPlace ? { type: Uint32Array } : {}) };
    return kit.prepared([step], [output], variant);
  };
}

const softmaxCode = `
override rows: u32; override columns: u32;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(4) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= rows) { return; }
  let first = id.x * columns;
  var high = -3e38;
  for (var i = 0u; i < columns; i++) { high = max(high, x[first + i]); }
  var sum = 0.0;
  for (var i = 0u; i < columns; i++) { sum += exp(x[first + i] - high); }
  for (var i = 0u; i < columns; i++) { y[first + i] = exp(x[first + i] - high) / sum; }
}`;

const transposeCode = `
override rows: u32; override columns: u32;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < rows * columns) { y[id.x] = x[id.x % rows * columns + id.x / rows]; }
}`;

async function matrix(
  { inputs, values }: Problem,
  kit: Kit,
  code: string,
  workgroupsOf: (rows: number, columns: number) => number,
): Promise<Prepared> {
  const [rows, columns] = [valueOf(values, "rows"), valueOf(values, "columns")];
  const y = kit.buffer("y", rows * columns * 4);
  const pipeline = await kit.pipeline("plain", code, { rows, columns });
  const buffers = [kit.input("x", inputOf(inputs, "x")), y];
  const step = kit.step(pipeline, buffers, [workgroupsOf(rows, columns)]);
  return kit.prepared([step], [{ buffer: y, count: rows * columns }], variant);
}

/** One element to an invocation: `y[at] = …` of the buffers `x` and, where there is one, `i`. */
interface ElementKernel {
  readonly declare: string;
  readonly inputs: readonly string[];
  readonly value: string;
  readonly output: "f32" | "i32";
  /** What the size's values are to the kernel, and how many elements there are. */
  readonly constants: (values: Problem["values"]) => Record<string, number>;
  readonly count: (values: Problem["values"]) => number;
}

function element({ declare, inputs, value, output, constants, count }: ElementKernel): RawVariant {
  const code = `
${declare}
@group(0) @binding(${inputs.length}) var<storage, read_write> y: array<${output}>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = id.x;
  y[at] = ${value};
}`;
  return async (problem, kit) => {
    const elements = count(problem.values);
    const y = kit.buffer("y", elements * 4);
    const pipeline = await kit.pipeline("plain", code, constants(problem.values));
    const buffers = inputs.map((name) => kit.input(name, inputOf(problem.inputs, name)));
    const step = kit.step(pipeline, [...buffers, y], [elements / 64]);
    const type = output === "i32" ? { type: Int32Array } : {};
    return kit.prepared([step], [{ buffer: y, count: elements, ...type }], variant);
  };
}

const plainCast = element({
  declare: "@group(0) @binding(0) var<storage, read> x: array<f32>;",
  inputs: ["x"],
  value: "i32(x[at])",
  output: "i32",
  constants: () => ({}),
  count: ({ elements = 0 }) => elements,
});

const plainGather = element({
  declare: `override columns: u32;
@group(0) @binding(0) var<storage, read> table: array<f32>;
@group(0) @binding(1) var<storage, read> indices: array<u32>;`,
  inputs: ["table", "indices"],
  value: "table[indices[at / columns] * columns + at % columns]",
  output: "f32",
  constants: ({ columns = 0 }) => ({ columns }),
  count: ({ columns = 0, count = 0 }) => columns * count,
});

const plainPermute = element({
  declare: `override d0: u32; override d1: u32; override d2: u32; override d3: u32;
@group(0) @binding(0) var<storage, read> x: array<f32>;`,
  inputs: ["x"],
  value: "x[((at / (d1 * d3) % d0 * d1 + at % d1) * d2 + at / (d1 * d3 * d0)) * d3 + at / d1 % d3]",
  output: "f32",
  constants: ({ d0 = 0, d1 = 0, d2 = 0, d3 = 0 }) => ({ d0, d1, d2, d3 }),
  count: ({ d0 = 0, d1 = 0, d2 = 0, d3 = 0 }) => d0 * d1 * d2 * d3,
});

/** By the name of the kernel that is started. */
export const plainKernels: Readonly<Record<string, RawVariant>> = {
  sum: fold("sum"),
  max: fold("max"),
  argmax: fold("argmax"),
  "sum along an axis": fold("sum"),
  "max along an axis": fold("max"),
  "argmax along an axis": fold("argmax"),
  cast: plainCast,
  gather: plainGather,
  permute: plainPermute,
  softmax: async (problem, kit) =>
    await matrix(problem, kit, softmaxCode, (rows) => Math.ceil(rows / 4)),
  transpose: async (problem, kit) =>
    await matrix(problem, kit, transposeCode, (rows, columns) => (rows * columns) / 64),
};
