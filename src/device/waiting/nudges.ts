/**
 * Waiting where the browser looks after the device only every 100 ms, unless something is submitted:
 * Firefox. While anything is waited for, empty command buffers are, at first often and then seldom.
 */

import { Waits } from "./waits.ts";

/** Milliseconds before the first, and the most between two. */
const firstMs = 1;
const mostMs = 16;

export class Nudges extends Waits {
  readonly #device: () => GPUDevice;
  #timer: ReturnType<typeof setTimeout> | null = null;

  /** `device` is asked each time: another device may have come. */
  constructor(device: () => GPUDevice, isNeeded = isGecko()) {
    super(isNeeded);
    this.#device = device;
  }

  protected override began(): void {
    if (this.#timer === null) this.#arm(firstMs);
  }

  protected override allEnded(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
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
