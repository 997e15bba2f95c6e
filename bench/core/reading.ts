/**
 * How the time of a read is taken: the same way for every contestant. Each leaves an array behind, and
 * the engine's collection of the arrays before would fall upon whoever reads next: at a mebibyte and
 * more it happens before the clock starts. So does what a peer needs to have something to read at all.
 */

import type { BenchHost } from "./contract.ts";

const largeBytes = 2 ** 20;

/**
 * A `run` whose measure is the time of its reads alone.
 *
 * @param bytes - that a read leaves behind
 * @param before - outside of the time
 */
export function timedReads(
  host: BenchHost,
  bytes: number,
  read: () => Promise<void>,
  before?: () => Promise<void>,
): (iterations: number) => Promise<number> {
  return async (iterations) => {
    let milliseconds = 0;
    for (let iteration = 0; iteration < iterations; iteration++) {
      await before?.();
      if (bytes >= largeBytes) host.collectYoungGarbage();
      const started = host.now();
      await read();
      milliseconds += host.now() - started;
    }
    return milliseconds;
  };
}
