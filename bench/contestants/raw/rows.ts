/** Kernels that work row by row: softmax and the normalisations. */

import { inputOf, valueOf } from "../../core/contract.ts";
import type { Prepared, Problem } from "../../core/contract.ts";
import { requireHardware, requireVectorLanes } from "./adapter.ts";
import type { RawVariant } from "./index.ts";
import type { Kit } from "./kit.ts";
import { times } from "./wgsl.ts";

/** A kernel over [rows, columns], all of it in vec4; its uniform `size` holds the rows and the vec4 of one. */
export interface RowKernel {
  readonly variant: string;
  /** How many rows a workgroup does. */
  readonly rows: number;
  readonly code: string;
}

function head(bindings: readonly string[], size: number, before = ""): string {
  const named = bindings.map(
    (name, at) => `@group(0) @binding(${at}) var<storage, read> ${name}: array<vec4f>;\n`,
  );
  return `${before}
${named.join("")}@group(0) @binding(${bindings.length}) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(${bindings.length + 1}) var<uniform> size: vec2u;
fn highest(v: vec4f) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }
fn total(v: vec4f) -> f32 { return dot(v, vec4f(1.0)); }
@compute @workgroup_size(${size})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let quads = size.y;`;
}

/** Three passes over a row: highest, powers and their sum, division. */
const softmaxInThree: RowKernel = {
  variant: "a row to an invocation, three passes",
  rows: 8,
  code: `${head(["x"], 8)}
  let row = group.x * 8u + lane;
  if (row >= size.x) { return; }
  let first = row * quads;
  let end = first + quads;
  var high = x[first];
  for (var at = first + 1u; at < end; at++) { high = max(high, x[at]); }
  let top = vec4f(highest(high));
  var sum = vec4f();
  for (var at = first; at < end; at++) {
    let power = exp(x[at] - top);
    y[at] = power;
    sum += power;
  }
  let scale = 1.0 / total(sum);
  for (var at = first; at < end; at++) { y[at] *= scale; }
}`,
};

/** Two passes: the sum is scaled down whenever a higher element turns up, which is seldom. */
const softmaxInTwo: RowKernel = {
  variant: "a row to an invocation, two passes",
  rows: 8,
  code: `${head(["x"], 8)}
  let row = group.x * 8u + lane;
  if (row >= size.x) { return; }
  let first = row * quads;
  let end = first + quads;
  var high = x[first];
  var sum = vec4f();
  for (var at = first; at < end; at += 4u) {
    ${times(4, (part) => `let x${part} = x[at + ${part}u];`, " ")}
    let higher = max(high, max(max(x0, x1), max(x2, x3)));
    if (any(higher != high)) {
      sum *= exp(high - higher);
      high = higher;
    }
    sum += exp(x0 - high) + exp(x1 - high) + exp(x2 - high) + exp(x3 - high);
  }
  let top = vec4f(highest(high));
  let scale = 1.0 / dot(sum, exp(high - top));
  for (var at = first; at < end; at += 4u) {
    ${times(4, (part) => `y[at + ${part}u] = exp(x[at + ${part}u] - top) * scale;`, "\n    ")}
  }
}`,
};

/** The lanes of a subgroup side by side in a row, row after row. */
function softmaxBySubgroup(lanes: number): RowKernel {
  return {
    variant: "a row to a subgroup",
    rows: 8,
    code: `${head(["x"], lanes, "enable subgroups;")}
  for (var row = group.x * 8u; row < min(group.x * 8u + 8u, size.x); row++) {
    let first = row * quads + lane;
    let end = (row + 1u) * quads;
    var high = vec4f(-1e38);
    for (var at = first; at < end; at += ${lanes}u) { high = max(high, x[at]); }
    let top = vec4f(subgroupMax(highest(high)));
    var sum = vec4f();
    for (var at = first; at < end; at += ${lanes}u) {
      let power = exp(x[at] - top);
      y[at] = power;
      sum += power;
    }
    let scale = 1.0 / subgroupAdd(total(sum));
    for (var at = first; at < end; at += ${lanes}u) { y[at] *= scale; }
  }
}`,
  };
}

