/**
 * One contestant on one problem, from opening to closing:
 *
 *   1. open      a session with a device of its own
 *   2. prepare   upload, compile; of several variants the fastest right one is kept
 *   3. check     the outputs against float64, before any time counts
 *   4. warm up   until the engine and the device have seen it, and a sample's length is known
 *   5. sample    (in turn with the others; see rounds.ts)
 *   6. check     again, what the samples left
 *   7. dispose   and look what is still held
 *
 * A cold start goes through all of them for every sample.
 */

import { chooseVariant, TooSlowError } from "./choose-variant.ts";
import { NotSupportedError } from "./contract.ts";
import type { BenchHost, Contestant, Prepared } from "./contract.ts";
import { copyCounts, deviceCounts, recordMemory, startPeak } from "./counting.ts";
import type { DeviceCounts, MemoryPoint } from "./counting.ts";
import { firstLine, OpenContestant } from "./open-contestant.ts";
import type { Question } from "./open-contestant.ts";

export interface Pace {
  /** How long a sample should take, in milliseconds. */
  readonly sampleMs: number;
  readonly warmUpMs: number;
  /** After which a contestant is given up, at any one step. */
  readonly patienceMs: number;
  /** A contestant whose iteration takes longer than this is left out, and its row says so. */
  readonly longestMs: number;
}

export interface Counted {
  buffersCreated: number;
  bindGroupsCreated: number;
  pipelinesCreated: number;
  iterations: number;
  heapBytes: number;
  collections: number;
  /** Whether the platform tells of its heap. */
  knowsHeap: boolean;
}

export class Entrant {
  readonly contestant: Contestant;
  readonly samples: (number | undefined)[] = [];
  readonly counted: Counted = {
    buffersCreated: 0,
    bindGroupsCreated: 0,
    pipelinesCreated: 0,
    iterations: 0,
    heapBytes: 0,
    collections: 0,
    knowsHeap: false,
  };
  failure: string | null = null;
  maxError: number | null = null;
  variant: string | null = null;
  variants: { readonly variant: string; readonly milliseconds: number }[] = [];
  /** Which of its variants: chosen here, or given by an earlier repetition. */
  choice: number | undefined;
  iterations = 1;
  /** Of one iteration, from the warm-up. */
  roughMs = 0;
  peakDeviceBytes: number | null = null;
  heldDeviceBytes: number | null = null;
  /** The course of live bytes, where they are what is measured. */
  memory: readonly MemoryPoint[] = [];

  readonly #host: BenchHost;
  readonly #question: Question;
  readonly #pace: Pace;
  #open: OpenContestant | undefined;
  #prepared: Prepared | undefined;

  /** With `choice`, the variant of that place runs, and no other is tried. */
  constructor(
    contestant: Contestant,
    host: BenchHost,
    question: Omit<Question, "patienceMs">,
    pace: Pace,
    choice?: number,
  ) {
    this.contestant = contestant;
    this.#host = host;
    this.#question = { ...question, patienceMs: pace.patienceMs };
    this.#pace = pace;
    this.choice = choice;
  }

  get isReady(): boolean {
    return this.failure === null && this.#prepared !== undefined;
  }

