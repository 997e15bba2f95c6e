/**
 * Training a transformer decoder, a step after another: the forward pass keeps what the backward pass
 * reads, the backward pass frees it from the last layer to the first while gradients come up, and the
 * optimiser makes parameters and both of its moments anew, as libraries with immutable tensors do. The
 * last batch of every epoch is smaller by one. Everything is float32.
 */

import { TraceBuilder } from "../trace-builder.ts";
import type { Trace } from "../trace.ts";

export type TrainingParameters = {
  readonly stepCount: number;
  readonly stepsPerEpoch: number;
  readonly batch: number;
  readonly layerCount: number;
  readonly width: number;
  readonly headCount: number;
  readonly sequence: number;
  readonly vocabulary: number;
};

/** The seed leaves nothing to chance here: it only names the trace. */
export function trainingTrace(seed: number, changes: Partial<TrainingParameters> = {}): Trace {
  const parameters = {
    stepCount: 24,
    stepsPerEpoch: 4,
    batch: 4,
    layerCount: 6,
    width: 384,
    headCount: 6,
    sequence: 256,
    vocabulary: 4096,
    ...changes,
  };
  const { stepCount, stepsPerEpoch, batch, layerCount, width, headCount, sequence } = parameters;
  const builder = new TraceBuilder({
    generator: "training-step",
    seed,
    architecture:
      `transformer decoder, training: ${layerCount} layers, width ${width}, ${headCount} heads, ` +
      `sequence ${sequence}, batch ${batch}, vocabulary ${parameters.vocabulary}, optimiser with two moments`,
    parameters,
  });
  const training = new Training(builder, parameters);
  for (let step = 1; step <= stepCount; step++) {
    training.step(step % stepsPerEpoch === 0 ? Math.max(1, batch - 1) : batch);
    builder.step();
  }
  training.end();
  return builder.finish();
}

/** A parameter with its moments. */
interface Weight {
  readonly label: string;
  readonly bytes: number;
  blocks: readonly number[];
}

interface LayerWeights {
  readonly norm: Weight;
  readonly qkv: Weight;
  readonly projection: Weight;
  readonly secondNorm: Weight;
  readonly up: Weight;
  readonly down: Weight;
}

/** What the forward pass of a layer leaves for the backward pass. */
interface Saved {
  readonly input: number;
  readonly normalised: number;
  readonly query: number;
  readonly key: number;
  readonly value: number;
  readonly probabilities: number;
  readonly merged: number;
  readonly attended: number;
  readonly normalisedAgain: number;
  readonly up: number;
  readonly activated: number;
}

/** Bytes of the activations of one batch. */
interface Sizes {
  readonly rows: number;
  readonly square: number;
  readonly logits: number;
}

class Training {
  readonly #builder: TraceBuilder;
  readonly #parameters: TrainingParameters;
  readonly #embedding: Weight;
  readonly #layers: readonly LayerWeights[];

