/**
 * Time, bytes and progress by stage. Times are the host's: a stage is over when the device says that
 * everything recorded so far is done, so they hold a round trip to the device each.
 */

import type { Runtime } from "moorage";

/** The stages of the job, in order. */
export const stageNames = [
  "upload",
  "luma",
  "blurX",
  "blurY",
  "sobel",
  "magnitude",
  "max",
  "normalise",
  "download",
] as const;

export type StageName = (typeof stageNames)[number];

/** One stage, all strips together. */
export interface StageTiming {
  readonly name: string;
  readonly ms: number;
  /** Bytes that it read and wrote. */
  readonly bytes: number;
}

export interface StageClockOptions {
  /** Stages that will be measured in all, strips counted one by one. */
  readonly steps: number;
  readonly onProgress?: ((done: number, stage: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export class StageClock {
  readonly #runtime: Runtime;
  readonly #options: StageClockOptions;
  readonly #sums = new Map(stageNames.map((name) => [name, { ms: 0, bytes: 0 }]));
  #done = 0;

  constructor(runtime: Runtime, options: StageClockOptions) {
    this.#runtime = runtime;
    this.#options = options;
  }

  /** Runs one stage to its end on the device. Throws the signal's reason where it was aborted. */
  async measure<T>(name: StageName, bytes: number, work: () => T | Promise<T>): Promise<T> {
    const { steps, onProgress, signal } = this.#options;
    signal?.throwIfAborted();
    onProgress?.(this.#done / steps, name);
    const start = performance.now();
    const result = await work();
    await this.#runtime.sync();
    const sum = this.#sums.get(name)!;
    sum.ms += performance.now() - start;
    sum.bytes += bytes;
    this.#done++;
    onProgress?.(this.#done / steps, name);
    return result;
  }

  get stages(): StageTiming[] {
    return Array.from(this.#sums, ([name, { ms, bytes }]) => ({ name, ms, bytes }));
  }
}
