/** Whole computations: a perceptron, a transformer block, decoding with a cache. */

import type { BenchCase, CaseSize } from "../core/contract.ts";
import { layerNormEpsilon, meanAndVariance } from "./rows.ts";
import { dataOf, product, randomTensor, read, wholeOutput } from "./shapes.ts";
import type { Inputs, Values } from "./shapes.ts";

function block(sequence: number, width: number, heads: number): CaseSize {
  return { label: `${sequence}x${width}, ${heads} heads`, values: { sequence, width, heads } };
}

function decoder(steps: number, context: number, width: number, heads: number): CaseSize {
  return {
    label: `${steps} steps after ${context}, ${width} wide, ${heads} heads`,
    values: { steps, context, width, heads },
  };
}

const geluScale = Math.sqrt(2 / Math.PI);

/** By its usual approximation with tanh. */
export function gelu(x: number): number {
  return 0.5 * x * (1 + Math.tanh(geluScale * (x + 0.044715 * x ** 3)));
}

function layerNorm(
  x: ArrayLike<number>,
  rows: number,
  columns: number,
  gamma: ArrayLike<number>,
  beta: ArrayLike<number>,
): Float64Array {
  const result = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const [mean, variance] = meanAndVariance(x, row * columns, columns);
    const scale = 1 / Math.sqrt(variance + layerNormEpsilon);
    for (let at = 0; at < columns; at++) {
      const index = row * columns + at;
      result[index] = (x[index]! - mean) * scale * gamma[at]! + beta[at]!;
    }
  }
  return result;
}

/** Every query over all keys, head by head: softmax(q k^T / sqrt(width of a head)) v. */
function attention(
  q: ArrayLike<number>,
  k: ArrayLike<number>,
  v: ArrayLike<number>,
  queries: number,
  keys: number,
  width: number,
  heads: number,
): Float64Array {
  const result = new Float64Array(queries * width);
  const part = width / heads;
  const scores = new Float64Array(keys);
  for (let head = 0; head < heads; head++) {
    const first = head * part;
    for (let query = 0; query < queries; query++) {
      for (let key = 0; key < keys; key++) {
        let sum = 0;
        for (let at = 0; at < part; at++)
          sum += q[query * width + first + at]! * k[key * width + first + at]!;
        scores[key] = sum / Math.sqrt(part);
      }
      const highest = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
      const powers = scores.map((score) => Math.exp(score - highest));
      const total = powers.reduce((a, b) => a + b, 0);
      for (let key = 0; key < keys; key++) {
        const share = powers[key]! / total;
        for (let at = 0; at < part; at++)
          result[query * width + first + at]! += share * v[key * width + first + at]!;
      }
    }
  }
  return result;
}

function plus(a: ArrayLike<number>, b: ArrayLike<number>): Float64Array {
  return Float64Array.from(a, (value, index) => value + b[index]!);
}

