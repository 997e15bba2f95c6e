/**
 * Is the floor still a floor? Raw's kernels against the machine's limits, round by round in turn, so
 * that a slow minute of the machine slows both. `bench/floor.json` holds what was reached before.
 */

import type { BenchCase, BenchHost, CaseSize, Contestant, Problem } from "./contract.ts";
import { Entrant } from "./entrant.ts";
import type { Pace } from "./entrant.ts";
import { copyCommand, copyKernels, fmaKernels } from "./limits.ts";
import type { LimitKernel } from "./limits.ts";
import { answersFor, problemOf } from "./measure.ts";
import { median } from "./statistics.ts";
import { toleranceOf } from "./tolerances.ts";

/** The fractions of one adapter on one processor, by `case/size`. */
export interface FloorOfAdapter {
  readonly processor: string;
  readonly fractions: Readonly<Record<string, number>>;
}

/** By the beginning of the adapter's description: `SwiftShader`, `llvmpipe`. */
export type Floor = Readonly<Record<string, FloorOfAdapter>>;

export interface FloorProblem {
  readonly benchCase: BenchCase;
  readonly size: CaseSize;
}

export const floorSettings = {
  sampleMs: 8,
  warmUpMs: 20,
  patienceMs: 60_000,
  budgetMs: 400,
  fewestRounds: 5,
  mostRounds: 25,
  longestMs: 2000,
} satisfies Pace & Record<string, number>;

export function floorKey({ benchCase, size }: FloorProblem): string {
  return `${benchCase.name}/${size.label}`;
}

/**
 * Raw does these by copy commands. What a command copies beside what a kernel copies moved by 30 %
 * between two quiet runs: their limit is a command's.
 */
const byCommands: ReadonlySet<string> = new Set(["slice", "concat"]);

/** The kernels of a quick run: those that a device computes, at a size that is no launch. */
export function floorProblems(cases: readonly BenchCase[]): FloorProblem[] {
  return cases
    .filter(({ suite, cold }) => suite === "kernels" && cold !== true)
    .flatMap((benchCase) => {
      const size = benchCase.sizes.findLast(({ quick }) => quick === true);
      return size === undefined ? [] : [{ benchCase, size }];
    });
}

/** Measures fractions of the limits, on one pair of devices: the limits' own, and raw's. */
export class FloorGauge {
  readonly #host: BenchHost;
  readonly #raw: Contestant;
  readonly #device: GPUDevice;
  readonly #copies: readonly LimitKernel[];
  readonly #multiplyAdds: readonly LimitKernel[];
  readonly #command: LimitKernel;

  private constructor(
    host: BenchHost,
    raw: Contestant,
    device: GPUDevice,
    copies: readonly LimitKernel[],
    multiplyAdds: readonly LimitKernel[],
    command: LimitKernel,
  ) {
    this.#host = host;
    this.#raw = raw;
    this.#device = device;
    this.#copies = copies;
    this.#multiplyAdds = multiplyAdds;
    this.#command = command;
  }

  static async open(host: BenchHost, raw: Contestant): Promise<FloorGauge> {
    const device = await host.requestDevice("floor: limits");
    const [copies, multiplyAdds] = [await copyKernels(device), await fmaKernels(device)];
    return new FloorGauge(host, raw, device, copies, multiplyAdds, copyCommand(device));
  }

  close(): void {
    const all = [...this.#copies, ...this.#multiplyAdds, this.#command];
    for (const { dispose } of all) dispose();
    this.#device.destroy();
  }

  /** The median over the rounds of the least time that the limits allow over the time that raw took. */
  async fraction({ benchCase, size }: FloorProblem, seed: number): Promise<number> {
    const problem = problemOf(benchCase, size, seed);
    const entrant = new Entrant(
      this.#raw,
      this.#host,
      {
        problem,
        answers: answersFor(problem, seed),
        tolerance: toleranceOf(benchCase.tolerance),
      },
      floorSettings,
    );
    await entrant.enter();
    const limit = await this.#limitOf(problem);
    const fractions: number[] = [];
    const roundMs = entrant.roughMs * entrant.iterations + 2 * floorSettings.sampleMs;
    const { fewestRounds, mostRounds, budgetMs } = floorSettings;
    const rounds = Math.max(fewestRounds, Math.min(mostRounds, Math.floor(budgetMs / roundMs)));
    for (let round = 0; round < rounds && entrant.failure === null; round++) {
      const leastMs = await limit();
      await entrant.sample(round);
      const ms = entrant.samples[round];
      if (ms !== undefined) fractions.push(leastMs / ms);
    }
    await entrant.leave();
    if (entrant.failure !== null)
      throw new Error(`raw on ${floorKey({ benchCase, size })}: ${entrant.failure}`);
    return median(fractions);
  }

  /** The least milliseconds for the work, measured anew at each call, by the limit that binds. */
  async #limitOf({ case: { name }, work }: Problem): Promise<() => Promise<number>> {
    const { bytes = 0, flops = 0 } = work;
    if (byCommands.has(name)) return async () => bytes * (await this.#msOf(this.#command));
    const [copy, multiplyAdd] = [
      await this.#fastest(this.#copies),
      await this.#fastest(this.#multiplyAdds),
    ];
    const isMemory = bytes * (await this.#msOf(copy)) >= flops * (await this.#msOf(multiplyAdd));
    return async () =>
      isMemory ? bytes * (await this.#msOf(copy)) : flops * (await this.#msOf(multiplyAdd));
  }

  async #fastest(kernels: readonly LimitKernel[]): Promise<LimitKernel> {
    let best: { readonly kernel: LimitKernel; readonly ms: number } | undefined;
    for (const kernel of kernels) {
      await this.#msOf(kernel);
      const ms = Math.min(await this.#msOf(kernel), await this.#msOf(kernel));
      if (best === undefined || ms < best.ms) best = { kernel, ms };
    }
    return best!.kernel;
  }

  /** Milliseconds to a byte, or to an operation. */
  async #msOf(kernel: LimitKernel): Promise<number> {
    const started = this.#host.now();
    await kernel.run(1);
    await this.#host.wait(this.#device);
    return (this.#host.now() - started) / kernel.amount;
  }
}
