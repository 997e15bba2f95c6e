/**
 * A small convolutional network on batches whose size varies by one from one to the next, as a queue
 * of requests fills them: every activation has a size of its own for each batch size, all close to
 * each other.
 */

import { randomFrom } from "../../core/random.ts";
import { TraceBuilder } from "../trace-builder.ts";
import type { Trace } from "../trace.ts";

export type VaryingBatchParameters = {
  readonly iterationCount: number;
  readonly batch: number;
  /** The batch stays within `batch - range` and `batch + range`. */
  readonly range: number;
  /** Pixels along each side of an image. */
  readonly side: number;
  /** Channels of the first stage; they double with every stage, while the sides halve. */
  readonly width: number;
  readonly stageCount: number;
};

export function varyingBatchTrace(
  seed: number,
  changes: Partial<VaryingBatchParameters> = {},
): Trace {
  const parameters = {
    iterationCount: 500,
    batch: 32,
    range: 8,
    side: 32,
    width: 64,
    stageCount: 4,
    ...changes,
  };
  const { iterationCount, batch, range, side, width, stageCount } = parameters;
  const random = randomFrom(seed);
  const builder = new TraceBuilder({
    generator: "varying-batch",
    seed,
    architecture:
      `convolutional network: ${stageCount} stages of two convolutions, ${width} channels at first, ` +
      `${side}x${side} images, batch ${batch} varying by one`,
    parameters,
  });
  const weights = weightBytes(parameters).map((bytes) => builder.allocate("weights", bytes));
  let images = batch;
  for (let iteration = 0; iteration < iterationCount; iteration++) {
    forward(builder, images, parameters);
    builder.step();
    const change = random.next() < 0.5 ? -1 : 1;
    const isWithin = images + change > 0 && Math.abs(images + change - batch) <= range;
    images += isWithin ? change : -change;
  }
  builder.free(...weights);
  return builder.finish();
}

/** Float32 of `batch` images: each activation goes once the next one is made. */
function forward(
  builder: TraceBuilder,
  batch: number,
  { side, width, stageCount }: VaryingBatchParameters,
): void {
  let x = builder.allocate("images", 4 * batch * 3 * side * side);
  let [channels, pixels] = [width, side * side];
  for (let stage = 0; stage < stageCount; stage++) {
    const bytes = 4 * batch * channels * pixels;
    for (const name of ["first", "second"]) {
      x = builder.replace(x, `${name} convolution`, bytes);
      x = builder.replace(x, "rectified", bytes);
    }
    pixels /= 4;
    x = builder.replace(x, "pooled", Math.ceil(bytes / 4));
    channels *= 2;
  }
  const classes = 10;
  x = builder.replace(x, "hidden", 4 * batch * channels);
  x = builder.replace(x, "rectified hidden", 4 * batch * channels);
  x = builder.replace(x, "logits", 4 * batch * classes);
  x = builder.replace(x, "probabilities", 4 * batch * classes);
  builder.free(x);
}

function weightBytes({ side, width, stageCount }: VaryingBatchParameters): number[] {
  const sizes: number[] = [];
  let [inputs, channels] = [3, width];
  for (let stage = 0; stage < stageCount; stage++) {
    sizes.push(4 * 9 * inputs * channels, 4 * 9 * channels * channels);
    [inputs, channels] = [channels, channels * 2];
  }
  const left = Math.max(1, Math.floor(side / 2 ** stageCount));
  sizes.push(4 * inputs * left * left * channels, 4 * channels * 10);
  return sizes;
}
