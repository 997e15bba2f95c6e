/** Each case as a model: the operators that the runtime's WebGPU provider has for it. */

import { layerNormEpsilon, rmsNormEpsilon } from "../../cases/rows.ts";
import { channelsFirst, channelsLast, filtersFirst } from "../channels.ts";
import type { OnnxModel, Values } from "./kit.ts";
import { edgeMaps, inLayouts, mlp, transformerBlocks } from "./networks.ts";

type Build = OnnxModel["build"];

const additions: Build = (m, { x }, { count = 0 }) => {
  let v = x!;
  for (let step = 0; step < count; step++) v = m.op("Add", [v, x!]);
  return v;
};

const plain: Readonly<Record<string, Build>> = {
  "element-wise chain"(m, { a, b }, { count = 0 }) {
    let x = a!;
    for (let step = 0; step < count; step++) {
      x = step % 2 === 0 ? m.op("Mul", [x, b!]) : m.op("Add", [x, a!]);
    }
    return x;
  },
  "dependent small kernels": additions,
  recording: additions,
  sum: (m, { x }) => m.op("ReduceSum", [x!], { keepdims: 0 }),
  max: (m, { x }) => m.op("ReduceMax", [x!], { keepdims: 0 }),
  "sum along an axis": (m, { x }, { axis = 0 }) =>
    m.op("ReduceSum", [x!, m.list(axis)], { keepdims: 0 }),
  "max along an axis": (m, { x }, { axis = 0 }) =>
    m.op("ReduceMax", [x!, m.list(axis)], { keepdims: 0 }),
  softmax: (m, { x }) => m.op("Softmax", [x!], { axis: 1 }),
  "layer norm": (m, { x, gamma, beta }) =>
    m.op("LayerNormalization", [x!, gamma!, beta!], {
      axis: 1,
      epsilon: { float: layerNormEpsilon },
    }),
  "rms norm": (m, { x, gamma }) =>
    m.op("SimplifiedLayerNormalization", [x!, gamma!], {
      axis: 1,
      epsilon: { float: rmsNormEpsilon },
      stash_type: 1,
    }),
  matmul: (m, { a, b }) => m.op("MatMul", [a!, b!]),
  "batched matmul": (m, { a, b }) => m.op("MatMul", [a!, b!]),
  "matmul of a transposed operand": (m, { a, b }) => m.op("Gemm", [a!, b!], { transB: 1 }),
  "matmul of a sliced operand": (m, { a, b }, { k = 0 }) =>
    m.op("MatMul", [m.op("Slice", [a!, m.list(k), m.list(2 * k), m.list(1)]), b!]),
  "matmul with bias and activation": (m, { a, b, bias }) =>
    m.op("Relu", [m.op("Gemm", [a!, b!, bias!])]),
  transpose: (m, { x }) => m.op("Transpose", [x!], { perm: [1, 0] }),
  permute: (m, { x }) => m.op("Transpose", [x!], { perm: [2, 0, 3, 1] }),
  slice: (m, { x }, { rows = 0, columns = 0 }) =>
    m.op("Slice", [
      x!,
      m.list(rows / 4, columns / 4),
      m.list((3 * rows) / 4, (3 * columns) / 4),
      m.list(0, 1),
    ]),
  gather: (m, { table, indices }) => m.op("Gather", [table!, indices!], { axis: 0 }),
  concat: (m, { a, b }) => m.op("Concat", [a!, b!], { axis: 1 }),
};

const places = (axis: (values: Values) => number): OnnxModel => ({
  build: (m, { x }, values) => m.op("ArgMax", [x!], { axis: axis(values), keepdims: 0 }),
  outputType: "int64",
});

const single: Readonly<Record<string, OnnxModel>> = {
  ...Object.fromEntries(Object.entries(plain).map(([name, build]) => [name, { build }])),
  cast: { build: (m, { x }) => m.op("Cast", [x!], { to: 6 }), outputType: "int32" },
  argmax: places(() => 0),
  "argmax along an axis": places(({ axis = 0 }) => axis),
  mlp,
};

/** The format convolves [batch, channels, height, width] only. */
const conv2d: OnnxModel = {
  inputs: ({ x, weights }) => ({ x: channelsFirst(x!), weights: filtersFirst(weights!) }),
  weights: ["weights"],
  build: (m, { x, weights }) => m.op("Conv", [x!, weights!], { pads: [1, 1, 1, 1] }),
  output: (data, { filters = 0 }) => channelsLast(data, filters),
};

/** Several where the best depends on the adapter; the likeliest to work first. */
export const onnxModels: Readonly<Record<string, readonly OnnxModel[]>> = {
  ...Object.fromEntries(Object.entries(single).map(([name, model]) => [name, [model]])),
  conv2d: inLayouts(conv2d),
  "transformer block": transformerBlocks,
  "edge map": edgeMaps,
};
