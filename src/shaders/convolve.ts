/**
 * Convolution along one axis of a contiguous float32 [outer, length, inner] input with an odd number
 * of weights; elements past an edge repeat the edge. Two of them, along two axes, are a separable
 * convolution. An invocation makes four outputs:
 *
 * - `row` (the axis is the last): neighbours along the axis. Each element is read once and used four
 *   times, with the weights shifting by one lane.
 * - `column` (another axis, `inner` a multiple of four): neighbours along the last axis, by `vec4`.
 * - `strided` (anything else): one output only.
 *
 * Every output adds its terms in the same order, whatever else is in the picture.
 */

import {
  declareBindings,
  declareLoad,
  declareLoad4,
  declareParameters,
  linearIndex,
  linearMain,
  planFits,
} from "./binding.ts";
import type { BindingPlan, Operand, Parameter } from "./binding.ts";

export type ConvolveForm = "row" | "column" | "strided";

export const convolveParameters: readonly Parameter[] = [
  { name: "groups", type: "u32" },
  { name: "length", type: "u32" },
  { name: "inner", type: "u32" },
  { name: "radius", type: "u32" },
];

/** Invocations that a shape takes: the parameter `groups`. */
export function convolveGroups(
  form: ConvolveForm,
  rows: { readonly outer: number; readonly length: number; readonly inner: number },
): number {
  if (form === "row") return rows.outer * Math.ceil(rows.length / 4);
  const outputs = rows.outer * rows.length * rows.inner;
  return form === "column" ? outputs / 4 : outputs;
}

export function convolveShader(form: ConvolveForm, plan: BindingPlan): string {
  const wide = convolveOperands(form === "column" ? 4 : 1);
  // Weights that share a binding with the input are scalars, and then so is the input.
  const isWide = form === "column" && planFits(wide, plan);
  const operands = isWide ? wide : convolveOperands(1);
  const [x, weights] = operands as [Operand, Operand, Operand];
  const body = { row: rowBody, column: columnBody, strided: stridedBody }[form];
  const out = `buffer${plan.slots[2]!}`;
  const storeFour = isWide
    ? `${out}[index / 4u] = value;`
    : `for (var lane = 0u; lane < 4u; lane++) { ${out}[index + lane] = value[lane]; }`;
  const loadFour = isWide
    ? declareLoad4(x, plan, 0)
    : "fn load4_x(index: u32) -> vec4<f32> { return vec4(load_x(index), load_x(index + 1u), load_x(index + 2u), load_x(index + 3u)); }";
  return `${declareBindings(operands, plan)}
${declareParameters(operands, convolveParameters)}
${declareLoad(x, plan, 0)}
${declareLoad(weights, plan, 1)}
${form === "column" ? `${loadFour}\nfn store4_out(index: u32, value: vec4<f32>) { ${storeFour} }` : ""}
${linearIndex}
${linearMain} {
  let g = linear_index(id, groups);
  if (g >= P.groups) { return; }
  let last = i32(P.length) - 1;
  let radius = i32(P.radius);
  let taps = 2u * P.radius + 1u;
${body(out)}
}`;
}

function convolveOperands(lanes: 1 | 4): readonly Operand[] {
  return [
    { name: "x", dtype: "float32", lanes },
    { name: "weights", dtype: "float32", lanes: 1 },
    { name: "out", dtype: "float32", lanes },
  ];
}

const rowBody = (out: string): string => `  let quads = (P.length + 3u) / 4u;
  let at = (g % quads) * 4u;
  let row = (g / quads) * P.length;
  var total = vec4<f32>();
  // Lane l is the output at + l: it meets the element at + k - radius with weight k - l.
  var w = vec4<f32>();
  for (var k = 0u; k < taps + 3u; k++) {
    var next = 0.0;
    if (k < taps) { next = load_weights(P.weights_offset + k); }
    w = vec4(next, w.xyz);
    let near = clamp(i32(at + k) - radius, 0, last);
    total += w * load_x(P.x_offset + row + u32(near));
  }
  for (var lane = 0u; lane < min(4u, P.length - at); lane++) {
    ${out}[P.out_offset + row + at + lane] = total[lane];
  }`;

const columnBody = (): string => `  let quads = P.inner / 4u;
  let i = (g % quads) * 4u;
  let at = i32((g / quads) % P.length);
  let plane = (g / (quads * P.length)) * P.length;
  var total = vec4<f32>();
  for (var k = 0u; k < taps; k++) {
    let near = u32(clamp(at + i32(k) - radius, 0, last));
    total += load_weights(P.weights_offset + k) * load4_x(P.x_offset + (plane + near) * P.inner + i);
  }
  store4_out(P.out_offset + (plane + u32(at)) * P.inner + i, total);`;

const stridedBody = (out: string): string => `  let i = g % P.inner;
  let at = i32((g / P.inner) % P.length);
  let plane = (g / (P.inner * P.length)) * P.length;
  var total = 0.0;
  for (var k = 0u; k < taps; k++) {
    let near = u32(clamp(at + i32(k) - radius, 0, last));
    total += load_weights(P.weights_offset + k) * load_x(P.x_offset + (plane + near) * P.inner + i);
  }
  ${out}[P.out_offset + g] = total;`;
