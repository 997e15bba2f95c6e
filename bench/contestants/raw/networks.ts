/** Whole computations by hand. */

import { decodingVariants } from "./decoding.ts";
import { mlpVariants } from "./mlp.ts";
import { transformerVariants } from "./transformer.ts";
import type { RawVariant } from "./variant.ts";

export const networkKernels: Readonly<Record<string, readonly RawVariant[]>> = {
  mlp: mlpVariants,
  "transformer block": transformerVariants,
  "key-value decoding": decodingVariants,
};
