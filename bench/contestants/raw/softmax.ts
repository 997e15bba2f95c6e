/** Softmax of rows: fewer passes for processors, fewer idle lanes for GPUs. */

import { foldOfWorkgroup, head, sizeFor } from "./row-kernels.ts";
import type { RowKernel } from "./row-kernels.ts";
import { times } from "./wgsl.ts";

/** Three passes over a row: highest, powers and their sum, division. */
export const softmaxInThree: RowKernel = {
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
export const softmaxInTwo: RowKernel = {
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

/** A row to a workgroup, its neighbours side by side: for GPUs. */
export function softmaxByWorkgroup(columns: number): RowKernel {
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
