/** The page's runtime: opened when a job needs it, replaced when a job needs another budget. */

import { createRuntime } from "moorage";
import type { LiveAllocation, MoorageError, Runtime, RuntimeOptions, Tensor } from "moorage";

export interface SessionEvents {
  /** Another runtime serves from now on; `null` when there is none. */
  readonly onRuntime: (runtime: Runtime | null) => void;
  readonly onLost: (error: MoorageError) => void;
  readonly onError: (error: MoorageError) => void;
  /** A runtime ended while these were still allocated. */
  readonly onLeak: (leaks: readonly LiveAllocation[]) => void;
}

export class Session {
  readonly #events: SessionEvents;
  readonly #leaked = new Map<string, Tensor>();
  #runtime: Runtime | null = null;
  /** The options of the runtime that is open. */
  #key = "";
  #leakCount = 0;

  constructor(events: SessionEvents) {
    this.#events = events;
  }

  get runtime(): Runtime | null {
    return this.#runtime;
  }

  /** Labels of what was leaked on purpose and is still there. */
  get leaked(): ReadonlySet<string> {
    return new Set(this.#leaked.keys());
  }

  /** The open runtime, or a new one where there is none with these options. */
  async open(options: Pick<RuntimeOptions, "budget" | "slabBytes">): Promise<Runtime> {
    const key = JSON.stringify(options);
    if (this.#runtime !== null && key === this.#key) return this.#runtime;
    await this.close();
    const { onLost, onError, onLeak } = this.#events;
    const runtime = await createRuntime({ label: "page", ...options, onLost, onError, onLeak });
    this.#runtime = runtime;
    this.#key = key;
    this.#events.onRuntime(runtime);
    return runtime;
  }

  /** Ends the runtime, lost or not; the next job opens another. */
  async close(): Promise<void> {
    const runtime = this.#runtime;
    if (runtime === null) return;
    this.#runtime = null;
    this.#leaked.clear();
    this.#events.onRuntime(null);
    await runtime.dispose();
  }

  /** Allocates a tensor that nothing disposes but {@link dispose}; throws as the runtime does. */
  leak(): string | null {
    if (this.#runtime === null) return null;
    const label = `forgotten ${this.#leakCount + 1}`;
    this.#leaked.set(label, this.#runtime.empty([512, 512], { dtype: "float32", label }));
    this.#leakCount++;
    return label;
  }

  dispose(label: string): void {
    this.#leaked.get(label)?.dispose();
    this.#leaked.delete(label);
  }
}

/** What the browser says of the runtime's adapter. */
export function adapterName(runtime: Runtime): string {
  // Older browsers do not have it; the types say otherwise.
  const info = (runtime.device as { readonly adapterInfo?: GPUAdapterInfo }).adapterInfo;
  const names = [info?.description, info?.vendor, info?.architecture].filter(
    (name): name is string => name !== undefined && name !== "",
  );
  // The description, where there is one, says it all.
  return (info?.description ? names.slice(0, 1) : names).join(" ") || "an adapter without a name";
}
