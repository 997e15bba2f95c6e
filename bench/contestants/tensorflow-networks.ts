/** Whole computations with TensorFlow.js, and the cases that look at what they take at their peak. */

import { batchOf } from "../cases/memory.ts";
import { layerNormEpsilon } from "../cases/rows.ts";
import type { Graph, Tensor, Tensor4D, TensorflowKit } from "./tensorflow-kit.ts";

/** As the library's own layer does it: the moments, then one batch normalisation with a mean to each row. */
export function layerNorm({ tf }: TensorflowKit, x: Tensor, gamma: Tensor, beta: Tensor): Tensor {
  const { mean, variance } = tf.moments(x, -1, true);
  const row = [1, gamma.size];
  return tf.batchNorm(
    x,
    mean,
    variance,
    tf.reshape(beta, row),
    tf.reshape(gamma, row),
    layerNormEpsilon,
  );
}

/** Queries, keys and values are [heads, rows, width of a head]. */
function attention(kit: TensorflowKit, q: Tensor, k: Tensor, v: Tensor): Tensor {
  const { tf } = kit;
  const scale = kit.scalar(1 / Math.sqrt(q.shape[2]!));
  return tf.matMul(tf.softmax(tf.matMul(tf.mul(q, scale), k, false, true)), v);
}

function byHeads({ tf }: TensorflowKit, x: Tensor, heads: number): Tensor {
  const [rows = 0, width = 0] = x.shape;
  return tf.transpose(tf.reshape(x, [rows, heads, width / heads]), [1, 0, 2]);
}

/** The library has no such operation; by the approximation with tanh. */
function gelu(kit: TensorflowKit, x: Tensor): Tensor {
  const { tf } = kit;
  const cubed = tf.mul(tf.mul(tf.square(x), x), kit.scalar(0.044715));
  const inner = tf.mul(tf.add(x, cubed), kit.scalar(Math.sqrt(2 / Math.PI)));
  return tf.mul(tf.mul(x, kit.scalar(0.5)), tf.add(tf.tanh(inner), kit.scalar(1)));
}

/** Repeats the edge `radius` times on both sides of an axis. */
function padded(kit: TensorflowKit, x: Tensor, axis: number, radius: number): Tensor {
  const extent = x.shape[axis]!;
  const indices = kit.constant(`clamped ${extent} ${radius}`, () => {
    const within = (_: unknown, at: number): number =>
      Math.min(Math.max(at - radius, 0), extent - 1);
    return {
      shape: [extent + 2 * radius],
      data: Int32Array.from({ length: extent + 2 * radius }, within),
    };
  });
  return kit.tf.gather(x, indices, axis);
}

/**
 * By the operations that are quick for one channel: a convolution of depth, and slices where the
 * library would take a product of matrices, or a sum along an axis of three.
 */
const edgeMap: Graph = (kit, { picture, taps }, { height = 0, width = 0 }) => {
  const { tf } = kit;
  const sobel = [
    [-1, 0, 1, -2, 0, 2, -1, 0, 1],
    [-1, -2, -1, 0, 0, 0, 1, 2, 1],
  ].map((weights, index) =>
    kit.constant(`sobel ${index}`, () => ({
      shape: [3, 3, 1, 1],
      data: Float32Array.from(weights),
    })),
  );
  const filtered = (x: Tensor, filter: Tensor): Tensor =>
    tf.depthwiseConv2d(x as Tensor4D, filter as Tensor4D, 1, "valid");
  const channel = (index: number, weight: number): Tensor =>
    tf.mul(tf.slice(picture!, [0, 0, index], [height, width, 1]), kit.scalar(weight));
  const count = taps!.size;
  const radius = (count - 1) / 2;
  const luma = tf.add(tf.add(channel(0, 0.2126), channel(1, 0.7152)), channel(2, 0.0722));
  let x: Tensor = tf.reshape(luma, [1, height, width, 1]);
  x = filtered(padded(kit, x, 2, radius), tf.reshape(taps!, [1, count, 1, 1]));
  x = filtered(padded(kit, x, 1, radius), tf.reshape(taps!, [count, 1, 1, 1]));
  x = padded(kit, padded(kit, x, 1, 1), 2, 1);
  const [gx, gy] = sobel.map((filter) => tf.square(filtered(x, filter)));
  const magnitude = tf.sqrt(tf.add(gx!, gy!));
  return tf.reshape(tf.div(magnitude, tf.max(magnitude)), [height, width]);
};

