/** The cases that Moorage computes as a graph of its operations. */

import type { Scope, Tensor } from "moorage";

import { valueOf } from "../../core/contract.ts";
import { addRelu, luma, scaleBySquares, sobelMagnitude } from "./kernels.ts";
import { layerNorm } from "./layer-norm.ts";
import { networkGraphs } from "./networks.ts";
import type { Graph, Operand } from "./program.ts";

type Result<S> = Tensor<"float32", S>;

/** Turn by turn times `b` and plus `a`. */
function chain<S>(s: Scope<S>, a: Operand, b: Operand, count: number): Result<S> {
  let value = s.multiply(a, b);
  for (let step = 1; step < count; step++) {
    const next = step % 2 === 0 ? s.multiply(value, b) : s.add(value, a);
    value.dispose();
    value = next;
  }
  return value;
}

export const graphs: Readonly<Record<string, Graph>> = {
  "element-wise chain": (s, { a, b }, values) => chain(s, a!, b!, valueOf(values, "count")),
  cast: (s, { x }) => s.cast(x!, "int32"),
  "dependent small kernels"(s, { x }, values) {
    const count = valueOf(values, "count");
    let value = s.add(x!, x!);
    for (let step = 1; step < count; step++) {
      const next = s.add(value, x!);
      value.dispose();
      value = next;
    }
    return value;
  },
  sum: (s, { x }) => s.sum(x!),
  max: (s, { x }) => s.max(x!),
  argmax: (s, { x }) => s.argmax(x!),
  "sum along an axis": (s, { x }, { axis = 0 }) => s.sum(x!, { axis }),
  "max along an axis": (s, { x }, { axis = 0 }) => s.max(x!, { axis }),
  "argmax along an axis": (s, { x }, { axis = 0 }) => s.argmax(x!, { axis }),
  softmax: (s, { x }) => s.softmax(x!, { axis: 1 }),
  "layer norm": (s, { x, gamma, beta }) => layerNorm(s, x!, gamma!, beta!),
  "rms norm"(s, { x, gamma }, { columns = 0 }) {
    const squares = s.sum(s.unary("square", x!), { axis: 1, keepDims: true });
    return s.map(scaleBySquares, [x!, squares, gamma!], {
      parameters: { width: columns, epsilon: 1e-6 },
    });
  },
  matmul: (s, { a, b }) => s.matmul(a!, b!),
  "batched matmul": (s, { a, b }) => s.matmul(a!, b!),
  "matmul of a transposed operand": (s, { a, b }) => s.matmul(a!, b!.transpose()),
  "matmul of a sliced operand": (s, { a, b }, { k = 0 }) =>
    s.matmul(a!.slice(null, [k, 2 * k]), b!),
  "matmul with bias and activation": (s, { a, b, bias }) =>
    s.map(addRelu, [s.matmul(a!, b!), bias!]),
  transpose: (s, { x }) => s.copy(x!.transpose()),
  permute: (s, { x }) => s.copy(x!.transpose([2, 0, 3, 1])),
  slice: (s, { x }, { rows = 0, columns = 0 }) =>
    s.copy(x!.slice([rows / 4, (rows * 3) / 4], [columns / 4, (columns * 3) / 4])),
  concat(s, { a, b }, { rows = 0, columns = 0 }) {
    const both = s.empty([rows, 2 * columns], { dtype: "float32", label: "concat" });
    s.assign(both.slice(null, [0, columns]), a!);
    s.assign(both.slice(null, [columns, 2 * columns]), b!);
    return both;
  },
  "edge map"(s, { picture, taps }, { height = 0, width = 0 }) {
    const [r, g, b] = [0, 1, 2].map((channel) => picture!.slice(null, null, channel));
    const smooth = s.convolveSeparable(s.map(luma, [r!, g!, b!]), taps!, taps!);
    const { magnitude } = s.run(sobelMagnitude, {
      inputs: { source: smooth },
      shapes: { magnitude: [height, width] },
      invocations: [width, height],
    });
    return s.divide(magnitude, s.max(magnitude));
  },
  ...networkGraphs,
};
