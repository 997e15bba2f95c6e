/**
 * Writes a trace as a program would cause it. Every allocation stands for the output of one dispatch,
 * and a step is put in after every few of them, as the libraries that are modelled submit: ONNX Runtime
 * Web after 16 dispatches, TensorFlow.js after 15.
 */

import { eventKinds, maxLabelCount, TraceError, TraceEvents, TraceRules } from "./trace.ts";
import type { Trace, TraceOrigin } from "./trace.ts";

export const dispatchesPerStep = 16;

export class TraceBuilder {
  readonly #origin: TraceOrigin;
  readonly #events = new TraceEvents();
  readonly #rules = new TraceRules(maxLabelCount);
  readonly #labels = new Map<string, number>();
  /** Ids of freed blocks are used again, so that files stay short. */
  readonly #freeIds: number[] = [];
  #idCount = 0;
  #sinceStep = 0;

  constructor(origin: TraceOrigin) {
    this.#origin = origin;
  }

  /** The id of a new block. */
  allocate(label: string, bytes: number): number {
    if (this.#sinceStep === dispatchesPerStep) this.step();
    let index = this.#labels.get(label);
    if (index === undefined) {
      index = this.#labels.size;
      this.#labels.set(label, index);
    }
    const id = this.#freeIds.pop() ?? this.#idCount++;
    this.#rules.allocate(id, bytes, index);
    this.#events.push(eventKinds.allocate, id, bytes, index);
    this.#sinceStep++;
    return id;
  }

  free(...ids: readonly number[]): void {
    for (const id of ids) {
      this.#rules.free(id);
      this.#events.push(eventKinds.free, id);
      this.#freeIds.push(id);
    }
  }

  /** A new block in the place of another, which is freed once it was read. */
  replace(old: number, label: string, bytes: number): number {
    const made = this.allocate(label, bytes);
    this.free(old);
    return made;
  }

  /** Harmless where nothing was allocated since the last one. */
  step(): void {
    if (this.#sinceStep === 0) return;
    this.#events.push(eventKinds.step);
    this.#sinceStep = 0;
  }

  finish(): Trace {
    this.step();
    if (this.#rules.liveCount > 0) {
      throw new TraceError(
        `generator "${this.#origin.generator}" left ${this.#rules.liveCount} blocks live`,
      );
    }
    const { generator, seed, architecture, parameters } = this.#origin;
    return {
      generator,
      seed,
      architecture,
      parameters,
      labels: [...this.#labels.keys()],
      events: this.#events,
      peakLiveBytes: this.#rules.peakLiveBytes,
    };
  }
}
