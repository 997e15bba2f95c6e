/** The kernels of its own that a user of Moorage would write for these cases. */

import { defineElementwise, defineKernel } from "moorage";

/** The second half of a layer norm, of a centred row and the sum of its squares. */
export const scaleAndShift = defineElementwise({
  label: "layer norm: scale and shift",
  inputs: ["x", "squares", "gamma", "beta"],
  output: "float32",
  parameters: { width: "f32", epsilon: "f32" },
  expression: "x * inverseSqrt(squares / P.width + P.epsilon) * gamma + beta",
});

export const scaleBySquares = defineElementwise({
  label: "rms norm: scale",
  inputs: ["x", "squares", "gamma"],
  output: "float32",
  parameters: { width: "f32", epsilon: "f32" },
  expression: "x * inverseSqrt(squares / P.width + P.epsilon) * gamma",
});

/** `a - b * P.factor`: a row less its mean, of the row's sum. */
export const subtractScaled = defineElementwise({
  label: "subtract scaled",
  inputs: ["a", "b"],
  output: "float32",
  parameters: { factor: "f32" },
  expression: "a - b * P.factor",
});

export const addRelu = defineElementwise({
  label: "bias and activation",
  inputs: ["x", "bias"],
  output: "float32",
  expression: "max(x + bias, 0.0)",
});

/** By its usual approximation with tanh, which overflows in exp beyond 15 on some drivers. */
export const gelu = defineElementwise({
  label: "gelu",
  inputs: ["x"],
  output: "float32",
  body: `let inner = 0.7978845608 * (x + 0.044715 * x * x * x);
    return 0.5 * x * (1.0 + tanh(clamp(inner, -15.0, 15.0)));`,
});

export const luma = defineElementwise({
  label: "luma",
  inputs: ["r", "g", "b"],
  output: "float32",
  expression: "0.2126 * r + 0.7152 * g + 0.0722 * b",
});

/** The magnitude of Sobel's two filters; beyond an edge, the edge repeats. */
export const sobelMagnitude = defineKernel({
  label: "sobel magnitude",
  inputs: { source: "float32" },
  outputs: { magnitude: "float32" },
  workgroup: [16, 4],
  wgsl: `
@compute @workgroup_size(16, 4)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let bottom = source_extent0() - 1u;
  let end = source_extent1() - 1u;
  if (id.y > bottom || id.x > end) { return; }
  let above = max(id.y, 1u) - 1u;
  let below = min(id.y + 1u, bottom);
  let left = max(id.x, 1u) - 1u;
  let right = min(id.x + 1u, end);
  let rising = source_get(below, right) - source_get(above, left);
  let falling = source_get(above, right) - source_get(below, left);
  let gx = rising + falling + 2.0 * (source_get(id.y, right) - source_get(id.y, left));
  let gy = rising - falling + 2.0 * (source_get(below, id.x) - source_get(above, id.x));
  magnitude_set(id.y, id.x, sqrt(gx * gx + gy * gy));
}`,
});