/** Sums `own` over a workgroup through shared memory, or folds it another way. */
function foldOfWorkgroup(size: number, fold: (a: string, b: string) => string): string {
  return `
    shared_values[lane] = own;
    workgroupBarrier();
    for (var half = ${size / 2}u; half > 0u; half >>= 1u) {
      if (lane < half) {
        shared_values[lane] = ${fold("shared_values[lane]", "shared_values[lane + half]")};
      }
      workgroupBarrier();
    }
    let folded = workgroupUniformLoad(&shared_values[0]);`;
}

/** A row to a workgroup, its neighbours side by side: for GPUs. */
function softmaxByWorkgroup(columns: number): RowKernel {
  const size = sizeFor(columns);
  return {
    variant: "a row to a workgroup",
    rows: 1,
    code: `var<workgroup> shared_values: array<f32, ${size}>;
${head(["x"], size)}
  let first = group.x * quads + lane;
  let end = (group.x + 1u) * quads;
  var high = vec4f(-1e38);
  for (var at = first; at < end; at += ${size}u) { high = max(high, x[at]); }
  var top: vec4f;
  {
    let own = highest(high);${foldOfWorkgroup(size, (a, b) => `max(${a}, ${b})`)}
    top = vec4f(folded);
  }
  var sum = vec4f();
  for (var at = first; at < end; at += ${size}u) { sum += exp(x[at] - top); }
  let own = total(sum);${foldOfWorkgroup(size, (a, b) => `${a} + ${b}`)}
  let scale = 1.0 / folded;
  for (var at = first; at < end; at += ${size}u) { y[at] = exp(x[at] - top) * scale; }
}`,
  };
}

/** A power of two, at most a vec4 to an invocation. */
function sizeFor(columns: number): number {
  let size = 1;
  while (size * 2 <= columns / 4 && size < 256) size *= 2;
  return size;
}

/** What the normalisations differ in; `x`, a vec4, is as far from a row's own origin. */
interface Norm {
  readonly label: string;
  readonly parameters: readonly string[];
  /** The origin is a row's first element where the mean is wanted: sums of squares stay small. */
  readonly isCentred: boolean;
  readonly epsilon: string;
  /** What becomes of `v`, which has mean 0 and mean square 1, with `gamma` and perhaps `beta` at hand. */
  readonly result: string;
}

const layerNorm: Norm = {
  label: "layer norm",
  parameters: ["gamma", "beta"],
  isCentred: true,
  epsilon: "1e-5",
  result: "v * gamma_here + beta_here",
};

const rmsNorm: Norm = {
  label: "rms norm",
  parameters: ["gamma"],
  isCentred: false,
  epsilon: "1e-6",
  result: "v * gamma_here",
};

/** From a row's sums to its `mean` and `scale`, and from an element to its result. */
function statistics({ isCentred, epsilon }: Norm, squares: string, sum: string): string {
  if (!isCentred) return `let scale = inverseSqrt(${squares} / columns + ${epsilon});`;
  return `let off = ${sum} / columns;
    let scale = inverseSqrt(max(0.0, ${squares} / columns - off * off) + ${epsilon});
    let mean = origin + off;`;
}

function parametersAt(norm: Norm, place: string): string {
  return norm.parameters.map((name) => `let ${name}_here = ${name}[${place}];`).join(" ");
}

/** Several rows to an invocation, so that a load of gamma and beta serves all of them. */
function normByInvocation(norm: Norm, rows: number): RowKernel {
  const { isCentred, result } = norm;
  return {
    variant: rows === 1 ? "a row to an invocation" : `${rows} rows to an invocation`,
    rows: 8 * rows,
    code: `${head(["x", ...norm.parameters], 8)}
  let columns = f32(quads * 4u);
  let row = (group.x * 8u + lane) * ${rows}u;
  if (row >= size.x) { return; }
  ${times(rows, (r) => `let first${r} = (row + ${r}u) * quads; var sum${r} = vec4f(); var squares${r} = vec4f();${isCentred ? ` let origin${r} = x[first${r}].x;` : ""}`, "\n  ")}
  for (var at = 0u; at < quads; at++) {
    ${times(rows, (r) => (isCentred ? `let v${r} = x[first${r} + at] - origin${r}; sum${r} += v${r}; squares${r} += v${r} * v${r};` : `let v${r} = x[first${r} + at]; squares${r} += v${r} * v${r};`), "\n    ")}
  }
  ${times(rows, (r) => `var scale${r}: f32;${isCentred ? ` var mean${r}: f32;` : ""} { ${isCentred ? `let origin = origin${r}; ` : ""}${statistics(norm, `total(squares${r})`, `total(sum${r})`)} scale${r} = scale;${isCentred ? ` mean${r} = mean;` : ""} }`, "\n  ")}
  for (var at = 0u; at < quads; at++) {
    ${parametersAt(norm, "at")}
    ${times(rows, (r) => `{ let v = ${isCentred ? `(x[first${r} + at] - mean${r})` : `x[first${r} + at]`} * scale${r}; y[first${r} + at] = ${result}; }`, "\n    ")}
  }
}`,
  };
}

