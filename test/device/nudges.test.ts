/** Where the browser looks after its device only when something is submitted, something is. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Nudges } from "../../src/device/waiting/nudges.ts";

let submitted: string[] = [];

/** A device that only counts what it is given. */
const device = {
  createCommandEncoder: ({ label }: GPUObjectDescriptorBase) => ({ finish: () => label }),
  queue: { submit: (buffers: string[]) => submitted.push(...buffers) },
} as unknown as GPUDevice;

function deferred<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: Error) => void;
} {
  let [resolve, reject]: [(value: T) => void, (error: Error) => void] = [() => {}, () => {}];
  const promise = new Promise<T>((...ends) => ([resolve, reject] = ends));
  return { promise, resolve, reject };
}

beforeEach(() => {
  submitted = [];
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("nudges come at once and then seldom, until the last wait ends", async () => {
  const nudges = new Nudges(() => device, true);
  const [first, second] = [deferred<number>(), deferred<number>()];
  const waiting = [first.promise, second.promise].map((promise) => nudges.during(promise));
  expect(waiting).toEqual([first.promise, second.promise]);
  vi.advanceTimersByTime(100);
  // After 1, 3, 7, 15, 31 ms, and every 16 from there.
  expect(submitted).toHaveLength(9);
  expect(new Set(submitted)).toEqual(new Set(["moorage nudge"]));
  first.resolve(7);
  expect(await waiting[0]).toBe(7);
  vi.advanceTimersByTime(16);
  expect(submitted).toHaveLength(10);
  second.reject(new Error("lost"));
  await expect(waiting[1]).rejects.toThrow("lost");
  vi.advanceTimersByTime(1000);
  expect(submitted).toHaveLength(10);
  expect(vi.getTimerCount()).toBe(0);
});

test("what ends within the first millisecond is not nudged", async () => {
  const nudges = new Nudges(() => device, true);
  await nudges.during(Promise.resolve());
  vi.advanceTimersByTime(1000);
  expect(submitted).toEqual([]);
});

test.each([
  ["Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0", true],
  ["Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0", false],
  ["Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari", false],
  ["Node.js/22", false],
])("%s", async (userAgent, isNudged) => {
  vi.stubGlobal("navigator", { userAgent });
  const { promise, resolve } = deferred<void>();
  const waiting = new Nudges(() => device).during(promise);
  vi.advanceTimersByTime(50);
  expect(submitted.length > 0).toBe(isNudged);
  resolve();
  await waiting;
});
