/**
 * Waiting in Node. Dawn's binding asks its driver for news in a loop of `setImmediate` for as long as
 * anything is waited for: a core of the machine is spent on asking, which a software adapter would rather
 * compute with, and everybody else, too. Here short waits are left alone, and long ones sleep for a moment
 * in each turn of that loop:
 *
 *     wait ─ 1 ms of asking ─▶ [ask, sleep 2 % of the time waited] … ─▶ done
 *
 * No wait is prolonged by more than that, or by the least that the system sleeps (some 0.1 ms). The thread
 * sleeps with everything on it, 1 ms at most; a turn in which somebody else has used the loop does not.
 */

import { immediate } from "../stream/after-task.ts";
import { Waits } from "./waits.ts";

const spinMs = 1;
const sleepShare = 0.02;
const leastSleepMs = 0.02;
const mostSleepMs = 1;
/** A turn of the loop in which Dawn alone has asked is over sooner than this. */
const idleTurnMs = 0.25;

/** What a test puts in the place of time. */
export interface Clock {
  now(): number;
  sleep(milliseconds: number): void;
  /** After the running task, and at most so many milliseconds later. */
  soon(action: () => void): void;
  later(action: () => void, milliseconds: number): void;
}

export class Patience extends Waits {
  readonly #clock: Clock;
  /** When the latest wait began. */
  #since = 0;
  #isArmed = false;
  #turnBegan = 0;

  constructor(clock: Clock = systemClock()) {
    super(true);
    this.#clock = clock;
  }

  protected override began(): void {
    this.#since = this.#clock.now();
    if (this.#isArmed) return;
    this.#isArmed = true;
    this.#clock.later(this.#look, spinMs);
  }

  /** Armed once a millisecond at most, however many waits there are: short ones cost nothing else. */
  readonly #look = (): void => {
    if (!this.isWaiting) {
      this.#isArmed = false;
      return;
    }
    const now = this.#clock.now();
    this.#turnBegan = now;
    if (now - this.#since < spinMs) this.#clock.later(this.#look, spinMs);
    else this.#clock.soon(this.#turn);
  };

  readonly #turn = (): void => {
    if (!this.isWaiting) {
      this.#isArmed = false;
      return;
    }
    const now = this.#clock.now();
    const waited = now - this.#since;
    if (waited < spinMs) {
      this.#clock.later(this.#look, spinMs);
      return;
    }
    if (now - this.#turnBegan < idleTurnMs)
      this.#clock.sleep(Math.min(mostSleepMs, Math.max(leastSleepMs, waited * sleepShare)));
    this.#turnBegan = this.#clock.now();
    this.#clock.soon(this.#turn);
  };
}

/** Whether this thread may sleep: the main thread of a browser may not. */
export function canSleep(): boolean {
  if (immediate === null || typeof SharedArrayBuffer === "undefined") return false;
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0);
    return true;
  } catch {
    return false;
  }
}

function systemClock(): Clock {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  return {
    now: () => performance.now(),
    sleep: (milliseconds) => void Atomics.wait(cell, 0, 0, milliseconds),
    soon: (action) => void immediate!(action),
    later: (action, milliseconds) => void setTimeout(action, milliseconds),
  };
}
