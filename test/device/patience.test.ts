/** Waiting in Node: short waits are left alone, long ones sleep a share of their time, and nobody starves. */

import { createRuntime as createPlain } from "moorage";
import { createRuntime, openAdapter } from "moorage/node";
import { expect, test, vi } from "vitest";

import { canSleep, Patience } from "../../src/device/waiting/patience.ts";
import type { Clock } from "../../src/device/waiting/patience.ts";
import { openRuntime } from "../harness.ts";

/** Time that passes only where the test says so; what is to run lies in a list. */
class FakeClock implements Clock {
  time = 0;
  readonly slept: number[] = [];
  readonly #tasks: { readonly at: number; readonly action: () => void }[] = [];

  now(): number {
    return this.time;
  }

  sleep(milliseconds: number): void {
    this.slept.push(milliseconds);
    this.time += milliseconds;
  }

  soon(action: () => void): void {
    this.#tasks.push({ at: this.time, action });
  }

  later(action: () => void, milliseconds: number): void {
    this.#tasks.push({ at: this.time + milliseconds, action });
  }

  /** A turn of the loop, in which others take so long. */
  turn(busyMs: number): void {
    this.time += busyMs;
    const due = this.#tasks.filter(({ at }) => at <= this.time);
    for (const task of due) this.#tasks.splice(this.#tasks.indexOf(task), 1);
    for (const { action } of due) action();
  }

  get pendingCount(): number {
    return this.#tasks.length;
  }
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((settle) => (resolve = settle));
  return { promise, resolve };
}

test("a wait sleeps after a millisecond, two percent of its time, and a fifth of one at most", async () => {
  const clock = new FakeClock();
  const patience = new Patience(clock);
  const { promise, resolve } = deferred();
  expect(patience.during(promise)).toBe(promise);
  for (let turn = 0; turn < 9; turn++) clock.turn(0.1);
  expect(clock.slept).toEqual([]);
  while (clock.time < 200) clock.turn(0.006);
  expect(clock.slept[0]).toBeGreaterThanOrEqual(0.02);
  expect(clock.slept[0]).toBeLessThan(0.03);
  expect(Math.max(...clock.slept)).toBe(0.2);
  const slept = clock.slept.reduce((sum, one) => sum + one, 0);
  // Most of a long wait is slept away, whatever its turns cost.
  expect(slept).toBeGreaterThan(180);
  resolve();
  await promise;
  const before = clock.slept.length;
  for (let turn = 0; turn < 5; turn++) clock.turn(1);
  expect([clock.slept.length, clock.pendingCount]).toEqual([before, 0]);
});

test("waits that are short cost a timer in a millisecond, and no sleep, however many there are", async () => {
  const clock = new FakeClock();
  const patience = new Patience(clock);
  for (let wait = 0; wait < 1000; wait++) {
    const { promise, resolve } = deferred();
    void patience.during(promise);
    clock.turn(0.06);
    resolve();
    await promise;
    expect(clock.pendingCount).toBeLessThanOrEqual(1);
  }
  expect(clock.slept).toEqual([]);
  clock.turn(2);
  clock.turn(2);
  expect(clock.pendingCount).toBe(0);
});

test("a wait that begins makes it ask often again, and a failed one ends", async () => {
  const clock = new FakeClock();
  const patience = new Patience(clock);
  const long = deferred();
  void patience.during(long.promise);
  while (clock.time < 50) clock.turn(0.006);
  const before = clock.slept.length;
  const failing = Promise.reject(new Error("lost"));
  await expect(patience.during(failing)).rejects.toThrow("lost");
  for (let turn = 0; turn < 9; turn++) clock.turn(0.1);
  expect(clock.slept.length).toBe(before);
  while (clock.time < 60) clock.turn(0.006);
  expect(clock.slept.length).toBeGreaterThan(before);
  long.resolve();
});

test("where somebody else uses the loop nobody sleeps for a while, and then again", () => {
  const clock = new FakeClock();
  const patience = new Patience(clock);
  void patience.during(deferred().promise);
  const turns = (count: number, busyMs: number): number => {
    const before = clock.slept.length;
    for (let turn = 0; turn < count; turn++) clock.turn(busyMs);
    return clock.slept.length - before;
  };
  turns(400, 0.006);
  expect(turns(100, 0.006)).toBe(100);
  // A request that is answered, in turns of different lengths.
  expect(turns(1, 0.06)).toBe(0);
  expect(turns(100, 0.006)).toBe(0);
  expect(turns(20, 2)).toBe(0);
  clock.turn(9.99);
  expect(turns(100, 0.006)).toBe(0);
  turns(2000, 0.006);
  expect(turns(100, 0.006)).toBe(100);
});

test("a machine on which asking takes long is not taken for a busy one", () => {
  const clock = new FakeClock();
  const patience = new Patience(clock);
  void patience.during(deferred().promise);
  for (let turn = 0; turn < 100; turn++) clock.turn(0.1);
  const before = clock.slept.length;
  for (let turn = 0; turn < 100; turn++) clock.turn(turn % 2 === 0 ? 0.1 : 0.5);
  expect(clock.slept.length - before).toBe(100);
});

test("timers that a test has replaced meanwhile do not end it", async () => {
  const rt = await openRuntime({});
  vi.useFakeTimers({ toFake: ["setTimeout", "performance"] });
  await rt.sync();
  vi.useRealTimers();
  const sleeps = vi.spyOn(Atomics, "wait");
  const a = rt.full([768, 768], 0.5, { dtype: "float32" });
  const b = rt.matmul(a, a);
  await rt.sync();
  // How often depends on what else the machine does.
  expect(sleeps.mock.calls.length).toBeGreaterThan(0);
  sleeps.mockRestore();
  for (const tensor of [a, b]) tensor.dispose();
  await rt.dispose();
});

test("in Node a runtime sleeps, and does not where it is told or has another entry", async () => {
  expect(canSleep()).toBe(true);
  const patient = await openRuntime({});
  const busy = await createRuntime({ waiting: "platform" });
  const plain = await createPlain({ adapter: (await openAdapter()).adapter });
  const kinds = [patient, busy, plain].map(
    (rt) => (rt as unknown as { context: { waits: object } }).context.waits.constructor.name,
  );
  expect(kinds).toEqual(["Patience", "Nudges", "Nudges"]);
  for (const rt of [patient, busy, plain]) await rt.dispose();
});

test("while something is waited for, timers go on, a little late", async () => {
  const rt = await openRuntime({});
  const size = 256;
  const options = { shape: [size, size], dtype: "float32" } as const;
  const a = rt.full(options.shape, 0.5, options);
  const compute = async (): Promise<void> => {
    let last = rt.matmul(a, a);
    for (let round = 1; round < 4; round++) {
      last.dispose();
      last = rt.matmul(a, a);
    }
    await rt.sync();
    last.dispose();
  };
  await compute();
  let ticks = 0;
  const timer = setInterval(() => ticks++, 2);
  const started = performance.now();
  await compute();
  const milliseconds = performance.now() - started;
  clearInterval(timer);
  // Of one every 2 ms, where the machine has nothing else to do. Who sleeps until the work is done has none.
  expect(ticks).toBeGreaterThan(milliseconds / 200);
  a.dispose();
  await rt.dispose();
});
