/** Layer norm from sums and two kernels: Moorage has none built in. */

import type { Scope, Tensor } from "moorage";

import { scaleAndShift, subtractScaled } from "./kernels.ts";
import type { Operand } from "./program.ts";

type Result<S> = Tensor<"float32", S>;

/** Along the last axis. */
export function layerNorm<S>(
  s: Scope<S>,
  x: Operand | Result<S>,
  gamma: Operand,
  beta: Operand,
): Result<S> {
  const count = x.shape.at(-1)!;
  const axis = x.shape.length - 1;
  const total = s.sum(x, { axis, keepDims: true });
  const centred = s.map(subtractScaled, [x, total], { parameters: { factor: 1 / count } });
  const squares = s.sum(s.unary("square", centred), { axis, keepDims: true });
  return s.map(scaleAndShift, [centred, squares, gamma, beta], {
    parameters: { width: count, epsilon: 1e-5 },
  });
}
