/**
 * The floor: WebGPU by hand, the best that can be written for each case. Where the best depends on
 * the adapter, several variants are given, and the harness keeps the fastest.
 */

import { implementationName, NotSupportedError } from "../../core/contract.ts";
import type { Contestant } from "../../core/contract.ts";
import { allocPools } from "./alloc.ts";
import { convolutionKernels } from "./convolution.ts";
import { dispatchChains } from "./dispatch.ts";
import { edgeMapKernels } from "./edge-map.ts";
import { elementwiseKernels } from "./elementwise.ts";
import { hostMemory } from "./host.ts";
import { Kit } from "./kit.ts";
import { matmulKernels } from "./matmul.ts";
import { leastMemory } from "./memory.ts";
import { movementKernels } from "./movement.ts";
import { networkKernels } from "./networks.ts";
import { plainKernels } from "./plain.ts";
import { reductionKernels } from "./reductions.ts";
import { rowKernels } from "./rows.ts";
import { transferPaths } from "./transfer.ts";
import type { RawVariant } from "./variant.ts";

const cases: Readonly<Record<string, readonly RawVariant[]>> = {
  ...allocPools,
  ...convolutionKernels,
  ...edgeMapKernels,
  ...hostMemory,
  ...dispatchChains,
  ...leastMemory,
  ...elementwiseKernels,
  ...movementKernels,
  ...matmulKernels,
  ...networkKernels,
  ...reductionKernels,
  ...rowKernels,
  ...transferPaths,
};

export const raw: Contestant = {
  name: "raw",
  kind: "raw",
  title: "raw WebGPU, by hand",
  async open(host) {
    const device = await host.requestDevice("bench: raw");
    return {
      device,
      prepare(problem) {
        const name = implementationName(problem);
        const plain = problem.case.cold === true ? plainKernels[name] : undefined;
        const variants = plain === undefined ? cases[name] : [plain, ...(cases[name] ?? [])];
        if (variants === undefined)
          return Promise.reject(new NotSupportedError(`nobody has written ${name} by hand yet`));
        return Promise.resolve(
          variants.map((variant) => async () => {
            const kit = new Kit(device, host, problem.case.cold);
            try {
              return await variant(problem, kit);
            } catch (error) {
              kit.dispose();
              throw error;
            }
          }),
        );
      },
      close() {
        device.destroy();
        return Promise.resolve();
      },
    };
  },
};
