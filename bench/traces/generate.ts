/**
 * The traces that can be made by name. Full-size files are long and say nothing that a name and a seed
 * do not: they are made where they are needed.
 */

import { adversarialTrace } from "./generators/adversarial.ts";
import { inferenceTrace } from "./generators/inference.ts";
import { kvGrowthTrace } from "./generators/kv-growth.ts";
import { powerLawTrace, uniformTrace } from "./generators/synthetic.ts";
import { trainingTrace } from "./generators/training.ts";
import { varyingBatchTrace } from "./generators/varying-batch.ts";
import type { Trace } from "./trace.ts";

export interface TraceGenerator {
  readonly name: string;
  /** One line for people. */
  readonly about: string;
  /** The trace at full size; the same for the same seed. */
  generate(seed: number): Trace;
}

export const traceGenerators: readonly TraceGenerator[] = [
  {
    name: "uniform",
    about: "sizes uniform up to 256 KiB, random lifetimes",
    generate: (seed) => uniformTrace(seed),
  },
  {
    name: "power-law",
    about: "sizes by a power law from 64 B to 32 MiB, random lifetimes",
    generate: (seed) => powerLawTrace(seed),
  },
  {
    name: "varying-batch",
    about: "a convolutional network whose batch varies by one",
    generate: (seed) => varyingBatchTrace(seed),
  },
  {
    name: "transformer-inference",
    about: "a decoder of 12 layers on sequences of 128",
    generate: (seed) => inferenceTrace(seed),
  },
  {
    name: "training-step",
    about: "a decoder of 6 layers: forward, backward and optimiser",
    generate: (seed) => trainingTrace(seed),
  },
  {
    name: "adversarial",
    about: "patterns that are known to hurt one policy each",
    generate: (seed) => adversarialTrace(seed),
  },
  {
    name: "kv-growth",
    about: "64 key-value tensors growing by a row for 2,000 steps, beside changing activations",
    generate: (seed) => kvGrowthTrace(seed),
  },
];

export function findGenerator(name: string): TraceGenerator | undefined {
  return traceGenerators.find((generator) => generator.name === name);
}
