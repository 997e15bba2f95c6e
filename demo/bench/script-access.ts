/** `window.moorageBench`: what scripts and tests see of the page's runs. */

import type { BenchResult } from "../../bench/core/results.ts";

export interface MoorageBench {
  readonly state: "idle" | "running" | "done" | "stopped" | "failed";
  /**
   * The result of the latest run, or of the first one where none has started yet. A run that was
   * stopped has one too, of what was measured until then; one that could not start rejects.
   */
  readonly result: Promise<BenchResult>;
  /** Starts a run of what is chosen on the page; a run that is under way goes on instead. */
  start(): void;
  /** Ends the run after the sample under way. */
  stop(): void;
}

declare global {
  interface Window {
    moorageBench: MoorageBench;
  }
}

/** Publishes the access; gives what the page reports to it. */
export function publish(start: () => void, stop: () => void): RunReporter {
  let state: MoorageBench["state"] = "idle";
  let pending = newPending();
  window.moorageBench = {
    get state() {
      return state;
    },
    get result() {
      return pending.result;
    },
    start,
    stop,
  };
  return {
    began() {
      if (state !== "idle") pending = newPending();
      state = "running";
    },
    ended(result, wasStopped) {
      state = wasStopped ? "stopped" : "done";
      pending.resolve(result);
    },
    failed(error) {
      state = "failed";
      pending.reject(error);
    },
  };
}

export interface RunReporter {
  began(): void;
  ended(result: BenchResult, wasStopped: boolean): void;
  failed(error: unknown): void;
}

interface Pending {
  readonly result: Promise<BenchResult>;
  readonly resolve: (result: BenchResult) => void;
  readonly reject: (error: unknown) => void;
}

function newPending(): Pending {
  const { promise, resolve, reject } = Promise.withResolvers<BenchResult>();
  // Whoever asks for it hears of it; that nobody does is no error of the page.
  promise.catch(() => undefined);
  return { result: promise, resolve, reject };
}
