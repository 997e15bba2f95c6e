/**
 * Waiting in Node. Dawn's binding asks its driver for news in a loop of `setImmediate` for as long as
 * anything is waited for: a core of the machine is spent on asking, which a software adapter would rather
 * compute with, and everybody else, too. Here short waits are left alone, and long ones sleep for a moment
 * in each turn of that loop:
 *
 *     wait ─ 1 ms of asking ─▶ [ask, sleep 2 % of the time waited] … ─▶ done
 *
 * No wait is prolonged by more than that, or by the least that the system sleeps (some 0.1 ms). The thread
 * sleeps with everything on it, a fifth of a millisecond at a time; where somebody else has used the loop,
 * it does not for a while.
 */

import { immediate } from "../stream/after-task.ts";
import { Waits } from "./waits.ts";

const spinMs = 1;
const sleepShare = 0.02;
const leastSleepMs = 0.02;
/** Nearly as good as more: a turn of Dawn's takes 3 to 8 us, one in a hundred 28. */
const mostSleepMs = 0.2;
/** A turn that took longer than this, and than so many times the shortest, was not Dawn's alone … */
const busyMs = 0.04;
const busyTimes = 8;
/** … and then nobody sleeps for so long: a server goes on answering. */
const awakeMs = 10;

// As they are when this module is loaded: a test that replaces them would stop all waiting.
const { performance: time, setTimeout: after } = globalThis;

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
  #shortestTurn = Number.POSITIVE_INFINITY;
  #awakeUntil = 0;

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
    this.#shortestTurn = Number.POSITIVE_INFINITY;
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
    const turn = now - this.#turnBegan;
    if (turn < this.#shortestTurn) this.#shortestTurn = turn;
    if (turn > Math.max(busyMs, busyTimes * this.#shortestTurn)) this.#awakeUntil = now + awakeMs;
    if (now >= this.#awakeUntil)
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
    now: () => time.now(),
    sleep: (milliseconds) => void Atomics.wait(cell, 0, 0, milliseconds),
    soon: (action) => void immediate!(action),
    later: (action, milliseconds) => void after(action, milliseconds),
  };
}
