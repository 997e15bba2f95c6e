/** Whole computations as models, with the operators that the runtime adds to the format for them. */

import { edgeMapSigma } from "../../cases/edge-map.ts";
import { layerNormEpsilon } from "../../cases/rows.ts";
import type { OnnxModel, Values } from "./kit.ts";
import { extended } from "./model-builder.ts";
import type { ModelBuilder } from "./model-builder.ts";

function layerNorm(m: ModelBuilder, x: string, gamma: string, beta: string): string {
  const attributes = { axis: -1, epsilon: { float: layerNormEpsilon } };
  return m.op("LayerNormalization", [x, gamma, beta], attributes);
}

type Attention = (m: ModelBuilder, rows: readonly string[], values: Values) => string;

/** As one operator of the runtime. */
const fused: Attention = (m, rows, { sequence = 0, width = 0, heads = 1 }) => {
  // It takes a batch of sequences.
  const batches = rows.map((x) => m.op("Reshape", [x, m.list(1, sequence, width)]));
  const mixed = m.op("MultiHeadAttention", batches, { num_heads: heads }, extended);
  return m.op("Reshape", [mixed, m.list(sequence, width)]);
};

/** By the format's own operators. */
const composed: Attention = (m, rows, { sequence = 0, width = 0, heads = 1 }) => {
  const part = width / heads;
  const orders = [
    [1, 0, 2],
    [1, 2, 0],
    [1, 0, 2],
  ];
  const [q, k, v] = rows.map((x, index) =>
    m.op("Transpose", [m.op("Reshape", [x, m.list(sequence, heads, part)])], {
      perm: orders[index]!,
    }),
  );
  const scale = m.constant({ shape: [], data: Float32Array.of(1 / Math.sqrt(part)) });
  const scores = m.op("MatMul", [m.op("Mul", [q!, scale]), k!]);
  const mixed = m.op("MatMul", [m.op("Softmax", [scores], { axis: 2 }), v!]);
  const rowByRow = m.op("Transpose", [mixed], { perm: [1, 0, 2] });
  return m.op("Reshape", [rowByRow, m.list(sequence, width)]);
};

const block =
  (attention: Attention): OnnxModel["build"] =>
  (m, t, values) => {
    const first = layerNorm(m, t["x"]!, t["gamma1"]!, t["beta1"]!);
    const rows = ["wq", "wk", "wv"].map((name) => m.op("MatMul", [first, t[name]!]));
    const after = m.op("Add", [t["x"]!, m.op("MatMul", [attention(m, rows, values), t["wo"]!])]);
    const second = layerNorm(m, after, t["gamma2"]!, t["beta2"]!);
    const inner = m.op("FastGelu", [m.op("MatMul", [second, t["w1"]!])], {}, extended);
    return m.op("Add", [after, m.op("MatMul", [inner, t["w2"]!])]);
  };

/** With `copies` of the picture as channels, each convolved by itself where there are several. */
const buildEdgeMap =
  (copies: 1 | 2): OnnxModel["build"] =>
  (m, { picture, taps }, { height = 0, width = 0 }) => {
    const luma = m.constant({ shape: [3, 1], data: Float32Array.of(0.2126, 0.7152, 0.0722) });
    // Across and down.
    const sobel = m.constant({
      shape: [2, 1, 3, 3],
      data: Float32Array.of(-1, 0, 1, -2, 0, 2, -1, 0, 1, -1, -2, -1, 0, 0, 0, 1, 2, 1),
    });
    const count = 2 * Math.ceil(3 * edgeMapSigma) + 1;
    const radius = (count - 1) / 2;
    /** Rows and columns repeated at each edge. */
    const padded = (x: string, rows: number, columns: number): string =>
      m.op("Pad", [x, m.list(0, 0, rows, columns, 0, 0, rows, columns)], { mode: "edge" });
    const filter = (...size: readonly number[]): string =>
      m.op("Expand", [m.op("Reshape", [taps!, m.list(1, 1, ...size)]), m.list(copies, 1, ...size)]);
    const convolved = (x: string, weights: string): string =>
      m.op("Conv", [x, weights], { group: copies });
    let x = m.op("Reshape", [m.op("MatMul", [picture!, luma]), m.list(1, 1, height, width)]);
    if (copies > 1) x = m.op("Expand", [x, m.list(1, copies, height, width)]);
    x = convolved(padded(x, 0, radius), filter(1, count));
    x = convolved(padded(x, radius, 0), filter(count, 1));
    x = convolved(padded(x, 1, 1), sobel);
    const magnitude = m.op("ReduceL2", [x, m.list(1)], { keepdims: 0 });
    const highest = m.op("ReduceMax", [magnitude], { keepdims: 0 });
    return m.op("Reshape", [m.op("Div", [magnitude, highest]), m.list(height, width)]);
  };

export const mlp: OnnxModel = {
  weights: ["w1", "b1", "w2", "b2"],
  build: (m, { x, w1, b1, w2, b2 }) =>
    m.op("Gemm", [m.op("Relu", [m.op("Gemm", [x!, w1!, b1!])]), w2!, b2!]),
};

const blockWeights = ["wq", "wk", "wv", "wo", "w1", "w2", "gamma1", "beta1", "gamma2", "beta2"];

/** The fused attention takes subgroups to be larger than those of software adapters, and is wrong there. */
export const transformerBlocks: readonly OnnxModel[] = [
  { variant: "composed attention", weights: blockWeights, build: block(composed) },
  {
    variant: "fused attention",
    weights: blockWeights,
    build: block(fused),
    doubtful: "MultiHeadAttention",
  },
];

/**
 * The runtime makes a product of matrices of every convolution that is not in groups, which is much for
 * a filter of one channel on a software adapter: there, two copies in two groups take less.
 */
export const edgeMaps: readonly OnnxModel[] = [
  { variant: "channels last", weights: ["taps"], build: buildEdgeMap(1), isLong: true },
  {
    variant: "in groups, channels first",
    layout: "NCHW",
    weights: ["taps"],
    build: buildEdgeMap(2),
    isLong: true,
  },
];

/** The runtime's own choice is for real GPUs; the other order is the one that the format has. */
export function inLayouts(model: OnnxModel): readonly OnnxModel[] {
  return [
    { ...model, variant: "channels last" },
    { ...model, variant: "channels first", layout: "NCHW" },
  ];
}
