/**
 * Convolution along one axis of a contiguous float32 [outer, length, inner] input with an odd number
 * of weights; elements past an edge repeat the edge. Two of them, along two axes, are a separable
 * convolution.
 */

import {
  declareBindings,
  declareLoad,
  declareParameters,
  linearIndex,
  linearMain,
} from "./binding.ts";
import type { BindingPlan, Operand, Parameter } from "./binding.ts";

export const convolveParameters: readonly Parameter[] = [
  { name: "count", type: "u32" },
  { name: "length", type: "u32" },
  { name: "inner", type: "u32" },
  { name: "radius", type: "u32" },
];

export function convolveShader(plan: BindingPlan): string {
  const operands: Operand[] = [
    { name: "x", dtype: "float32", lanes: 1 },
    { name: "weights", dtype: "float32", lanes: 1 },
    { name: "out", dtype: "float32", lanes: 1 },
  ];
  return `${declareBindings(operands, plan)}
${declareParameters(operands, convolveParameters)}
${declareLoad(operands[0]!, plan, 0)}
${declareLoad(operands[1]!, plan, 1)}
${linearIndex}
${linearMain} {
  let o = linear_index(id, groups);
  if (o >= P.count) { return; }
  let i = o % P.inner;
  let at = i32((o / P.inner) % P.length);
  let row = P.x_offset + (o / (P.inner * P.length)) * P.length * P.inner + i;
  let last = i32(P.length) - 1;
  let taps = 2u * P.radius + 1u;
  var total = 0.0;
  for (var k = 0u; k < taps; k++) {
    let place = clamp(at + i32(k) - i32(P.radius), 0, last);
    total += load_weights(P.weights_offset + k) * load_x(row + u32(place) * P.inner);
  }
  buffer${plan.slots[2]!}[P.out_offset + o] = total;
}`;
}
