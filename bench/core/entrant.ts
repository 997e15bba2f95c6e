/**
 * One contestant on one problem, from opening to closing:
 *
 *   1. open      a session with a device of its own
 *   2. prepare   upload, compile; of several variants the fastest right one is kept
 *   3. check     the outputs against float64, before any time counts
 *   4. warm up   until the engine and the device have seen it, and a sample's length is known
 *   5. sample    (in turn with the others; see measure.ts)
 *   6. check     again, what the samples left
 *   7. dispose   and look what is still held
 */

import { check } from "./check.ts";
import type { Answer } from "./check.ts";
import { chooseVariant, TooSlowError } from "./choose-variant.ts";
import { NotSupportedError } from "./contract.ts";
import type { BenchHost, Contestant, Prepared, Problem, Session, Variant } from "./contract.ts";
import { copyCounts, deviceCounts, recordMemory, startPeak } from "./counting.ts";
import type { DeviceCounts, MemoryPoint } from "./counting.ts";
import type { Tolerance } from "./tolerances.ts";

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
  iterations = 1;
  /** Of one iteration, from the warm-up. */
  roughMs = 0;
  peakDeviceBytes: number | null = null;
  heldDeviceBytes: number | null = null;
  /** The course of live bytes, where they are what is measured. */
  memory: readonly MemoryPoint[] = [];

  readonly #host: BenchHost;
  readonly #problem: Problem;
  readonly #answers: readonly Answer[];
  readonly #tolerance: Tolerance;
  readonly #pace: Pace;
  #session: Session | undefined;
  #prepared: Prepared | undefined;
  /** Live on a device that a contestant keeps between problems. */
  #bytesBefore = 0;
  #deviceError: string | undefined;
  /** The variant that was quickest to start. */
  #coldest = 0;

  constructor(
    contestant: Contestant,
    host: BenchHost,
    problem: Problem,
    answers: readonly Answer[],
    tolerance: Tolerance,
    pace: Pace,
  ) {
    this.contestant = contestant;
    this.#host = host;
    this.#problem = problem;
    this.#answers = answers;
    this.#tolerance = tolerance;
    this.#pace = pace;
  }

  get isReady(): boolean {
    return this.failure === null && this.#prepared !== undefined;
  }

  /** Steps 1 to 4. A contestant that fails says why in `failure`, and is closed. */
  async enter(): Promise<void> {
    await this.#attempt(async () => {
      await this.#openSession();
      await this.#choose(await this.#variants());
      // Reading the outputs for the check is the bench's doing, not the case's.
      startPeak(this.#session!.device);
      if (this.#problem.case.unit === "bytes") return;
      await this.#warmUp();
    });
  }

  /** Step 5: one sample, in milliseconds (or bytes) to an iteration. */
  async sample(round: number): Promise<void> {
    await this.#attempt(async () => {
      const device = this.#session!.device;
      const before = copyCounts(device);
      const heapBefore = this.#host.heap();
      const value = await this.#measured();
      const heapAfter = this.#host.heap();
      this.#count(before, this.iterations);
      if (heapBefore !== undefined && heapAfter !== undefined) {
        this.counted.knowsHeap = true;
        const collections = heapAfter.collectionCount - heapBefore.collectionCount;
        this.counted.collections += collections;
        const growth = heapAfter.usedBytes - heapBefore.usedBytes;
        if (collections === 0 && growth > 0) this.counted.heapBytes += growth;
      }
      this.samples[round] = value / this.iterations;
      this.#requireNoDeviceError();
    });
  }

  /** Where bytes are the measure, their course is recorded beside their peak. */
  async #measured(): Promise<number> {
    if (this.#problem.case.unit !== "bytes") return await this.#timed(this.iterations);
    const { device } = this.#session!;
    const { result, points } = await recordMemory(this.#host, device, () => this.#timed(1));
    this.memory = points.map(({ milliseconds, liveBytes }) => ({
      milliseconds,
      liveBytes: liveBytes - this.#bytesBefore,
    }));
    return result;
  }

  /**
   * A sample of something that happens once: a new session each time, and its first iteration. The
   * first of them tries every variant, each in a session of its own, and the quickest is kept.
   */
  async sampleCold(round: number): Promise<void> {
    await this.#attempt(async () => {
      if (round > 0 || this.contestant.keepsDevice === true) {
        this.samples[round] = (await this.#coldStart(this.#coldest)).ms;
        return;
      }
      let best: number | undefined;
      let count = 1;
      for (let which = 0; which < count; which++) {
        const { ms, variantCount, variant } = await this.#coldStart(which);
        count = variantCount;
        if (ms === Number.POSITIVE_INFINITY) continue;
        if (variant !== undefined) this.variants.push({ variant, milliseconds: ms });
        if (best !== undefined && best <= ms) continue;
        [best, this.#coldest, this.variant] = [ms, which, variant ?? null];
      }
      this.samples[round] = best;
    });
  }

  /** Infinitely long where the adapter cannot run the variant. */
  async #coldStart(
    which: number,
  ): Promise<{ readonly ms: number; readonly variantCount: number; readonly variant?: string }> {
    await this.#openSession();
    await this.#host.wait(this.#session!.device);
    const before = copyCounts(this.#session!.device);
    const started = this.#host.now();
    const variants = await this.#variants();
    const variantCount = variants.length;
    try {
      this.#prepared = await this.#patiently(variants[which]!(), "preparing");
    } catch (error) {
      if (!(error instanceof NotSupportedError) || variantCount === 1) throw error;
      await this.#close();
      return { ms: Number.POSITIVE_INFINITY, variantCount };
    }
    await this.#timed(1);
    const ms = this.#host.now() - started;
    this.#count(before, 1);
    this.#notePeak();
    await this.#requireRight(this.#prepared);
    this.roughMs = ms;
    const { variant } = this.#prepared;
    await this.#close();
    return { ms, variantCount, ...(variant === undefined ? {} : { variant }) };
  }

  /** Adds what was made on the device since `before`. */
  #count(before: DeviceCounts, iterations: number): void {
    const after = deviceCounts(this.#session!.device);
    this.counted.buffersCreated += after.buffersCreated - before.buffersCreated;
    this.counted.bindGroupsCreated += after.bindGroupsCreated - before.bindGroupsCreated;
    this.counted.pipelinesCreated += after.pipelinesCreated - before.pipelinesCreated;
    this.counted.iterations += iterations;
  }

  /** Steps 6 and 7. */
  async leave(): Promise<void> {
    await this.#attempt(async () => {
      this.#notePeak();
      if (this.#prepared !== undefined) await this.#requireRight(this.#prepared);
      await this.#close();
    });
    if (this.failure !== null) this.samples.length = 0;
  }

  async #openSession(): Promise<void> {
    this.#session = await this.#patiently(this.contestant.open(this.#host), "opening");
    const { device } = this.#session;
    this.#bytesBefore = deviceCounts(device).liveBytes;
    startPeak(device);
    device.addEventListener("uncapturederror", this.#onDeviceError);
  }

  async #variants(): Promise<readonly Variant[]> {
    const made = await this.#patiently(this.#session!.prepare(this.#problem), "preparing");
    return "run" in made ? [() => Promise.resolve(made)] : made;
  }

  readonly #onDeviceError = (event: Event): void => {
    // The row tells of it; the platform need not print it among the tables.
    event.preventDefault();
    this.#deviceError ??= (event as GPUUncapturedErrorEvent).error.message;
  };

  async #choose(variants: readonly Variant[]): Promise<void> {
    const iterations = new WeakMap<Prepared, number>();
    const { prepared, timings } = await chooseVariant(variants, {
      enter: async (variant) => {
        const made = await this.#patiently(variant(), "preparing");
        try {
          await this.#runFirst(made);
          await this.#requireRight(made);
        } catch (error) {
          await made.dispose();
          throw error;
        }
        return made;
      },
      time: async (made) => {
        const count = iterations.get(made) ?? 1;
        const started = this.#host.now();
        const own = await this.#patiently(made.run(count), "an iteration");
        const ms = (own ?? this.#host.now() - started) / count;
        iterations.set(made, this.#iterationsFor(ms));
        return ms;
      },
    });
    this.#prepared = prepared;
    this.variant = prepared.variant ?? null;
    this.variants = [...timings];
  }

  /** Compiling may be part of it; even so, what takes that long would take the run's time for little. */
  async #runFirst(prepared: Prepared): Promise<void> {
    const { longestMs } = this.#pace;
    const started = this.#host.now();
    await this.#patiently(prepared.run(1), "the first iteration");
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
      least = Math.min(least, (await this.#timed(this.iterations)) / this.iterations);
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
    const most = this.#problem.case.maxIterations ?? 256;
    return Math.max(1, Math.min(most, Math.round(this.#pace.sampleMs / Math.max(ms, 1e-6))));
  }

  /** Milliseconds (or bytes) of a whole call. */
  async #timed(iterations: number): Promise<number> {
    const { device } = this.#session!;
    const isBytes = this.#problem.case.unit === "bytes";
    const started = this.#host.now();
    const own = await this.#patiently(this.#prepared!.run(iterations), "an iteration");
    const elapsed = this.#host.now() - started;
    if (isBytes) return own ?? deviceCounts(device).peakBytes - this.#bytesBefore;
    return own ?? elapsed;
  }

  async #requireRight(prepared: Prepared): Promise<void> {
    const outputs = await this.#patiently(prepared.outputs(), "reading the outputs");
    const { failure, maxError } = check(outputs, this.#answers, this.#tolerance);
    this.#requireNoDeviceError();
    if (failure !== null) throw new Error(failure);
    this.maxError = Math.max(this.maxError ?? 0, maxError);
  }

  #requireNoDeviceError(): void {
    if (this.#deviceError !== undefined)
      throw new Error(`the device reported: ${firstLine(this.#deviceError)}`);
  }

  async #attempt(step: () => Promise<void>): Promise<void> {
    if (this.failure !== null) return;
    try {
      await step();
    } catch (error) {
      this.failure = describe(error);
      try {
        await this.#close();
      } catch {
        // The first failure is the one to report.
      }
    }
  }

  #notePeak(): void {
    if (this.#session === undefined) return;
    const peak = deviceCounts(this.#session.device).peakBytes - this.#bytesBefore;
    this.peakDeviceBytes = Math.max(this.peakDeviceBytes ?? 0, peak);
  }

  async #close(): Promise<void> {
    const session = this.#session;
    const prepared = this.#prepared;
    this.#session = undefined;
    this.#prepared = undefined;
    if (session === undefined) return;
    const { device } = session;
    try {
      await prepared?.dispose();
      await this.#patiently(this.#host.wait(device), "the device's last work");
      this.heldDeviceBytes = Math.max(0, deviceCounts(device).liveBytes - this.#bytesBefore);
    } finally {
      device.removeEventListener("uncapturederror", this.#onDeviceError);
      await session.close();
    }
  }

  async #patiently<T>(work: Promise<T>, what: string): Promise<T> {
    const { patienceMs } = this.#pace;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`${what} did not end within ${patienceMs / 1000} s`)),
        patienceMs,
      );
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function describe(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return firstLine(text);
}

function firstLine(text: string): string {
  const [line = ""] = text.trim().split("\n");
  return line.length > 300 ? `${line.slice(0, 297)}...` : line;
}