/** A row to a workgroup, as softmax for GPUs. */
function normByWorkgroup(norm: Norm, columns: number): RowKernel {
  const size = sizeFor(columns);
  const { isCentred, result } = norm;
  return {
    variant: "a row to a workgroup",
    rows: 1,
    code: `var<workgroup> shared_values: array<vec2f, ${size}>;
${head(["x", ...norm.parameters], size)}
  let columns = f32(quads * 4u);
  let start = group.x * quads;
  ${isCentred ? "let origin = x[start].x;" : ""}
  var sum = vec4f();
  var squares = vec4f();
  for (var at = lane; at < quads; at += ${size}u) {
    let v = x[start + at]${isCentred ? " - origin" : ""};
    sum += v;
    squares += v * v;
  }
  let own = vec2f(total(sum), total(squares));${foldOfWorkgroup(size, (a, b) => `${a} + ${b}`)}
  ${statistics(norm, "folded.y", "folded.x")}
  for (var at = lane; at < quads; at += ${size}u) {
    ${parametersAt(norm, "at")}
    let v = (x[start + at]${isCentred ? " - mean" : ""}) * scale;
    y[start + at] = ${result};
  }
}`,
  };
}

export function layerNormByInvocation(rows: number): RowKernel {
  return normByInvocation(layerNorm, rows);
}

export function layerNormByWorkgroup(columns: number): RowKernel {
  return normByWorkgroup(layerNorm, columns);
}

async function run(
  { values, inputs }: Problem,
  kit: Kit,
  label: string,
  names: readonly string[],
  { variant, rows: rowsOfGroup, code }: RowKernel,
): Promise<Prepared> {
  const [rows, columns] = [valueOf(values, "rows"), valueOf(values, "columns")];
  const y = kit.buffer("y", rows * columns * 4);
  const bound = [
    ...names.map((name) => kit.input(name, inputOf(inputs, name))),
    y,
    kit.uniform("size", new Uint32Array([rows, columns / 4])),
  ];
  const pipeline = await kit.pipeline(label, code);
  const step = kit.step(pipeline, bound, [Math.ceil(rows / rowsOfGroup)]);
  return kit.prepared([step], [{ buffer: y, count: rows * columns }], variant);
}

type Choose = (problem: Problem, kit: Kit) => RowKernel;

function variants(
  label: string,
  names: readonly string[],
  choices: readonly Choose[],
): RawVariant[] {
  return choices.map(
    (choose) => (problem, kit) => run(problem, kit, label, names, choose(problem, kit)),
  );
}

function normVariants(norm: Norm): RawVariant[] {
  return variants(
    norm.label,
    ["x", ...norm.parameters],
    [
      () => normByInvocation(norm, 1),
      () => normByInvocation(norm, 4),
      ({ values }, kit) => {
        requireHardware(kit);
        return normByWorkgroup(norm, valueOf(values, "columns"));
      },
    ],
  );
}

export const rowKernels: Readonly<Record<string, readonly RawVariant[]>> = {
  softmax: variants(
    "softmax",
    ["x"],
    [
      () => softmaxInThree,
      () => softmaxInTwo,
      (_, kit) => softmaxBySubgroup(requireVectorLanes(kit)),
      ({ values }, kit) => {
        requireHardware(kit);
        return softmaxByWorkgroup(valueOf(values, "columns"));
      },
    ],
  ),
  "layer norm": normVariants(layerNorm),
  "rms norm": normVariants(rmsNorm),
};