/** The caches are [heads, rows, width of a head], so that attention reads them as they are. */
const decode: Graph = (kit, t, { steps = 0, heads = 1, width = 0 }) => {
  const { tf } = kit;
  let [keys, values] = [byHeads(kit, t["keys"]!, heads), byHeads(kit, t["values"]!, heads)];
  let out: Tensor | undefined;
  for (let step = 0; step < steps; step++) {
    const former = [keys, values];
    const next = tf.tidy(() => {
      const row = tf.slice(t["xs"]!, [step, 0], [1, width]);
      const x = out === undefined ? row : tf.add(row, out);
      const [q, k, v] = ["wq", "wk", "wv"].map((name) =>
        tf.reshape(tf.matMul(x, t[name]!), [heads, 1, width / heads]),
      );
      const grown = [tf.concat([keys, k!], 1), tf.concat([values, v!], 1)];
      const mixed = attention(kit, q!, grown[0]!, grown[1]!);
      return [tf.matMul(tf.reshape(mixed, [1, width]), t["wo"]!), ...grown];
    });
    for (const tensor of former) tensor.dispose();
    out?.dispose();
    [out, keys, values] = next as [Tensor, Tensor, Tensor];
  }
  return out!;
};

export const tensorflowNetworks: Readonly<Record<string, Graph>> = {
  mlp({ tf }, { x, w1, b1, w2, b2 }) {
    const hidden = tf.fused.matMul({ a: x!, b: w1!, bias: b1!, activation: "relu" });
    return tf.fused.matMul({ a: hidden, b: w2!, bias: b2! });
  },
  "transformer block"(kit, t, { heads = 1, sequence = 0, width = 0 }) {
    const { tf } = kit;
    const first = layerNorm(kit, t["x"]!, t["gamma1"]!, t["beta1"]!);
    const [q, k, v] = ["wq", "wk", "wv"].map((name) =>
      byHeads(kit, tf.matMul(first, t[name]!), heads),
    );
    const mixed = tf.transpose(attention(kit, q!, k!, v!), [1, 0, 2]);
    const attended = tf.matMul(tf.reshape(mixed, [sequence, width]), t["wo"]!);
    const after = tf.add(t["x"]!, attended);
    const second = layerNorm(kit, after, t["gamma2"]!, t["beta2"]!);
    return tf.add(after, tf.matMul(gelu(kit, tf.matMul(second, t["w1"]!)), t["w2"]!));
  },
  "key-value decoding": decode,
  "edge map": edgeMap,
  "peak of a varying batch"({ tf }, { x, w1, w2 }, { steps = 0, batch = 0, width = 0 }) {
    const step = (index: number): Tensor =>
      tf.tidy(() => {
        const rows = tf.slice(x!, [0, 0], [batchOf(batch, index), width]);
        return tf.matMul(tf.fused.matMul({ a: rows, b: w1!, activation: "relu" }), w2!);
      });
    for (let index = 0; index < steps - 1; index++) step(index).dispose();
    return step(steps - 1);
  },
  "peak of growing key-value tensors"({ tf }, { x }, { tensors = 0, steps = 0, width = 0 }) {
    let caches: Tensor[] = [];
    for (let step = 0; step < steps; step++) {
      const row = tf.slice(x!, [step, 0], [1, width]);
      caches = Array.from({ length: tensors }, (_, index) => {
        const former = caches[index];
        const grown = former === undefined ? tf.clone(row) : tf.concat([former, row], 0);
        former?.dispose();
        return grown;
      });
      row.dispose();
    }
    return caches[0]!;
  },
};
