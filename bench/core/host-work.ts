/** Work on the host alone: there is nothing to wait for. */

import type { Numbers, Prepared } from "./contract.ts";

export function hostWork(
  work: () => void,
  outputs: () => Numbers,
  dispose: () => void = () => {},
): Prepared {
  return {
    run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) work();
      return Promise.resolve();
    },
    outputs: () => Promise.resolve([outputs()]),
    dispose,
  };
}
