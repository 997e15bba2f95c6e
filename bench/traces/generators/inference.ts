/**
 * A transformer decoder that reads a whole sequence, again and again: float32 activations, each freed
 * as soon as the last operation that reads it is recorded. The shapes never change, so that every
 * policy that keeps buffers can do its best here. Weights are not in it: they are made once, and every
 * policy holds them alike.
 */

import { TraceBuilder } from "../trace-builder.ts";
import type { Trace } from "../trace.ts";

export type InferenceParameters = {
  readonly requestCount: number;
  readonly layerCount: number;
  readonly width: number;
  readonly headCount: number;
  readonly sequence: number;
  readonly vocabulary: number;
};

/** The seed leaves nothing to chance here: it only names the trace. */
export function inferenceTrace(seed: number, changes: Partial<InferenceParameters> = {}): Trace {
  const parameters = {
    requestCount: 100,
    layerCount: 12,
    width: 768,
    headCount: 12,
    sequence: 128,
    vocabulary: 50_257,
    ...changes,
  };
  const { requestCount, layerCount, width, headCount, sequence, vocabulary } = parameters;
  const builder = new TraceBuilder({
    generator: "transformer-inference",
    seed,
    architecture:
      `transformer decoder: ${layerCount} layers, width ${width}, ${headCount} heads, ` +
      `sequence ${sequence}, vocabulary ${vocabulary}`,
    parameters,
  });
  const rows = 4 * sequence * width;
  for (let request = 0; request < requestCount; request++) {
    const tokens = builder.allocate("tokens", 4 * sequence);
    let x = builder.replace(tokens, "embedded", rows);
    for (let layer = 0; layer < layerCount; layer++) x = decoderLayer(builder, x, parameters);
    x = builder.replace(x, "normalised", rows);
    const logits = builder.replace(x, "logits", 4 * sequence * vocabulary);
    const last = builder.replace(logits, "last logits", 4 * vocabulary);
    builder.step();
    builder.free(last);
  }
  return builder.finish();
}

function decoderLayer(
  builder: TraceBuilder,
  x: number,
  { width, headCount, sequence }: InferenceParameters,
): number {
  const rows = 4 * sequence * width;
  const square = 4 * headCount * sequence * sequence;
  const normalised = builder.allocate("normalised", rows);
  const qkv = builder.replace(normalised, "query, key and value", 3 * rows);
  const query = builder.allocate("query", rows);
  const key = builder.allocate("key", rows);
  const value = builder.replace(qkv, "value", rows);
  const scores = builder.allocate("scores", square);
  builder.free(query, key);
  const probabilities = builder.replace(scores, "probabilities", square);
  const context = builder.replace(probabilities, "context", rows);
  builder.free(value);
  const merged = builder.replace(context, "merged heads", rows);
  const projected = builder.replace(merged, "projected", rows);
  const attended = builder.replace(projected, "after attention", rows);
  builder.free(x);
  const normalisedAgain = builder.allocate("normalised", rows);
  const up = builder.replace(normalisedAgain, "up", 4 * rows);
  const activated = builder.replace(up, "activated", 4 * rows);
  const down = builder.replace(activated, "down", rows);
  const result = builder.replace(down, "after mlp", rows);
  builder.free(attended);
  return result;
}
