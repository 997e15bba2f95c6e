/**
 * Reductions over the middle axis of a contiguous [outer, length, inner] input. Each invocation
 * folds one chunk of one row without barriers, which is what software adapters run fastest; a row
 * of several chunks is folded again, chunk by chunk, by a second dispatch.
 */

import { dtypeInfo } from "../host/dtype.ts";
import type { DType } from "../host/dtype.ts";
import {
  declareBindings,
  declareLoad,
  declareLoad4,
  declareParameters,
  linearIndex,
  linearMain,
} from "./binding.ts";
import type { BindingPlan, Operand, Parameter } from "./binding.ts";

export type Reduction = "sum" | "min" | "max" | "argmax";

export interface ReduceSpec {
  readonly reduction: Reduction;
  readonly input: DType;
  /** Whether four elements of a row can be read at once. */
  readonly isRow4: boolean;
  /**
   * For `argmax` in the second pass: the input is read through a list of candidate indices, the
   * second operand, instead of directly.
   */
  readonly isIndirect: boolean;
}

/** outputs = outer × chunks × inner; output o,c,i folds elements [c × chunk, (c+1) × chunk) of row o,i. */
export const reduceParameters: readonly Parameter[] = [
  { name: "outputs", type: "u32" },
  { name: "length", type: "u32" },
  { name: "inner", type: "u32" },
  { name: "chunks", type: "u32" },
  { name: "chunk", type: "u32" },
  { name: "row_length", type: "u32" },
];

/** The dtype that a reduction of `input` has while it is folded: never smaller than a word. */
export function reducedDtype(reduction: Reduction, input: DType): DType {
  if (reduction === "argmax") return "uint32";
  const { scalar } = dtypeInfo(input);
  return scalar === "f32" ? "float32" : scalar === "i32" ? "int32" : "uint32";
}

export function reduceShader(spec: ReduceSpec, plan: BindingPlan): string {
  const { reduction } = spec;
  const input: Operand = { name: "x", dtype: spec.input, lanes: spec.isRow4 ? 4 : 1 };
  const list: Operand[] = spec.isIndirect ? [{ name: "list", dtype: "uint32", lanes: 1 }] : [];
  const output: Operand = { name: "out", dtype: reducedDtype(reduction, spec.input), lanes: 1 };
  const operands = [input, ...list, output];
  const head = [
    declareBindings(operands, plan),
    declareParameters(operands, reduceParameters),
    declareLoad(input, plan, 0),
    ...(spec.isRow4 ? [declareLoad4(input, plan, 0)] : []),
    ...(spec.isIndirect ? [declareLoad(list[0]!, plan, 1)] : []),
    linearIndex,
  ].join("\n");
  const out = `buffer${plan.slots[operands.length - 1]!}[P.out_offset + o]`;
  const fold = reduction === "argmax" ? argmaxLoop(spec) : foldLoop(reduction, spec.isRow4);
  return `${head}
${linearMain} {
  let o = linear_index(id, groups);
  if (o >= P.outputs) { return; }
  let i = o % P.inner;
  let c = (o / P.inner) % P.chunks;
  let row = o / (P.inner * P.chunks);
  let first = c * P.chunk;
  let end = min(first + P.chunk, P.length);
  ${fold}
  ${out} = result;
}`;
}

/** Starts with the first element: WGSL has no literal for infinity to start from. */
/** How a reduction joins two values. */
const joins: {
  readonly [R in Exclude<Reduction, "argmax">]: (a: string, b: string) => string;
} = {
  sum: (a, b) => `${a} + ${b}`,
  min: (a, b) => `min(${a}, ${b})`,
  max: (a, b) => `max(${a}, ${b})`,
};

function foldLoop(reduction: "sum" | "min" | "max", isRow4: boolean): string {
  const join = joins[reduction];
  if (!isRow4) {
    return `let base = P.x_offset + row * P.length * P.inner + i;
  var result = load_x(base + first * P.inner);
  for (var k = first + 1u; k < end; k++) {
    let value = load_x(base + k * P.inner);
    result = ${join("result", "value")};
  }`;
  }
  return `let base = P.x_offset + row * P.length;
  var lanes = load4_x(base + first);
  for (var k = first + 4u; k < end; k += 4u) {
    let value = load4_x(base + k);
    lanes = ${join("lanes", "value")};
  }
  let result = ${join(join("lanes.x", "lanes.y"), join("lanes.z", "lanes.w"))};`;
}

function argmaxLoop({ isIndirect }: ReduceSpec): string {
  // The first of equal values wins: chunks are in order, and only a greater value replaces.
  const at = isIndirect ? `load_list(P.list_offset + (row * P.length + k) * P.inner + i)` : "k";
  return `var result = 0u;
  var best = load_x(P.x_offset);
  for (var k = first; k < end; k++) {
    let candidate = ${at};
    let value = load_x(P.x_offset + (row * P.row_length + candidate) * P.inner + i);
    if (k == first || value > best) {
      best = value;
      result = candidate;
    }
  }`;
}
