/** Drives the demo page: drops files, waits for jobs, and reads what it shows. */

import { expect } from "@playwright/test";
import type { Locator, Page } from "@playwright/test";

/** A page on which every error counts, with the buffers of its devices counted from outside. */
export class DemoPage {
  readonly page: Page;
  /** Console errors and uncaught exceptions so far. */
  readonly errors: string[] = [];

  constructor(page: Page) {
    this.page = page;
    page.on("console", (message) => {
      if (message.type() === "error") this.errors.push(message.text());
    });
    page.on("pageerror", (error) => this.errors.push(String(error)));
  }

  /** Opens the page and waits until the job on its own picture has ended. */
  async open(): Promise<void> {
    await this.page.addInitScript(countBuffers);
    await this.page.goto("/");
    await this.ended(1);
  }

  /** Waits until this many jobs have ended since the page was opened, well or not, but not given up. */
  async ended(count: number): Promise<void> {
    await expect(this.page.locator("#working")).toHaveAttribute("data-ended", String(count), {
      timeout: 45_000,
    });
  }

  get endedCount(): Promise<number> {
    return this.page.locator("#working").getAttribute("data-ended").then(Number);
  }

  /** Does something that starts a job, and waits for its end. */
  async job(begin: () => Promise<unknown>): Promise<void> {
    const before = await this.endedCount;
    await begin();
    await this.ended(before + 1);
  }

  /** Drops a file on the page, as a browser would, and waits for the job. */
  async drop(name: string, bytes: Uint8Array): Promise<void> {
    const dataTransfer = await this.page.evaluateHandle(
      ({ fileName, base64 }) => {
        const content = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([content], fileName));
        return transfer;
      },
      { fileName: name, base64: Buffer.from(bytes).toString("base64") },
    );
    await this.job(async () => {
      await this.page.dispatchEvent("main", "dragover", { dataTransfer });
      await this.page.dispatchEvent("main", "drop", { dataTransfer });
    });
  }

  get status(): Locator {
    return this.page.getByRole("status");
  }

  get problem(): Locator {
    return this.page.getByRole("alert");
  }

  /** The edge map's gray values; fails where a pixel is not gray or not opaque. */
  async pixels(): Promise<{ width: number; height: number; pixels: Uint8Array }> {
    const { width, height, base64 } = await this.page.locator("#result").evaluate((element) => {
      const canvas = element as HTMLCanvasElement;
      const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
      let text = "";
      for (let at = 0; at < data.length; at += 4) {
        const gray = data[at]!;
        if (data[at + 1] !== gray || data[at + 2] !== gray || data[at + 3] !== 255) {
          throw new Error(`pixel ${at / 4} is not an opaque gray`);
        }
        text += String.fromCharCode(gray);
      }
      return { width: canvas.width, height: canvas.height, base64: btoa(text) };
    });
    return { width, height, pixels: new Uint8Array(Buffer.from(base64, "base64")) };
  }

  /** A cell of the live table, in bytes. */
  async bytes(region: string, column: string): Promise<number> {
    return await this.#value(`[data-region="${region}"] data[data-column="${column}"]`);
  }

  /** A figure beside the table, by its id. */
  async figure(id: string): Promise<number> {
    return await this.#value(`#${id}`);
  }

  async #value(selector: string): Promise<number> {
    return Number(await this.page.locator(selector).getAttribute("value"));
  }

  /** `createBuffer` calls so far, and bytes of the live buffers, counted on the devices. */
  async counted(): Promise<{ created: number; liveBytes: number; peakBytes: number }> {
    return await this.page.evaluate(() => ({ ...(globalThis as unknown as Counting).counted }));
  }

  /** Nothing is live by the page's own account, in any region. */
  async expectNothingLive(): Promise<void> {
    await expect(this.page.locator("#live-summary")).toHaveText("Nothing is allocated.");
    await expect(this.page.locator("#live li")).toHaveCount(0);
    for (const region of ["deviceHeap", "deviceArena", "pinned", "hot"]) {
      expect(await this.bytes(region, "live"), region).toBe(0);
      expect(await this.bytes(region, "deferred"), region).toBe(0);
    }
  }
}

interface Counting {
  counted: { created: number; liveBytes: number; peakBytes: number };
  devices: GPUDevice[];
}

/** Runs in the page before its scripts. */
function countBuffers(): void {
  const counted = { created: 0, liveBytes: 0, peakBytes: 0 };
  const devices: GPUDevice[] = [];
  Object.assign(globalThis, { counted, devices });
  const live = new Set<GPUBuffer>();
  // Called with the device or buffer as `this` below.
  const { createBuffer } = GPUDevice.prototype;
  const { destroy } = GPUBuffer.prototype;
  GPUDevice.prototype.createBuffer = function (this: GPUDevice, descriptor) {
    const made = createBuffer.call(this, descriptor);
    if (!devices.includes(this)) devices.push(this);
    live.add(made);
    counted.created++;
    counted.liveBytes += made.size;
    counted.peakBytes = Math.max(counted.peakBytes, counted.liveBytes);
    return made;
  };
  GPUBuffer.prototype.destroy = function (this: GPUBuffer) {
    if (live.delete(this)) counted.liveBytes -= this.size;
    return destroy.call(this);
  };
}

/** Loses every device of the page. */
export async function loseDevices(page: Page): Promise<void> {
  await page.evaluate(() => {
    for (const device of (globalThis as unknown as Counting).devices) device.destroy();
  });
}

/** Opens an empty page of the page server: for what the demo's own job would disturb. */
export async function openEmptyPage(page: Page): Promise<void> {
  await page.route("**/empty.html", (route) =>
    route.fulfill({ contentType: "text/html", body: "<!doctype html><title>empty</title>" }),
  );
  await page.goto("/empty.html");
}