  constructor(builder: TraceBuilder, parameters: TrainingParameters) {
    this.#builder = builder;
    this.#parameters = parameters;
    const { width, vocabulary, layerCount } = parameters;
    this.#embedding = this.#weight("embedding", vocabulary * width);
    this.#layers = Array.from({ length: layerCount }, () => ({
      norm: this.#weight("norm", 2 * width),
      qkv: this.#weight("query, key and value weights", 3 * width * width),
      projection: this.#weight("projection weights", width * width),
      secondNorm: this.#weight("norm", 2 * width),
      up: this.#weight("up weights", 4 * width * width),
      down: this.#weight("down weights", 4 * width * width),
    }));
  }

  step(batch: number): void {
    const builder = this.#builder;
    const { sequence, width, headCount, vocabulary } = this.#parameters;
    const sizes: Sizes = {
      rows: 4 * batch * sequence * width,
      square: 4 * batch * headCount * sequence * sequence,
      logits: 4 * batch * sequence * vocabulary,
    };
    const tokens = builder.allocate("tokens", 4 * batch * sequence);
    let x = builder.allocate("embedded", sizes.rows);
    const saved = this.#layers.map(() => {
      const layer = this.#forward(x, sizes);
      x = layer.output;
      return layer.saved;
    });
    const logits = builder.allocate("logits", sizes.logits);
    const probabilities = builder.replace(logits, "log probabilities", sizes.logits);
    const loss = builder.allocate("loss", 4);
    const gradientOfLogits = builder.replace(probabilities, "gradient of logits", sizes.logits);
    builder.free(loss);
    const gradients = new Map<Weight, number>();
    gradients.set(this.#embedding, this.#gradient(this.#embedding));
    let d = builder.replace(gradientOfLogits, "gradient", sizes.rows);
    builder.free(x);
    for (const [index, layer] of [...this.#layers.entries()].toReversed())
      d = this.#backward(layer, saved[index]!, d, sizes, gradients);
    // The embedding is also the last projection: its gradient has two parts.
    const scattered = this.#gradient(this.#embedding);
    builder.free(d, tokens);
    const sum = this.#gradient(this.#embedding);
    builder.free(scattered, gradients.get(this.#embedding)!);
    gradients.set(this.#embedding, sum);
    for (const [weight, gradient] of gradients) this.#update(weight, gradient);
  }

  end(): void {
    for (const { blocks } of [this.#embedding, ...this.#layers.flatMap((of) => Object.values(of))])
      this.#builder.free(...blocks);
  }

  #forward(
    input: number,
    { rows, square }: Sizes,
  ): { readonly saved: Saved; readonly output: number } {
    const builder = this.#builder;
    const normalised = builder.allocate("normalised", rows);
    const qkv = builder.allocate("query, key and value", 3 * rows);
    const query = builder.allocate("query", rows);
    const key = builder.allocate("key", rows);
    const value = builder.replace(qkv, "value", rows);
    const scores = builder.allocate("scores", square);
    const probabilities = builder.replace(scores, "probabilities", square);
    const context = builder.allocate("context", rows);
    const merged = builder.replace(context, "merged heads", rows);
    const projected = builder.allocate("projected", rows);
    const attended = builder.replace(projected, "after attention", rows);
    const normalisedAgain = builder.allocate("normalised", rows);
    const up = builder.allocate("up", 4 * rows);
    const activated = builder.allocate("activated", 4 * rows);
    const down = builder.allocate("down", rows);
    const output = builder.replace(down, "after mlp", rows);
    const attention = { input, normalised, query, key, value, probabilities, merged };
    return { saved: { ...attention, attended, normalisedAgain, up, activated }, output };
  }

  /** From the gradient of a layer's output to that of its input. */
  #backward(
    weights: LayerWeights,
    saved: Saved,
    d: number,
    { rows, square }: Sizes,
    gradients: Map<Weight, number>,
  ): number {
    const builder = this.#builder;
    const keep = (weight: Weight): unknown => gradients.set(weight, this.#gradient(weight));

    const ofActivated = builder.allocate("gradient of activated", 4 * rows);
    keep(weights.down);
    builder.free(saved.activated);
    const ofUp = builder.replace(ofActivated, "gradient of up", 4 * rows);
    builder.free(saved.up);
    const ofNormalisedAgain = builder.allocate("gradient of normalised", rows);
    keep(weights.up);
    builder.free(ofUp, saved.normalisedAgain);
    const ofNorm = builder.replace(ofNormalisedAgain, "gradient of norm", rows);
    keep(weights.secondNorm);
    builder.free(saved.attended);
    const ofAttended = builder.replace(ofNorm, "gradient", rows);
    builder.free(d);

    const ofMerged = builder.allocate("gradient of merged heads", rows);
    keep(weights.projection);
    builder.free(saved.merged);
    const ofContext = builder.replace(ofMerged, "gradient of context", rows);
    const ofProbabilities = builder.allocate("gradient of probabilities", square);
    const ofValue = builder.replace(ofContext, "gradient of value", rows);
    builder.free(saved.value);
    const ofScores = builder.replace(ofProbabilities, "gradient of scores", square);
    builder.free(saved.probabilities);
    const ofQuery = builder.allocate("gradient of query", rows);
    const ofKey = builder.replace(ofScores, "gradient of key", rows);
    builder.free(saved.query, saved.key);
    const ofQkv = builder.allocate("gradient of query, key and value", 3 * rows);
    builder.free(ofQuery, ofKey, ofValue);
    const ofNormalised = builder.allocate("gradient of normalised", rows);
    keep(weights.qkv);
    builder.free(ofQkv, saved.normalised);
    const ofFirstNorm = builder.replace(ofNormalised, "gradient of norm", rows);
    keep(weights.norm);
    builder.free(saved.input);
    const ofInput = builder.replace(ofFirstNorm, "gradient", rows);
    builder.free(ofAttended);
    return ofInput;
  }

  #update(weight: Weight, gradient: number): void {
    const builder = this.#builder;
    const { label, bytes, blocks } = weight;
    const [parameter, first, second] = blocks;
    const newFirst = builder.replace(first!, `first moment of ${label}`, bytes);
    const newSecond = builder.replace(second!, `second moment of ${label}`, bytes);
    const update = builder.replace(gradient, `update of ${label}`, bytes);
    const newParameter = builder.replace(parameter!, label, bytes);
    builder.free(update);
    weight.blocks = [newParameter, newFirst, newSecond];
  }

  #weight(label: string, count: number): Weight {
    const bytes = 4 * count;
    const labels = [label, `first moment of ${label}`, `second moment of ${label}`];
    return { label, bytes, blocks: labels.map((each) => this.#builder.allocate(each, bytes)) };
  }

  #gradient({ label, bytes }: Weight): number {
    return this.#builder.allocate(`gradient of ${label}`, bytes);
  }
}
