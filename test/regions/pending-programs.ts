/**
 * Random programs in which nothing is waited for: reads and uploads are under way while their tensors are
 * written, disposed, moved and kept, and while the device is lost or the runtime disposed. What a read gives
 * must be what its tensor held when it was called; every error must be one of Moorage's.
 */

import type { Random } from "../../bench/core/contract.ts";
import type { Runtime, Tensor } from "../../src/index.ts";
import { MoorageError } from "../../src/index.ts";

type Numbers = Float32Array<ArrayBuffer>;

interface Held {
  readonly tensor: Tensor<"float32">;
  /** Which value each element has, or `null` where nobody can know. */
  values: Numbers | null;
  /** Written or read piece by piece: left alone meanwhile. */
  busy: number;
}

export interface PendingOptions {
  readonly largest: number;
  /** Codes of errors that may happen here. */
  readonly allowed: ReadonlySet<string>;
}

/** Long after everything on a simulated device has ended. */
const patienceMs = 10_000;
const tooLate = Symbol("too late");

/** As an event of the program: a promise settles later. */
type Operation = () => void | Promise<unknown>;

export class PendingProgram {
  /** What went wrong. */
  readonly wrong: string[] = [];
  /** How often each operation was begun, how many reads were compared, and how many were refused. */
  readonly counts: Record<string, number> = {};
  readonly #rt: Runtime;
  readonly #random: Random;
  readonly #options: PendingOptions;
  readonly #held: Held[] = [];
  readonly #pending: Promise<void>[] = [];
  #serial = 0;

  constructor(rt: Runtime, random: Random, options: PendingOptions) {
    this.#rt = rt;
    this.#random = random;
    this.#options = options;
  }

