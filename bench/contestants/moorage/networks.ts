/** Whole computations as graphs: the perceptron, the transformer block, decoding, and what they take at their peak. */

import type { Scope, Tensor } from "moorage";

import { batchOf } from "../../cases/memory.ts";
import { addRelu, gelu } from "./kernels.ts";
import { layerNorm } from "./layer-norm.ts";
import type { Graph, Operand } from "./program.ts";

type Result<S> = Tensor<"float32", S>;

/** Every row of `q` over all rows of `k` and `v`, head by head. */
function attention<S>(
  s: Scope<S>,
  q: Result<S>,
  k: Result<S>,
  v: Result<S>,
  heads: number,
): Result<S> {
  const [queries = 0, width = 0] = q.shape;
  const keys = k.shape[0]!;
  const part = width / heads;
  const scaled = s.multiply(q, 1 / Math.sqrt(part));
  const scores = s.matmul(
    scaled.reshape([queries, heads, part]).transpose([1, 0, 2]),
    k.reshape([keys, heads, part]).transpose([1, 2, 0]),
  );
  const mixed = s.matmul(
    s.softmax(scores, { axis: 2 }),
    v.reshape([keys, heads, part]).transpose([1, 0, 2]),
  );
  return s.copy(mixed.transpose([1, 0, 2])).reshape([queries, width]);
}

/** The caches have room for every step; each writes its rows in place. */
function decode<S>(
  s: Scope<S>,
  t: Readonly<Record<string, Operand>>,
  { steps = 0, context = 0, width = 0, heads = 1 }: Readonly<Record<string, number>>,
): Result<S> {
  const cache = (name: string): Result<S> => {
    const rows = s.empty([context + steps, width], { dtype: "float32", label: name });
    s.assign(rows.slice([0, context]), t[name]!);
    return rows;
  };
  const [keys, values] = [cache("keys"), cache("values")];
  let out: Result<S> | undefined;
  for (let step = 0; step < steps; step++) {
    const length = context + step + 1;
    const row = t["xs"]!.slice([step, step + 1]);
    const x = out === undefined ? s.copy(row) : s.add(out, row);
    s.assign(keys.slice([length - 1, length]), s.matmul(x, t["wk"]!));
    s.assign(values.slice([length - 1, length]), s.matmul(x, t["wv"]!));
    const q = s.matmul(x, t["wq"]!);
    const mixed = attention(s, q, keys.slice([0, length]), values.slice([0, length]), heads);
    out = s.matmul(mixed, t["wo"]!);
  }
  return out!;
}

/** Without a tensor that grows in place, every step is a new tensor and a copy of the old one. */
function grow<S>(
  s: Scope<S>,
  { x }: Readonly<Record<string, Operand>>,
  { tensors = 0, steps = 0, width = 0 }: Readonly<Record<string, number>>,
): Result<S> {
  let caches: Result<S>[] = [];
  for (let step = 0; step < steps; step++) {
    const row = x!.slice([step, step + 1]);
    caches = Array.from({ length: tensors }, (_, index) => {
      const grown = s.empty([step + 1, width], { dtype: "float32", label: `cache ${index}` });
      const former = caches[index];
      if (former !== undefined) {
        s.assign(grown.slice([0, step]), former);
        former.dispose();
      }
      s.assign(grown.slice([step, step + 1]), row);
      return grown;
    });
  }
  return caches[0]!;
}

export const networkGraphs: Readonly<Record<string, Graph>> = {
  mlp: (s, { x, w1, b1, w2, b2 }) =>
    s.add(s.matmul(s.map(addRelu, [s.matmul(x!, w1!), b1!]), w2!), b2!),
  "transformer block"(s, t, { heads = 1 }) {
    const first = layerNorm(s, t["x"]!, t["gamma1"]!, t["beta1"]!);
    const [q, k, v] = ["wq", "wk", "wv"].map((name) => s.matmul(first, t[name]!));
    const after = s.add(s.matmul(attention(s, q!, k!, v!, heads), t["wo"]!), t["x"]!);
    const second = layerNorm(s, after, t["gamma2"]!, t["beta2"]!);
    const inner = s.map(gelu, [s.matmul(second, t["w1"]!)]);
    return s.add(s.matmul(inner, t["w2"]!), after);
  },
  "key-value decoding": decode,
  "peak of a varying batch"(s, { x, w1, w2 }, { steps = 0, batch = 0 }) {
    const step = (index: number): ReturnType<typeof s.matmul<"float32">> => {
      const inner = s.matmul(x!.slice([0, batchOf(batch, index)]), w1!);
      const active = s.unary("relu", inner);
      inner.dispose();
      const result = s.matmul(active, w2!);
      active.dispose();
      return result;
    };
    for (let index = 0; index < steps - 1; index++) step(index).dispose();
    return step(steps - 1);
  },
  "peak of growing key-value tensors": grow,
};
