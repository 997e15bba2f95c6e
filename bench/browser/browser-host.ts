/** The bench's host in a page: the browser's adapter for every contestant. */

import type { BenchHost } from "../core/contract.ts";
import { installCounting } from "../core/counting.ts";
import { openDevice } from "../core/open-device.ts";
import { clockStep, heapReader, pageMachine } from "./page-machine.ts";
import type { PageMachine } from "./page-machine.ts";
import { chooseWaiting } from "./waiting.ts";

export interface BrowserHost extends BenchHost {
  /** For people: the adapter, as far as the browser tells. */
  readonly description: string;
  readonly waitingPolicy: string;
  readonly machine: PageMachine;
  /** The smallest step of the page's clock. */
  readonly clockStepMs: number;
}

export interface BrowserHostOptions {
  /** Ends a run after the sample under way: what a Stop button aborts. */
  readonly signal?: AbortSignal;
}

/** How often the page gets two frames: rows and progress are seen, and little is drawn while samples run. */
const paintEveryMs = 250;
/** Frames do not come to a window that is covered. */
const longestFrameMs = 100;

/** Opens the browser's adapter for a run. Rejects, with what to do about it, where there is none. */
export async function openBrowserHost({ signal }: BrowserHostOptions = {}): Promise<BrowserHost> {
  const now = (): number => performance.now();
  const description = describe((await requestAdapter()).info);
  installCounting();
  const requestDevice = async (label: string): Promise<GPUDevice> =>
    await openDevice(await requestAdapter(), label);
  const device = await requestDevice("bench: waiting");
  const waiting = await chooseWaiting(device, now).finally(() => device.destroy());
  const clockStepMs = clockStep();
  const heap = heapReader();
  let lastPaint = now();
  return {
    environment: "browser",
    description,
    waitingPolicy: waiting.policy,
    machine: pageMachine(clockStepMs),
    clockStepMs,
    requestAdapter,
    requestDevice,
    wait: waiting.wait,
    now,
    heap: () => heap?.(),
    collectYoungGarbage: () => {},
    collectGarbage: () => {
      globalThis.gc?.();
    },
    isInterrupted: () => signal?.aborted === true,
    async breathe() {
      await turnOfTheLoop();
      if (document.hidden || now() - lastPaint < paintEveryMs) return;
      // The second begins when the first is on its way to the screen.
      await nextFrame();
      await nextFrame();
      lastPaint = now();
    },
  };
}

async function requestAdapter(): Promise<GPUAdapter> {
  const { gpu } = navigator as { readonly gpu?: GPU };
  if (gpu === undefined) {
    throw new Error(
      globalThis.isSecureContext
        ? "this browser has no WebGPU; a current Chrome, Edge, Safari or Firefox has it"
        : "WebGPU needs https or localhost, and this page came by neither",
    );
  }
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) {
    throw new Error(
      "the browser has WebGPU but gives no adapter; is hardware acceleration on in its settings?",
    );
  }
  return adapter;
}

function describe(info: GPUAdapterInfo): string {
  const { description, vendor, architecture, device, isFallbackAdapter } = info;
  const name = description || [vendor, architecture, device].filter(Boolean).join(" ");
  return `${name || "an adapter without a name"}${isFallbackAdapter ? " (fallback)" : ""}`;
}

let loop: { readonly channel: MessageChannel; readonly waiting: (() => void)[] } | undefined;

/** Lets whatever waits for its turn go first, such as a click on Stop; timers would wait 4 ms. */
function turnOfTheLoop(): Promise<void> {
  if (loop === undefined) {
    const waiting: (() => void)[] = [];
    const channel = new MessageChannel();
    channel.port1.addEventListener("message", () => waiting.shift()?.());
    channel.port1.start();
    loop = { channel, waiting };
  }
  const { channel, waiting } = loop;
  return new Promise((resolve) => {
    waiting.push(resolve);
    channel.port2.postMessage(0);
  });
}

function nextFrame(): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, longestFrameMs);
    requestAnimationFrame(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