  readonly #operations: Record<string, Operation> = {
    tensor: () => this.#make(),
    produce: () => this.#produce(),
    "produce later": () => this.#produceAsync(),
    pinned: () => this.#fromPinned(),
    data: () => this.#read((tensor) => tensor.data()),
    "read into": () => this.#readInto(),
    "read a part": () => this.#readPart(),
    "read two": () => this.#readTwo(),
    cancel: () => this.#cancel(),
    lease: () => this.#lease(),
    "read to": () => this.#readTo(),
    write: () => this.#write(),
    "write a part": () => this.#writePart(),
    "write from": () => this.#writeFrom(),
    assign: () => this.#assign(),
    dispose: () => this.#dispose(),
    scope: () => this.#scope(),
    compact: () => this.#rt.compact(),
    trim: () => this.#rt.trim(),
    sync: () => this.#rt.sync(),
  };

  /** Begins one operation, whichever it is. */
  step(): void {
    const names = Object.keys(this.#operations);
    const name = names[this.#random.integer(names.length)]!;
    this.#count(name);
    try {
      const later = this.#operations[name]!();
      if (later !== undefined) {
        this.#pending.push(this.#follow(name, later));
      }
    } catch (error) {
      this.#caught(name, error);
    }
  }

  async #follow(name: string, later: Promise<unknown>): Promise<void> {
    try {
      await later;
    } catch (error) {
      this.#caught(name, error);
    }
  }

  /** Begins so many, with a turn of the event loop now and then. */
  async run(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      this.step();
      if (this.#random.next() < 0.2) await turn();
    }
  }

  /** What the tensors hold is not known any more: the device was lost. */
  forget(): void {
    for (const held of this.#held) held.values = null;
  }

  /** Settles when all that was begun has ended; says which hang. */
  async ended(): Promise<void> {
    const late = new Promise((resolve) => setTimeout(resolve, patienceMs, tooLate).unref());
    for (let done = 0; done < this.#pending.length; done++) {
      const ended = await Promise.race([this.#pending[done], late]);
      if (ended === tooLate) {
        this.wrong.push("something never ended");
        return;
      }
    }
  }

  /** Writes every tensor anew, reads it, and disposes it. */
  async finish(): Promise<void> {
    await this.ended();
    for (const held of this.#held) {
      if (held.values === null) {
        held.values = this.#values(held.tensor.size);
        this.#rt.write(held.tensor, held.values);
      }
      const wanted = held.values;
      try {
        this.#compare("at the end", held, await held.tensor.data(), wanted);
      } catch (error) {
        this.#caught("at the end", error);
      }
    }
    for (const { tensor } of this.#held.splice(0)) tensor.dispose();
  }

  #count(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }

  #caught(what: string, error: unknown): void {
    this.#count("refused");
    if (error instanceof MoorageError && this.#options.allowed.has(error.code)) return;
    this.wrong.push(`${what}: ${String(error)}`);
  }

  #compare(what: string, { tensor }: Held, data: ArrayLike<number>, wanted: Numbers): void {
    this.#count("compared");
    const at = wanted.findIndex((value, index) => data[index] !== value);
    if (data.length === wanted.length && at === -1) return;
    this.wrong.push(`${what} of "${tensor.label}": ${data[at]} at ${at} instead of ${wanted[at]}`);
  }

  /** Every element tells which write it is of, and where it belongs. */
  #values(count: number): Numbers {
    const serial = ++this.#serial % 8192;
    return Float32Array.from({ length: count }, (_, index) => serial * 1024 + (index % 1021));
  }

  #size(): number {
    return Math.max(1, Math.floor(this.#options.largest ** this.#random.next()));
  }

  #any(): Held | undefined {
    const idle = this.#held.filter(({ busy }) => busy === 0);
    return idle[this.#random.integer(Math.max(1, idle.length))];
  }

  #hold(tensor: Tensor<"float32">, values: Numbers): void {
    this.#held.push({ tensor, values, busy: 0 });
  }

  #spec(count: number, name: string) {
    return { shape: [count], dtype: "float32", label: `${name} ${this.#serial}` } as const;
  }

  #make(): void {
    const values = this.#values(this.#size());
    const given = values.slice();
    this.#hold(this.#rt.tensor(given, this.#spec(values.length, "made")), values);
    given.fill(-1);
  }

  #produce(): void {
    const values = this.#values(this.#size());
    const made = this.#rt.produce(this.#spec(values.length, "produced"), (to) => to.set(values));
    this.#hold(made, values);
  }

  async #produceAsync(): Promise<void> {
    const values = this.#values(this.#size());
    const spec = this.#spec(values.length, "produced later");
    this.#hold(await this.#rt.produceAsync(spec, (to) => to.set(values)), values);
  }

  #fromPinned(): void {
    const values = this.#values(this.#size());
    const pinned = this.#rt.pinned.tensor(this.#spec(values.length, "pinned"));
    try {
      pinned.data.set(values);
      this.#hold(this.#rt.upload(pinned), values);
    } finally {
      pinned.dispose();
    }
  }

  async #read(read: (tensor: Tensor<"float32">) => PromiseLike<ArrayLike<number>>): Promise<void> {
    const held = this.#any();
    if (held === undefined) return;
    const wanted = held.values?.slice();
    const data = await read(held.tensor);
    if (wanted !== undefined) this.#compare("a read", held, data, wanted);
  }

  #readInto(): Promise<void> {
    return this.#read(async (tensor) => {
      const into = new Float32Array(tensor.size);
      await tensor.readInto(into);
      return into;
    });
  }

  async #readPart(): Promise<void> {
    const held = this.#any();
    if (held === undefined) return;
    const { tensor, values } = held;
    const from = this.#random.integer(tensor.size);
    const wanted = values?.slice(from);
    const data = await tensor.slice([from, tensor.size]).data();
    if (wanted !== undefined) this.#compare("a read of a part", held, data, wanted);
  }

  async #readTwo(): Promise<void> {
    const [a, b] = [this.#any(), this.#any()];
    if (a === undefined || b === undefined) return;
    const wanted = [a.values?.slice(), b.values?.slice()];
    const read = await this.#rt.readAll([a.tensor, b.tensor]);
    for (const [index, held] of [a, b].entries()) {
      const values = wanted[index];
      if (values !== undefined) this.#compare("a read of two", held, read[index]!, values);
    }
  }

  #cancel(): Promise<void> {
    return this.#read((tensor) => {
      const reading = this.#rt.read(tensor);
      if (this.#random.next() < 0.5) reading.cancel();
      else setImmediate(() => reading.cancel());
      return reading;
    });
  }

  async #lease(): Promise<void> {
    const held = this.#any();
    if (held === undefined) return;
    const wanted = held.values?.slice();
    const lease = await held.tensor.lease();
    try {
      if (wanted !== undefined) this.#compare("a lease", held, lease.data, wanted);
      await turn();
    } finally {
      lease.dispose();
    }
  }

  async #busy(held: Held, work: () => PromiseLike<unknown>): Promise<void> {
    held.busy++;
    try {
      await work();
    } finally {
      held.busy--;
    }
  }

  async #readTo(): Promise<void> {
    const held = this.#any();
    if (held === undefined) return;
    const wanted = held.values?.slice();
    const bytes = new Uint8Array(held.tensor.size * 4);
    const isSlow = this.#random.next() < 0.3;
    await this.#busy(held, async () => {
      const windowBytes = 1024 << this.#random.integer(8);
      const take = (piece: Uint8Array, at: number): unknown => {
        bytes.set(piece, at);
        return isSlow ? turn() : undefined;
      };
      await this.#rt.readTo(held.tensor, take, { windowBytes });
      if (wanted !== undefined)
        this.#compare("a stream", held, new Float32Array(bytes.buffer), wanted);
    });
  }

  #write(): void {
    const held = this.#any();
    if (held === undefined) return;
    const values = this.#values(held.tensor.size);
    this.#rt.write(held.tensor, values);
    held.values = values;
  }

  #writePart(): void {
    const held = this.#any();
    if (held === undefined) return;
    const { size } = held.tensor;
    const from = this.#random.integer(size);
    const values = this.#values(size - from);
    this.#rt.write(held.tensor.slice([from, size]), values);
    held.values?.set(values, from);
  }

  async #writeFrom(): Promise<void> {
    const held = this.#any();
    if (held === undefined) return;
    const values = this.#values(held.tensor.size);
    const bytes = new Uint8Array(values.buffer);
    const isSlow = this.#random.next() < 0.3;
    held.values = null;
    await this.#busy(held, async () => {
      const windowBytes = 16_384 << this.#random.integer(7);
      const fill = (piece: Uint8Array, at: number): unknown => {
        piece.set(bytes.subarray(at, at + piece.length));
        return isSlow ? turn() : undefined;
      };
      await this.#rt.writeFrom(held.tensor, fill, { windowBytes });
      held.values = values;
    });
  }

  #assign(): void {
    const [to, from] = [this.#any(), this.#any()];
    if (to === undefined || from === undefined || to === from) return;
    const count = Math.min(to.tensor.size, from.tensor.size);
    this.#rt.assign(to.tensor.slice([0, count]), from.tensor.slice([0, count]));
    if (to.values !== null && from.values !== null) to.values.set(from.values.subarray(0, count));
    else to.values = null;
  }

  #dispose(): void {
    const held = this.#any();
    if (held === undefined) return;
    this.#held.splice(this.#held.indexOf(held), 1);
    held.tensor.dispose();
  }

  async #scope(): Promise<void> {
    const values = this.#values(this.#size());
    const isSlow = this.#random.next() < 0.5;
    const isKept = this.#random.next() < 0.5;
    let reading: Promise<void> = Promise.resolve();
    await this.#rt.scope(async (scope) => {
      const scratch = scope.tensor(values, this.#spec(values.length, "scratch"));
      const held: Held = { tensor: scratch as unknown as Tensor<"float32">, values, busy: 0 };
      reading = scratch
        .data()
        .then((data) => this.#compare("a read of scratch", held, data, values));
      reading.catch(() => {});
      if (isKept) this.#hold(scope.keep(scratch), values.slice());
      if (isSlow) await turn();
    });
    await reading;
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
