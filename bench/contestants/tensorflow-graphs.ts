/** Each case as a user of TensorFlow.js would write it, with the fused operations where it has them. */

import { rmsNormEpsilon } from "../cases/rows.ts";
import type { Graph, Tensor4D } from "./tensorflow-kit.ts";
import { layerNorm, tensorflowNetworks } from "./tensorflow-networks.ts";

const alongAxis =
  (kind: "sum" | "max" | "argMax"): Graph =>
  ({ tf }, { x }, { axis = 0 }) =>
    tf[kind](x!, axis);

export const tensorflowGraphs: Readonly<Record<string, Graph>> = {
  "element-wise chain"({ tf }, { a, b }, { count = 0 }) {
    let x = a!;
    for (let step = 0; step < count; step++) x = step % 2 === 0 ? tf.mul(x, b!) : tf.add(x, a!);
    return x;
  },
  cast: ({ tf }, { x }) => tf.cast(x!, "int32"),
  sum: ({ tf }, { x }) => tf.sum(x!),
  max: ({ tf }, { x }) => tf.max(x!),
  argmax: ({ tf }, { x }) => tf.argMax(x!),
  "sum along an axis": alongAxis("sum"),
  "max along an axis": alongAxis("max"),
  "argmax along an axis": alongAxis("argMax"),
  softmax: ({ tf }, { x }) => tf.softmax(x!),
  "layer norm": (kit, { x, gamma, beta }) => layerNorm(kit, x!, gamma!, beta!),
  "rms norm"(kit, { x, gamma }) {
    const { tf } = kit;
    const mean = tf.mean(tf.square(x!), -1, true);
    const scale = tf.rsqrt(tf.add(mean, kit.scalar(rmsNormEpsilon)));
    return tf.mul(tf.mul(x!, scale), gamma!);
  },
  matmul: ({ tf }, { a, b }) => tf.matMul(a!, b!),
  "batched matmul": ({ tf }, { a, b }) => tf.matMul(a!, b!),
  "matmul of a transposed operand": ({ tf }, { a, b }) => tf.matMul(a!, b!, false, true),
  "matmul of a sliced operand": ({ tf }, { a, b }, { m = 0, k = 0 }) =>
    tf.matMul(tf.slice(a!, [0, k], [m, k]), b!),
  "matmul with bias and activation": ({ tf }, { a, b, bias }) =>
    tf.fused.matMul({ a: a!, b: b!, bias: bias!, activation: "relu" }),
  transpose: ({ tf }, { x }) => tf.transpose(x!),
  permute: ({ tf }, { x }) => tf.transpose(x!, [2, 0, 3, 1]),
  slice: ({ tf }, { x }, { rows = 0, columns = 0 }) =>
    tf.slice(x!, [rows / 4, columns / 4], [rows / 2, columns / 2]),
  gather: ({ tf }, { table, indices }) => tf.gather(table!, indices!),
  concat: ({ tf }, { a, b }) => tf.concat([a!, b!], 1),
  conv2d: ({ tf }, { x, weights }) => tf.conv2d(x as Tensor4D, weights as Tensor4D, 1, "same"),
  "dependent small kernels"({ tf }, { x }, { count = 0 }) {
    let v = x!;
    for (let step = 0; step < count; step++) v = tf.add(v, x!);
    return v;
  },
  ...tensorflowNetworks,
};
