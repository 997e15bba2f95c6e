/** Whole computations with jax-js. */

import { layerNormEpsilon } from "../cases/rows.ts";
import type { HostTensor } from "../core/contract.ts";
import type { Jax } from "./jax-backends.ts";
import type { JaxArray, JaxGraph } from "./jax-kit.ts";

function layerNorm({ nn }: Jax, x: JaxArray, gamma: JaxArray, beta: JaxArray): JaxArray {
  return nn.standardize(x, 1, { epsilon: layerNormEpsilon }).mul(gamma).add(beta);
}

/**
 * `[rows, width]` for each; every query over all keys. The library's own function for it is the same
 * two products and softmax, and asks for helpers of iterators, which Node 20 has not.
 */
export function attention(
  { numpy, nn }: Jax,
  q: JaxArray,
  k: JaxArray,
  v: JaxArray,
  heads: number,
): JaxArray {
  const [queries = 0, width = 0] = q.shape;
  const part = width / heads;
  const byHeads = (x: JaxArray, order: number[]): JaxArray =>
    x.reshape([x.shape[0]!, heads, part]).transpose(order);
  const scores = numpy.matmul(byHeads(q, [1, 0, 2]), byHeads(k, [1, 2, 0]));
  const shares = nn.softmax(scores.mul(1 / Math.sqrt(part)), 2);
  const mixed = numpy.matmul(shares, byHeads(v, [1, 0, 2]));
  return mixed.transpose([1, 0, 2]).reshape([queries, width]);
}

export const jaxNetworks: Readonly<Record<string, JaxGraph["run"]>> = {
  mlp({ numpy, nn }, { x, w1, b1, w2, b2 }) {
    const hidden = nn.relu(numpy.matmul(x!, w1!).add(b1!));
    return numpy.matmul(hidden, w2!).add(b2!);
  },
  "transformer block"(jax, t, { heads = 1 }) {
    const { numpy, nn } = jax;
    const first = layerNorm(jax, t["x"]!.ref, t["gamma1"]!, t["beta1"]!);
    const q = numpy.matmul(first.ref, t["wq"]!);
    const k = numpy.matmul(first.ref, t["wk"]!);
    const v = numpy.matmul(first, t["wv"]!);
    const after = t["x"]!.add(numpy.matmul(attention(jax, q, k, v, heads), t["wo"]!));
    const second = layerNorm(jax, after.ref, t["gamma2"]!, t["beta2"]!);
    return after.add(numpy.matmul(nn.gelu(numpy.matmul(second, t["w1"]!)), t["w2"]!));
  },
};

/** Which element stands at each place of an axis whose edges are repeated `radius` times. */
function clamped(extent: number, radius: number): HostTensor {
  const at = (_: unknown, place: number): number =>
    Math.min(Math.max(place - radius, 0), extent - 1);
  const data = Int32Array.from({ length: extent + 2 * radius }, at);
  return { shape: [data.length], data };
}

/** The library pads with zeros only: an edge is repeated by taking its elements again. */
export const edgeMap: JaxGraph = {
  inputs({ picture, taps }) {
    const [height = 0, width = 0] = picture!.shape;
    const radius = (taps!.data.length - 1) / 2;
    return {
      picture: picture!,
      taps: taps!,
      luma: { shape: [3], data: Float32Array.of(0.2126, 0.7152, 0.0722) },
      // Across and down.
      sobel: {
        shape: [2, 1, 3, 3],
        data: Float32Array.of(-1, 0, 1, -2, 0, 2, -1, 0, 1, -1, -2, -1, 0, 0, 0, 1, 2, 1),
      },
      across: clamped(width, radius),
      down: clamped(height, radius),
      nextAcross: clamped(width, 1),
      nextDown: clamped(height, 1),
    };
  },
  run({ numpy, lax }, t, { height = 0, width = 0 }) {
    const filtered = (x: JaxArray, filter: JaxArray): JaxArray =>
      lax.conv(x, filter, [1, 1], "VALID");
    const count = t["taps"]!.size;
    let x = numpy.dot(t["picture"]!, t["luma"]!).reshape([1, 1, height, width]);
    const taps = t["taps"]!;
    x = filtered(numpy.take(x, t["across"]!, 3), taps.ref.reshape([1, 1, 1, count]));
    x = filtered(numpy.take(x, t["down"]!, 2), taps.reshape([1, 1, count, 1]));
    x = numpy.take(numpy.take(x, t["nextDown"]!, 2), t["nextAcross"]!, 3);
    const magnitude = numpy.sqrt(numpy.square(filtered(x, t["sobel"]!)).sum(1));
    return magnitude.ref.div(magnitude.max()).reshape([height, width]);
  },
};
