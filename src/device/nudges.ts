/**
 * Waiting where the browser looks after the device only every 100 ms, unless something is submitted:
 * Firefox. While anything is waited for, empty command buffers are, at first often and then seldom.
 */

/** Milliseconds before the first, and the most between two. */
const firstMs = 1;
const mostMs = 16;

export class Nudges {
  readonly #device: () => GPUDevice;
  readonly #isNeeded: boolean;
  #waiting = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;

  /** `device` is asked each time: another device may have come. */
  constructor(device: () => GPUDevice, isNeeded = isGecko()) {
    this.#device = device;
    this.#isNeeded = isNeeded;
  }

  /** The same promise; the device is nudged until it settles. */
  during<T>(waiting: Promise<T>): Promise<T> {
    if (!this.#isNeeded) return waiting;
    this.#waiting++;
    const ended = (): void => {
      this.#waiting--;
      if (this.#waiting > 0 || this.#timer === null) return;
      clearTimeout(this.#timer);
      this.#timer = null;
    };
    waiting.then(ended, ended);
    if (this.#timer === null) this.#arm(firstMs);
    return waiting;
  }

  #arm(delayMs: number): void {
    this.#timer = setTimeout(() => {
      const device = this.#device();
      const encoder = device.createCommandEncoder({ label: "moorage nudge" });
      device.queue.submit([encoder.finish({ label: "moorage nudge" })]);
      this.#arm(Math.min(mostMs, 2 * delayMs));
    }, delayMs);
  }
}

/** Chrome and Safari call themselves "like Gecko"; only Gecko has a version. */
function isGecko(): boolean {
  const host: { readonly navigator?: { readonly userAgent?: string } } = globalThis;
  return /Gecko\/\d/.test(host.navigator?.userAgent ?? "");
}
