/** How the time of recording alone is taken: the same way for every contestant. */

import type { BenchHost, Prepared } from "./contract.ts";
import { countDispatches } from "./counting.ts";

/**
 * Work whose measure is the time of `record`, from the first operation issued to the last one
 * submitted; the device's own time is waited for outside of it. The output is the number of dispatches.
 */
export function timedRecording(
  host: BenchHost,
  device: GPUDevice,
  record: () => void | Promise<void>,
): Pick<Prepared, "run" | "outputs"> {
  return {
    async run(iterations) {
      let milliseconds = 0;
      for (let iteration = 0; iteration < iterations; iteration++) {
        const started = host.now();
        await record();
        milliseconds += host.now() - started;
        await host.wait(device);
      }
      return milliseconds;
    },
    async outputs() {
      const { dispatches } = await countDispatches(device, async () => await record());
      return [Float32Array.of(dispatches)];
    },
  };
}
