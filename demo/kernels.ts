/** The main job's own kernels; what is built in (convolution, maximum) is not written twice. */

import { defineElementwise, defineKernel } from "moorage";

const luma = "0.2126 * red + 0.7152 * green + 0.0722 * blue";

/** Luma of 8-bit samples; `scale` is one over the value that stands for 1. */
export const lumaOfBytes = defineElementwise({
  label: "luma",
  inputs: ["r", "g", "b"],
  output: "float32",
  parameters: { scale: "f32" },
  body: `let red = f32(r); let green = f32(g); let blue = f32(b);
    return (${luma}) * P.scale;`,
});

/** Luma of 16-bit samples, which arrive as two bytes each, the low one first. */
export const lumaOfWords = defineElementwise({
  label: "luma",
  inputs: ["r_low", "r_high", "g_low", "g_high", "b_low", "b_high"],
  output: "float32",
  parameters: { scale: "f32" },
  body: `let red = f32(r_low + 256u * r_high);
    let green = f32(g_low + 256u * g_high);
    let blue = f32(b_low + 256u * b_high);
    return (${luma}) * P.scale;`,
});

/**
 * Sobel's two 3×3 filters in one go; beyond an edge, the edge pixel is repeated. The loops let a
 * bounded number of workgroups cover a picture of any size.
 */
export const sobel = defineKernel({
  label: "sobel",
  inputs: { source: "float32" },
  outputs: { gx: "float32", gy: "float32" },
  workgroup: [16, 4],
  wgsl: `
@compute @workgroup_size(16, 4)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let bottom = source_extent0() - 1u;
  let end = source_extent1() - 1u;
  for (var y = id.y; y <= bottom; y += groups.y * 4u) {
    let above = max(y, 1u) - 1u;
    let below = min(y + 1u, bottom);
    for (var x = id.x; x <= end; x += groups.x * 16u) {
      let left = max(x, 1u) - 1u;
      let right = min(x + 1u, end);
      let rising = source_get(below, right) - source_get(above, left);
      let falling = source_get(above, right) - source_get(below, left);
      let across = source_get(y, right) - source_get(y, left);
      let down = source_get(below, x) - source_get(above, x);
      gx_set(y, x, rising + falling + 2.0 * across);
      gy_set(y, x, rising - falling + 2.0 * down);
    }
  }
}`,
});

/** More invocations along one axis than this would not make {@link sobel} any faster. */
export const sobelInvocations = 16_384;

export const magnitude = defineElementwise({
  label: "magnitude",
  inputs: ["gx", "gy"],
  output: "float32",
  expression: "sqrt(gx * gx + gy * gy)",
});

/** `scale` is 255 over the largest magnitude, or 0 for a black picture. */
export const normalise = defineElementwise({
  label: "normalise",
  inputs: ["m"],
  output: "uint8",
  parameters: { scale: "f32" },
  expression: "u32(floor(clamp(m * P.scale, 0.0, 255.0) + 0.5))",
});

/** The largest σ that {@link gaussianWeights} is meant for: a radius of 1,000 pixels. */
export const maximumSigma = 1000 / 3;

/** ⌈3σ⌉: how many pixels the Gaussian reaches to each side. */
export function blurRadius(sigma: number): number {
  return Math.ceil(3 * sigma);
}

/** exp(−i²/2σ²) for i in −⌈3σ⌉…⌈3σ⌉, normalised to a sum of 1. */
export function gaussianWeights(sigma: number): Float32Array {
  const radius = blurRadius(sigma);
  // Divided before it is squared: the square of a tiny sigma would be 0.
  const raw = Array.from({ length: 2 * radius + 1 }, (_, index) =>
    Math.exp(-(((index - radius) / sigma) ** 2) / 2),
  );
  const sum = raw.reduce((total, weight) => total + weight, 0);
  return Float32Array.from(raw, (weight) => weight / sum);
}