function transformerBlock(inputs: Inputs, values: Values): Float64Array {
  const [sequence, width, heads] = read(values, "sequence", "width", "heads");
  const [x, gamma1, beta1] = [
    dataOf(inputs, "x"),
    dataOf(inputs, "gamma1"),
    dataOf(inputs, "beta1"),
  ];
  const times = (a: ArrayLike<number>, name: string, k: number, n: number): Float64Array =>
    product(a, dataOf(inputs, name), sequence, k, n);
  const first = layerNorm(x, sequence, width, gamma1, beta1);
  const [q, k, v] = ["wq", "wk", "wv"].map((name) => times(first, name, width, width)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const mixed = attention(q, k, v, sequence, sequence, width, heads);
  const after = plus(x, times(mixed, "wo", width, width));
  const second = layerNorm(
    after,
    sequence,
    width,
    dataOf(inputs, "gamma2"),
    dataOf(inputs, "beta2"),
  );
  const inner = times(second, "w1", width, 4 * width).map(gelu);
  return plus(after, times(inner, "w2", 4 * width, width));
}

/** The cache grows by a row a step; a step's result is part of the next step's input. */
function decoded(inputs: Inputs, values: Values): Float64Array {
  const [steps, context, width, heads] = read(values, "steps", "context", "width", "heads");
  const xs = dataOf(inputs, "xs");
  const keys = Array.from(dataOf(inputs, "keys"));
  const cached = Array.from(dataOf(inputs, "values"));
  let out: ArrayLike<number> = new Float64Array(width);
  for (let step = 0; step < steps; step++) {
    const x = Float64Array.from({ length: width }, (_, at) => xs[step * width + at]! + out[at]!);
    const times = (name: string): Float64Array => product(x, dataOf(inputs, name), 1, width, width);
    const q = times("wq");
    for (const value of times("wk")) keys.push(value);
    for (const value of times("wv")) cached.push(value);
    const mixed = attention(q, keys, cached, 1, context + step + 1, width, heads);
    out = product(mixed, dataOf(inputs, "wo"), 1, width, width);
  }
  return Float64Array.from(out);
}

export const networkCases: readonly BenchCase[] = [
  {
    suite: "end-to-end",
    name: "mlp",
    about: "max(0, x w1 + b1) w2 + b2",
    sizes: [
      {
        label: "64x784x256x10",
        values: { batch: 64, inputs: 784, hidden: 256, outputs: 10 },
        quick: true,
      },
      {
        label: "1024x784x1024x10",
        values: { batch: 1024, inputs: 784, hidden: 1024, outputs: 10 },
      },
    ],
    tolerance: "network",
    work: ({ batch = 0, inputs = 0, hidden = 0, outputs = 0 }) => ({
      flops: 2 * batch * hidden * (inputs + outputs),
      bytes: 4 * (batch * (inputs + outputs) + hidden * (inputs + outputs + 1) + outputs),
    }),
    inputs(values, random) {
      const [batch, width, hidden, outputs] = read(values, "batch", "inputs", "hidden", "outputs");
      const [first, second] = [1 / Math.sqrt(width), 1 / Math.sqrt(hidden)];
      return {
        x: randomTensor(random, [batch, width]),
        w1: randomTensor(random, [width, hidden], -first, first),
        b1: randomTensor(random, [hidden]),
        w2: randomTensor(random, [hidden, outputs], -second, second),
        b2: randomTensor(random, [outputs]),
      };
    },
    expected(inputs, values) {
      const [batch, width, hidden, outputs] = read(values, "batch", "inputs", "hidden", "outputs");
      const [b1, b2] = [dataOf(inputs, "b1"), dataOf(inputs, "b2")];
      const compute = (): Float64Array => {
        const inner = product(dataOf(inputs, "x"), dataOf(inputs, "w1"), batch, width, hidden).map(
          (value, index) => Math.max(0, value + b1[index % hidden]!),
        );
        return product(inner, dataOf(inputs, "w2"), batch, hidden, outputs).map(
          (value, index) => value + b2[index % outputs]!,
        );
      };
      return [wholeOutput([batch, outputs], compute)];
    },
  },
  {
    suite: "end-to-end",
    name: "transformer block",
    about:
      "h = x + attention(norm(x)) wo, then h + gelu(norm(h) w1) w2; no mask, no biases, layer norm before each half",
    sizes: [{ ...block(64, 128, 4), quick: true }, block(256, 512, 8)],
    tolerance: "network",
    work: ({ sequence = 0, width = 0 }) => ({
      flops: 2 * sequence * width * (12 * width + 2 * sequence),
      bytes: 4 * (12 * width * width + 2 * sequence * width),
    }),
    inputs(values, random) {
      const [sequence, width] = read(values, "sequence", "width");
      const weights = (rows: number, columns: number): ReturnType<typeof randomTensor> =>
        randomTensor(random, [rows, columns], -1 / Math.sqrt(rows), 1 / Math.sqrt(rows));
      return {
        x: randomTensor(random, [sequence, width]),
        wq: weights(width, width),
        wk: weights(width, width),
        wv: weights(width, width),
        wo: weights(width, width),
        w1: weights(width, 4 * width),
        w2: weights(4 * width, width),
        gamma1: randomTensor(random, [width], 0.5, 1.5),
        beta1: randomTensor(random, [width]),
        gamma2: randomTensor(random, [width], 0.5, 1.5),
        beta2: randomTensor(random, [width]),
      };
    },
    expected(inputs, values) {
      const [sequence, width] = read(values, "sequence", "width");
      return [wholeOutput([sequence, width], () => transformerBlock(inputs, values))];
    },
  },
  {
    suite: "end-to-end",
    name: "key-value decoding",
    about:
      "`steps` tokens, one by one: x = xs[step] + the result before; its key and value rows join the cache; " +
      "attention of its query over the cache; times wo",
    sizes: [{ ...decoder(16, 64, 128, 4), quick: true }, decoder(64, 512, 512, 8)],
    tolerance: "network",
    work: ({ steps = 0, context = 0, width = 0 }) => ({
      operations: steps,
      flops: steps * (8 * width * width + 4 * width * (context + steps / 2)),
      bytes: 4 * steps * (4 * width * width + 2 * width * (context + steps / 2)),
    }),
    inputs(values, random) {
      const [steps, context, width] = read(values, "steps", "context", "width");
      const scale = 1 / Math.sqrt(width);
      const weights = (): ReturnType<typeof randomTensor> =>
        randomTensor(random, [width, width], -scale, scale);
      return {
        xs: randomTensor(random, [steps, width]),
        keys: randomTensor(random, [context, width]),
        values: randomTensor(random, [context, width]),
        wq: weights(),
        wk: weights(),
        wv: weights(),
        wo: weights(),
      };
    },
    expected: (inputs, values) => [
      wholeOutput([1, values["width"] ?? 0], () => decoded(inputs, values)),
    ],
  },
];
