/**
 * A decoder that writes one token after another with a cache of keys and values that grows by a row at
 * every step: as an immutable tensor it is made anew, one row longer, and the old one is freed. With
 * 32 layers there are 64 such tensors. Beside them are activations whose sizes change: those of the
 * attention with the length of the cache, the others with how many tokens of other requests are in the
 * batch.
 */

import { randomFrom } from "../../core/random.ts";
import { TraceBuilder } from "../trace-builder.ts";
import type { Trace } from "../trace.ts";

export type KvGrowthParameters = {
  readonly stepCount: number;
  /** Two tensors to each. */
  readonly layerCount: number;
  readonly width: number;
  readonly headCount: number;
  /** Bytes of a row of keys, or of values. */
  readonly rowBytes: number;
  /** Tokens of other requests that may be in a batch beside the one that is written. */
  readonly maxOtherTokens: number;
};

export function kvGrowthTrace(seed: number, changes: Partial<KvGrowthParameters> = {}): Trace {
  const parameters = {
    stepCount: 2000,
    layerCount: 32,
    width: 2048,
    headCount: 32,
    rowBytes: 1024,
    maxOtherTokens: 15,
    ...changes,
  };
  const { stepCount, layerCount, width, headCount, rowBytes, maxOtherTokens } = parameters;
  const random = randomFrom(seed);
  const builder = new TraceBuilder({
    generator: "kv-growth",
    seed,
    architecture:
      `transformer decoder, writing: ${2 * layerCount} key-value tensors growing by a row of ${rowBytes} bytes ` +
      `for ${stepCount} steps, width ${width}, ${headCount} heads, 1 to ${1 + maxOtherTokens} tokens at a time`,
    parameters,
  });
  const caches: number[] = [];
  for (let length = 1; length <= stepCount; length++) {
    const tokens = 1 + random.integer(1 + maxOtherTokens);
    const rows = 4 * tokens * width;
    let x = builder.allocate("embedded", rows);
    for (let layer = 0; layer < layerCount; layer++) {
      const qkv = builder.allocate("query, key and value", rows + 2 * tokens * rowBytes);
      for (const [side, label] of ["keys", "values"].entries()) {
        const grown = builder.allocate(label, length * rowBytes);
        const old = caches[2 * layer + side];
        if (old !== undefined) builder.free(old);
        caches[2 * layer + side] = grown;
      }
      const scores = builder.allocate("scores", 4 * headCount * length);
      builder.free(qkv);
      x = builder.replace(x, "after attention", rows);
      builder.free(scores);
      const up = builder.allocate("up", 4 * rows);
      x = builder.replace(x, "after mlp", rows);
      builder.free(up);
    }
    builder.step();
    builder.free(x);
  }
  builder.free(...caches);
  return builder.finish();
}
