/** What the memory plot draws: samples over the time in which something happened. */

import type { RuntimeStats } from "moorage";

import { regions, together } from "./regions.ts";

export interface Sample {
  /** Milliseconds of the timeline, idle stretches cut short. */
  readonly time: number;
  /** Live bytes of each region, in the order of {@link regions}. */
  readonly live: readonly number[];
  /** Of all regions together. */
  readonly reservedBytes: number;
}

/** Where a job or another event began. */
export interface Mark {
  readonly time: number;
  readonly label: string;
}

/** Of a stretch between jobs in which nothing changed, this much is shown. */
const idleMs = 120;
const maximumSamples = 4000;
const maximumMarks = 6;

export class Timeline {
  #samples: Sample[] = [];
  #marks: Mark[] = [];
  #lastAt: number | null = null;
  /** How much longer an idle stretch is shown. */
  #idleLeft = idleMs;

  get samples(): readonly Sample[] {
    return this.#samples;
  }

  get marks(): readonly Mark[] {
    return this.#marks;
  }

  /** Adds what `stats` say at the clock's time `at`; returns whether there is something new to draw. */
  add(stats: RuntimeStats, at: number, isWorking: boolean): boolean {
    const live = regions.map(({ key }) => stats[key].liveBytes);
    const reservedBytes = together(stats, "reservedBytes");
    const last = this.#samples.at(-1);
    const isSame =
      last !== undefined &&
      last.reservedBytes === reservedBytes &&
      last.live.every((bytes, index) => bytes === live[index]);
    const elapsed = this.#lastAt === null ? 0 : at - this.#lastAt;
    this.#lastAt = at;
    if (isWorking || !isSame) this.#idleLeft = idleMs;
    const shown = isWorking ? elapsed : Math.min(elapsed, this.#idleLeft);
    if (!isWorking) this.#idleLeft -= shown;
    if (isSame && shown === 0) return false;
    const time = (last?.time ?? 0) + shown;
    // A level that lasts needs its start and its end only.
    const before = this.#samples.at(-2);
    if (isSame && before !== undefined && sameLevel(before, last)) this.#samples.pop();
    this.#samples.push({ time, live, reservedBytes });
    if (this.#samples.length > maximumSamples) this.#forget(this.#samples[500]!.time);
    return true;
  }

  /** Begins a new stretch under a label; what lies before the sixth-last one is forgotten. */
  mark(label: string, at: number): void {
    this.#lastAt = at;
    this.#idleLeft = idleMs;
    this.#marks.push({ time: this.#samples.at(-1)?.time ?? 0, label });
    if (this.#marks.length > maximumMarks) this.#forget(this.#marks.at(-maximumMarks)!.time);
  }

  #forget(before: number): void {
    this.#samples = this.#samples.filter(({ time }) => time >= before);
    this.#marks = this.#marks.filter(({ time }) => time >= before);
  }
}

function sameLevel(a: Sample, b: Sample): boolean {
  return (
    a.reservedBytes === b.reservedBytes && a.live.every((bytes, index) => bytes === b.live[index])
  );
}
