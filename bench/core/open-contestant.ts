/**
 * A contestant between opening and closing, on one problem: what it is asked is waited for with
 * patience, what its device reports is kept, and what it leaves is compared and counted.
 */

import { check } from "./check.ts";
import type { Answer } from "./check.ts";
import type { BenchHost, Contestant, Prepared, Problem, Session, Variant } from "./contract.ts";
import { deviceCounts, startPeak } from "./counting.ts";
import type { Tolerance } from "./tolerances.ts";

/** What every contestant is asked, and how long it may take to answer. */
export interface Question {
  readonly problem: Problem;
  readonly answers: readonly Answer[];
  readonly tolerance: Tolerance;
  /** Milliseconds for any one step. */
  readonly patienceMs: number;
}

export class OpenContestant {
  readonly device: GPUDevice;
  readonly #host: BenchHost;
  readonly #session: Session;
  readonly #question: Question;
  /** Live on a device that a contestant keeps between problems. */
  readonly #bytesBefore: number;
  #deviceError: string | undefined;

  private constructor(host: BenchHost, session: Session, question: Question) {
    this.#host = host;
    this.#session = session;
    this.#question = question;
    this.device = session.device;
    this.#bytesBefore = deviceCounts(this.device).liveBytes;
    startPeak(this.device);
    this.device.addEventListener("uncapturederror", this.#onDeviceError);
  }

  static async open(
    contestant: Contestant,
    host: BenchHost,
    question: Question,
  ): Promise<OpenContestant> {
    const session = await patiently(contestant.open(host), "opening", question.patienceMs);
    return new OpenContestant(host, session, question);
  }

  /** Bytes of live buffers now, at most since the peak was last started, less those found at opening. */
  get liveBytes(): number {
    return deviceCounts(this.device).liveBytes - this.#bytesBefore;
  }

  get peakBytes(): number {
    return deviceCounts(this.device).peakBytes - this.#bytesBefore;
  }

  async variants(): Promise<readonly Variant[]> {
    const made = await this.#patiently(this.#session.prepare(this.#question.problem), "preparing");
    return "run" in made ? [() => Promise.resolve(made)] : made;
  }

  async prepare(variant: Variant): Promise<Prepared> {
    return await this.#patiently(variant(), "preparing");
  }

  /** Milliseconds (or bytes, where they are what is measured) of all `iterations`. */
  async run(prepared: Prepared, iterations: number): Promise<number> {
    const started = this.#host.now();
    const own = await this.#patiently(prepared.run(iterations), "an iteration");
    const elapsed = this.#host.now() - started;
    const isBytes = this.#question.problem.case.unit === "bytes";
    return own ?? (isBytes ? this.peakBytes : elapsed);
  }

  /** The largest error. @throws where an output is wrong, or the device reported an error */
  async requireRight(prepared: Prepared): Promise<number> {
    const { answers, tolerance } = this.#question;
    const outputs = await this.#patiently(prepared.outputs(), "reading the outputs");
    const { failure, maxError } = check(outputs, answers, tolerance);
    this.requireNoDeviceError();
    if (failure !== null) throw new Error(failure);
    return maxError;
  }

  requireNoDeviceError(): void {
    if (this.#deviceError !== undefined)
      throw new Error(`the device reported: ${firstLine(this.#deviceError)}`);
  }

  /** Disposes what was prepared, and gives the bytes that are held even then. */
  async close(prepared: Prepared | undefined): Promise<number> {
    try {
      await prepared?.dispose();
      await this.#patiently(this.#host.wait(this.device), "the device's last work");
      return Math.max(0, this.liveBytes);
    } finally {
      this.device.removeEventListener("uncapturederror", this.#onDeviceError);
      await this.#session.close();
    }
  }

  readonly #onDeviceError = (event: Event): void => {
    // The row tells of it; the platform need not print it among the tables.
    event.preventDefault();
    this.#deviceError ??= (event as GPUUncapturedErrorEvent).error.message;
  };

  async #patiently<T>(work: Promise<T>, what: string): Promise<T> {
    return await patiently(work, what, this.#question.patienceMs);
  }
}

async function patiently<T>(work: Promise<T>, what: string, patienceMs: number): Promise<T> {
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

/** Of any message, what fits into a row. */
export function firstLine(text: string): string {
  const [line = ""] = text.trim().split("\n");
  return line.length > 300 ? `${line.slice(0, 297)}...` : line;
}
