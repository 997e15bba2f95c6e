/**
 * How every contestant waits in Node. Dawn's binding asks its driver for news from a callback that it
 * re-arms through the global `setImmediate`, in a tight loop, for as long as a promise of its own is
 * pending: a core of the machine is spent on asking, which a software adapter would rather compute
 * with. Here the first 0.1 ms of a wait is asked for like that, and what is longer sleeps between
 * questions, a fiftieth of the time waited so far: no wait is prolonged by more than about 2 percent,
 * and chains of short waits cost nothing.
 */

export const waitingPolicy =
  "Node: ask at once for 0.1 ms, then sleep 2 % of the time waited between questions (20 us at least)";

const spinMs = 0.1;
const sleepShare = 0.02;
const shortestSleepMs = 0.02;

let isInstalled = false;

/** Replaces the global `setImmediate`, and marks the start of each wait; harmless twice. */
export function installWaiting(): void {
  if (isInstalled) return;
  isInstalled = true;
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const original = globalThis.setImmediate;
  let since = performance.now();
  const patient = (
    callback: (...args: unknown[]) => void,
    ...args: unknown[]
  ): NodeJS.Immediate => {
    const waited = performance.now() - since;
    if (waited > spinMs) Atomics.wait(cell, 0, 0, Math.max(shortestSleepMs, waited * sleepShare));
    return original(callback, ...args);
  };
  globalThis.setImmediate = Object.assign(patient, {
    __promisify__: original.__promisify__,
  }) as typeof setImmediate;
  const restart = (prototype: object, name: string): void => {
    const method = (prototype as Record<string, (...args: unknown[]) => unknown>)[name]!;
    Object.defineProperty(prototype, name, {
      value: function restarted(this: unknown, ...args: unknown[]) {
        since = performance.now();
        return method.apply(this, args);
      },
      configurable: true,
      writable: true,
    });
  };
  restart(GPUQueue.prototype, "onSubmittedWorkDone");
  restart(GPUBuffer.prototype, "mapAsync");
  restart(GPUDevice.prototype, "popErrorScope");
  restart(GPUDevice.prototype, "createComputePipelineAsync");
}
