/** Layer norm and RMS norm of rows, in two passes. */

import { foldOfWorkgroup, head, sizeFor } from "./row-kernels.ts";
import type { RowKernel } from "./row-kernels.ts";
import { times } from "./wgsl.ts";

/** What the normalisations differ in; `x`, a vec4, is as far from a row's own origin. */
export interface Norm {
  readonly label: string;
  readonly parameters: readonly string[];
  /** The origin is a row's first element where the mean is wanted: sums of squares stay small. */
  readonly isCentred: boolean;
  readonly epsilon: string;
  /** What becomes of `v`, which has mean 0 and mean square 1, with `gamma` and perhaps `beta` at hand. */
  readonly result: string;
}

export const layerNorm: Norm = {
  label: "layer norm",
  parameters: ["gamma", "beta"],
  isCentred: true,
  epsilon: "1e-5",
  result: "v * gamma_here + beta_here",
};

export const rmsNorm: Norm = {
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
export function normByInvocation(norm: Norm, rows: number): RowKernel {
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
export function normByWorkgroup(norm: Norm, columns: number): RowKernel {
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
