/**
 * An allocation trace: what a program asked of its allocator, in order, and nothing of what it
 * computed. Three kinds of event:
 *
 *   allocate  a block of `bytes` under an id that no live block has
 *   free      the block of an id; the id may be used again
 *   step      what was recorded so far is submitted: a policy that holds freed buffers back until
 *             then may use them again
 *
 * A trace need not free everything: what is live at its end is freed by who replays it.
 */

export const traceFormat = "moorage-trace";
export const traceVersion = 1;

/** Where a trace comes from. */
export interface TraceOrigin {
  /** What made it, by name. */
  readonly generator: string;
  /** The same generator, seed and parameters give the same trace. */
  readonly seed: number;
  /** What is modelled: `"transformer decoder: 12 layers, width 768"`. */
  readonly architecture: string;
  readonly parameters: Readonly<Record<string, number>>;
}

export interface Trace extends TraceOrigin {
  /** What events of kind allocate name by index. */
  readonly labels: readonly string[];
  readonly events: TraceEvents;
  /** The most bytes that are live at one time: no allocator can do with less. */
  readonly peakLiveBytes: number;
}

export const eventKinds = { allocate: 0, free: 1, step: 2 } as const;

/** Events by column; `ids`, `bytes` and `labels` are 0 where a kind has none. */
export class TraceEvents {
  #kinds = new Uint8Array(1024);
  #ids = new Float64Array(1024);
  #bytes = new Float64Array(1024);
  #labels = new Uint16Array(1024);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** One of {@link eventKinds} for each event; longer than `count`. */
  get kinds(): Uint8Array {
    return this.#kinds;
  }

  get ids(): Float64Array {
    return this.#ids;
  }

  get bytes(): Float64Array {
    return this.#bytes;
  }

  get labels(): Uint16Array {
    return this.#labels;
  }

  push(kind: number, id = 0, bytes = 0, label = 0): void {
    const index = this.#count++;
    if (index === this.#kinds.length) this.#grow(index * 2);
    this.#kinds[index] = kind;
    this.#ids[index] = id;
    this.#bytes[index] = bytes;
    this.#labels[index] = label;
  }

  #grow(length: number): void {
    const [kinds, ids, bytes, labels] = [this.#kinds, this.#ids, this.#bytes, this.#labels];
    this.#kinds = new Uint8Array(length);
    this.#ids = new Float64Array(length);
    this.#bytes = new Float64Array(length);
    this.#labels = new Uint16Array(length);
    this.#kinds.set(kinds);
    this.#ids.set(ids);
    this.#bytes.set(bytes);
    this.#labels.set(labels);
  }
}

/** A trace that breaks a rule; the message says where, what was found and what was due. */
export class TraceError extends Error {
  override readonly name = "TraceError";
}

/** An index into `labels` has 16 bits. */
export const maxLabelCount = 2 ** 16;

/** The rules that every trace keeps, checked event by event; throws `TraceError` without a place. */
export class TraceRules {
  readonly #labelCount: number;
  readonly #live = new Map<number, number>();
  #liveBytes = 0;
  #peakLiveBytes = 0;

  constructor(labelCount: number) {
    this.#labelCount = labelCount;
  }

  get peakLiveBytes(): number {
    return this.#peakLiveBytes;
  }

  get liveCount(): number {
    return this.#live.size;
  }

  allocate(id: number, bytes: number, label: number): void {
    this.#checkId(id);
    if (this.#live.has(id)) {
      throw new TraceError(`found an allocation of ${id}, which is live; a free id is due`);
    }
    if (!Number.isSafeInteger(bytes) || bytes <= 0) {
      throw new TraceError(`found a size of ${bytes} bytes; a positive safe integer is due`);
    }
    if (!Number.isInteger(label) || label < 0 || label >= this.#labelCount) {
      throw new TraceError(
        `found label ${label}; an index into the header's ${this.#labelCount} labels is due`,
      );
    }
    this.#live.set(id, bytes);
    this.#liveBytes += bytes;
    if (!Number.isSafeInteger(this.#liveBytes)) {
      throw new TraceError("found more live bytes than a safe integer can count");
    }
    if (this.#liveBytes > this.#peakLiveBytes) this.#peakLiveBytes = this.#liveBytes;
  }

  free(id: number): void {
    this.#checkId(id);
    const bytes = this.#live.get(id);
    if (bytes === undefined) {
      throw new TraceError(
        `found a free of ${id}, which is not live; the id of a live block is due`,
      );
    }
    this.#live.delete(id);
    this.#liveBytes -= bytes;
  }

  #checkId(id: number): void {
    if (Number.isInteger(id) && id >= 0 && id < 2 ** 32 - 1) return;
    throw new TraceError(`found id ${id}; an integer from 0 to ${2 ** 32 - 2} is due`);
  }
}

/** Throws a `TraceError` that names the first event that breaks a rule. */
export function validateTrace(trace: Trace): void {
  checkLabels(trace.labels);
  const rules = new TraceRules(trace.labels.length);
  const { kinds, ids, bytes, labels, count } = trace.events;
  for (let index = 0; index < count; index++) {
    const id = ids[index]!;
    try {
      if (kinds[index] === eventKinds.allocate) rules.allocate(id, bytes[index]!, labels[index]!);
      else if (kinds[index] === eventKinds.free) rules.free(id);
      else if (kinds[index] !== eventKinds.step)
        throw new TraceError(`found kind ${kinds[index]}; allocate, free or step is due`);
    } catch (error) {
      throw new TraceError(`event ${index}: ${(error as Error).message}`);
    }
  }
  if (rules.peakLiveBytes !== trace.peakLiveBytes) {
    throw new TraceError(
      `found a peak of ${rules.peakLiveBytes} live bytes, where the trace claims ${trace.peakLiveBytes}`,
    );
  }
}

export function checkLabels(labels: readonly string[]): void {
  if (labels.length > maxLabelCount) {
    throw new TraceError(`found ${labels.length} labels; at most ${maxLabelCount} are due`);
  }
}
