/** Every case, in the order in which a run goes through them. */

import type { BenchCase } from "../core/contract.ts";
import { allocCases } from "./alloc.ts";
import { coldStartsOf } from "./cold-start.ts";
import { convolutionCases } from "./convolution.ts";
import { dispatchCases } from "./dispatch.ts";
import { edgeMapCases } from "./edge-map.ts";
import { elementwiseCases } from "./elementwise.ts";
import { hostCases } from "./host.ts";
import { matmulCases } from "./matmul.ts";
import { memoryCases } from "./memory.ts";
import { movementCases } from "./movement.ts";
import { networkCases } from "./networks.ts";
import { reductionCases } from "./reductions.ts";
import { rowCases } from "./rows.ts";
import { transferCases } from "./transfer.ts";

const kernels: readonly BenchCase[] = [
  ...elementwiseCases,
  ...reductionCases,
  ...rowCases,
  ...matmulCases,
  ...movementCases,
  ...convolutionCases,
];

/** Cold starts come first: later, a library may have compiled what they ask for. */
export const allCases: readonly BenchCase[] = [
  ...coldStartsOf(kernels),
  ...allocCases,
  ...hostCases,
  ...transferCases,
  ...dispatchCases,
  ...kernels,
  ...memoryCases,
  ...networkCases,
  ...edgeMapCases,
];