  /** Steps 1 to 4. A contestant that fails says why in `failure`, and is closed. */
  async enter(): Promise<void> {
    await this.#attempt(async () => {
      const open = await this.#openSession();
      await this.#choose(open);
      // Reading the outputs for the check is the bench's doing, not the case's.
      startPeak(open.device);
      if (this.#isBytes) return;
      await this.#warmUp();
    });
  }

  /** Step 5: one sample, in milliseconds (or bytes) to an iteration. */
  async sample(round: number): Promise<void> {
    await this.#attempt(async () => {
      const open = this.#open!;
      this.#host.collectYoungGarbage();
      const before = copyCounts(open.device);
      const heapBefore = this.#host.heap();
      const value = this.#isBytes
        ? await this.#watched(open)
        : await open.run(this.#prepared!, this.iterations);
      const heapAfter = this.#host.heap();
      this.#count(open, before, this.iterations);
      if (heapBefore !== undefined && heapAfter !== undefined) {
        this.counted.knowsHeap = true;
        const collections = heapAfter.collectionCount - heapBefore.collectionCount;
        this.counted.collections += collections;
        const growth = heapAfter.usedBytes - heapBefore.usedBytes;
        if (collections === 0 && growth > 0) this.counted.heapBytes += growth;
      }
      this.samples[round] = value / this.iterations;
      open.requireNoDeviceError();
    });
  }

  /** Where bytes are the measure, their course is recorded beside their peak. */
  async #watched(open: OpenContestant): Promise<number> {
    const before = deviceCounts(open.device).liveBytes - open.liveBytes;
    const { result, points } = await recordMemory(this.#host, open.device, () =>
      open.run(this.#prepared!, 1),
    );
    this.memory = points.map(({ milliseconds, liveBytes }) => ({
      milliseconds,
      liveBytes: liveBytes - before,
    }));
    return result;
  }

  /**
   * A sample of something that happens once: a new session each time, and its first iteration. The
   * first of them tries every variant, each in sessions of its own, and the quickest is kept.
   */
  async sampleCold(round: number): Promise<void> {
    await this.#attempt(async () => {
      if (this.choice === undefined && this.contestant.keepsDevice !== true) {
        await this.#chooseColdest();
      }
      const { ms, variant } = await this.#coldStart(this.choice ?? 0);
      this.variant = variant ?? null;
      this.samples[round] = ms;
    });
  }

  /** Each variant starts twice; the lesser time counts. */
  async #chooseColdest(): Promise<void> {
    const times: number[] = [];
    const names: (string | undefined)[] = [];
    let count = 1;
    for (let start = 0; start < 2 * count; start++) {
      const which = start % count;
      const { ms, variantCount, variant } = await this.#coldStart(which);
      count = variantCount;
      times[which] = Math.min(times[which] ?? Number.POSITIVE_INFINITY, ms);
      names[which] = variant;
    }
    this.choice = times.indexOf(Math.min(...times));
    this.variants = times.flatMap((milliseconds, which) => {
      const variant = names[which];
      const isRun = variant !== undefined && Number.isFinite(milliseconds);
      return isRun ? [{ variant, milliseconds }] : [];
    });
  }

  /** Infinitely long where the adapter cannot run the variant. */
  async #coldStart(
    which: number,
  ): Promise<{ readonly ms: number; readonly variantCount: number; readonly variant?: string }> {
    const open = await this.#openSession();
    await this.#host.wait(open.device);
    const before = copyCounts(open.device);
    const started = this.#host.now();
    const variants = await open.variants();
    const variantCount = variants.length;
    try {
      this.#prepared = await open.prepare(variants[which]!);
    } catch (error) {
      if (!(error instanceof NotSupportedError) || variantCount === 1) throw error;
      await this.#close();
      return { ms: Number.POSITIVE_INFINITY, variantCount };
    }
    await open.run(this.#prepared, 1);
    const ms = this.#host.now() - started;
    this.#count(open, before, 1);
    this.#notePeak();
    await this.#requireRight(open, this.#prepared);
    this.roughMs = ms;
    const { variant } = this.#prepared;
    await this.#close();
    return { ms, variantCount, ...(variant === undefined ? {} : { variant }) };
  }

  /** Adds what was made on the device since `before`. */
  #count({ device }: OpenContestant, before: DeviceCounts, iterations: number): void {
    const after = deviceCounts(device);
    this.counted.buffersCreated += after.buffersCreated - before.buffersCreated;
    this.counted.bindGroupsCreated += after.bindGroupsCreated - before.bindGroupsCreated;
    this.counted.pipelinesCreated += after.pipelinesCreated - before.pipelinesCreated;
    this.counted.iterations += iterations;
  }

  /** Steps 6 and 7. */
  async leave(): Promise<void> {
    await this.#attempt(async () => {
      this.#notePeak();
      if (this.#prepared !== undefined) await this.#requireRight(this.#open!, this.#prepared);
      await this.#close();
    });
    if (this.failure !== null) this.samples.length = 0;
  }

  get #isBytes(): boolean {
    return this.#question.problem.case.unit === "bytes";
  }

  async #openSession(): Promise<OpenContestant> {
    this.#open = await OpenContestant.open(this.contestant, this.#host, this.#question);
    return this.#open;
  }

  async #choose(open: OpenContestant): Promise<void> {
    const all = await open.variants();
    const first = this.choice ?? 0;
    const candidates = this.choice === undefined ? all : all.slice(first, first + 1);
    const iterations = new WeakMap<Prepared, number>();
    const { prepared, index, timings } = await chooseVariant(candidates, {
      enter: async (variant) => {
        const made = await open.prepare(variant);
        try {
          await this.#runFirst(open, made);
          await this.#requireRight(open, made);
        } catch (error) {
          await made.dispose();
          throw error;
        }
        return made;
      },
      time: async (made) => {
        const count = iterations.get(made) ?? 1;
        const ms = (await open.run(made, count)) / count;
        iterations.set(made, this.#iterationsFor(ms));
        return ms;
      },
    });
    this.#prepared = prepared;
    this.choice = first + index;
    this.variant = prepared.variant ?? null;
    this.variants = [...timings];
  }

  /** Compiling may be part of it; even so, what takes that long would take the run's time for little. */
  async #runFirst(open: OpenContestant, prepared: Prepared): Promise<void> {
    const { longestMs } = this.#pace;
    const started = this.#host.now();
    await open.run(prepared, 1);
    const ms = this.#host.now() - started;
    if (ms > longestMs) {
      throw new TooSlowError(
        `left out: its first iteration took ${(ms / 1000).toFixed(1)} s, and ${longestMs / 1000} s is this run's limit`,
      );
    }
  }

  /** The least of the rounds counts: one that the machine held up says nothing. */
  async #warmUp(): Promise<void> {
    const started = this.#host.now();
    let least = Number.POSITIVE_INFINITY;
    let rounds = 0;
    do {
      const ms = await this.#open!.run(this.#prepared!, this.iterations);
      least = Math.min(least, ms / this.iterations);
      this.iterations = this.#iterationsFor(least);
      rounds++;
      // Work of a second has no launch to learn: once is enough.
    } while (
      (rounds < 2 && least < 1000) ||
      (this.#host.now() - started < this.#pace.warmUpMs && rounds < 200)
    );
    this.roughMs = least;
  }

  #iterationsFor(ms: number): number {
    const most = this.#question.problem.case.maxIterations ?? 256;
    return Math.max(1, Math.min(most, Math.round(this.#pace.sampleMs / Math.max(ms, 1e-6))));
  }

  async #requireRight(open: OpenContestant, prepared: Prepared): Promise<void> {
    this.maxError = Math.max(this.maxError ?? 0, await open.requireRight(prepared));
  }

  async #attempt(step: () => Promise<void>): Promise<void> {
    if (this.failure !== null) return;
    try {
      await step();
    } catch (error) {
      this.failure = firstLine(error instanceof Error ? error.message : String(error));
      try {
        await this.#close();
      } catch {
        // The first failure is the one to report.
      }
    }
  }

  #notePeak(): void {
    if (this.#open === undefined) return;
    this.peakDeviceBytes = Math.max(this.peakDeviceBytes ?? 0, this.#open.peakBytes);
  }

  async #close(): Promise<void> {
    const [open, prepared] = [this.#open, this.#prepared];
    this.#open = undefined;
    this.#prepared = undefined;
    if (open !== undefined) this.heldDeviceBytes = await open.close(prepared);
  }
}
