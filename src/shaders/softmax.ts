/**
 * Softmax over the middle axis of a contiguous float32 [outer, length, inner] input: one row to an
 * invocation, three passes over it (maximum, sum, quotient), no barriers.
 */

import {
  declareBindings,
  declareLoad,
  declareParameters,
  linearIndex,
  linearMain,
} from "./binding.ts";
import type { BindingPlan, Operand, Parameter } from "./binding.ts";

export const softmaxParameters: readonly Parameter[] = [
  { name: "rows", type: "u32" },
  { name: "length", type: "u32" },
  { name: "inner", type: "u32" },
];

export function softmaxShader(plan: BindingPlan): string {
  const input: Operand = { name: "x", dtype: "float32", lanes: 1 };
  const output: Operand = { name: "out", dtype: "float32", lanes: 1 };
  const operands = [input, output];
  return `${declareBindings(operands, plan)}
${declareParameters(operands, softmaxParameters)}
${declareLoad(input, plan, 0)}
${linearIndex}
${linearMain} {
  let r = linear_index(id, groups);
  if (r >= P.rows) { return; }
  let base = (r / P.inner) * P.length * P.inner + r % P.inner;
  // The maximum is subtracted so that exp cannot overflow.
  var highest = load_x(P.x_offset + base);
  for (var k = 1u; k < P.length; k++) { highest = max(highest, load_x(P.x_offset + base + k * P.inner)); }
  var total = 0.0;
  for (var k = 0u; k < P.length; k++) {
    let e = exp(load_x(P.x_offset + base + k * P.inner) - highest);
    total += e;
    buffer${plan.slots[1]!}[P.out_offset + base + k * P.inner] = e;
  }
  for (var k = 0u; k < P.length; k++) {
    buffer${plan.slots[1]!}[P.out_offset + base + k * P.inner] /= total;
  }
}`;
}
