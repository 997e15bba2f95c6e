/**
 * Random programs over a whole runtime: tensors that are made, copied, overwritten, grown and read,
 * scopes that overlap and nest, memory that is trimmed and compacted in between. The model is arrays.
 */

import { expect } from "vitest";

import type { Random } from "../../bench/core/contract.ts";
import { randomFrom } from "../../bench/core/random.ts";
import type { GrowableTensor, Runtime, Scope, Tensor } from "../../src/index.ts";
import { OutOfMemoryError } from "../../src/index.ts";

type Numbers = Uint32Array<ArrayBuffer>;

interface Held {
  readonly tensor: Tensor<"uint32">;
  values: Numbers;
}

interface Growing {
  readonly tensor: GrowableTensor<"uint32">;
  values: number[];
}

export interface ProgramOptions {
  /** Elements of the largest tensor. */
  readonly largest: number;
  /** Elements that live at one time, about. */
  readonly window: number;
}

const rowLength = 12;

export class DeviceProgram {
  readonly counts: Record<string, number> = {};
  readonly #rt: Runtime;
  readonly #random: Random;
  readonly #options: ProgramOptions;
  readonly #held: Held[] = [];
  readonly #growing: Growing[] = [];
  readonly #scopes = new Set<Promise<void>>();
  #elements = 0;

  constructor(rt: Runtime, seed: number, options: ProgramOptions) {
    this.#rt = rt;
    this.#random = randomFrom(seed);
    this.#options = options;
  }

  readonly #operations: readonly (readonly [string, number, () => void | Promise<void>])[] = [
    ["allocate", 20, () => this.#allocate()],
    ["upload", 6, () => this.#upload()],
    ["free", 20, () => this.#free()],
    ["copy", 10, () => this.#copy()],
    ["copy of a part", 4, () => this.#copyPart()],
    ["overwrite", 6, () => this.#overwrite()],
    ["assign a part", 4, () => this.#assignPart()],
    ["read", 8, () => this.#read()],
    ["read many", 1, () => this.#readMany()],
    ["grow", 6, () => this.#grow()],
    ["shrink", 1, () => this.#shrink()],
    ["scope", 4, () => this.#openScope()],
    ["await a scope", 3, () => this.#awaitScope()],
    ["trim", 1, () => this.#rt.trim()],
    ["compact", 1, () => this.#compact()],
    ["flush", 3, () => this.#rt.flush()],
    ["turn", 3, () => new Promise((resolve) => setImmediate(resolve))],
  ];

  /** Runs so many operations, and ends what is left: nothing may be. */
  async run(count: number): Promise<void> {
    const total = this.#operations.reduce((sum, [, weight]) => sum + weight, 0);
    for (let step = 0; step < count; step++) {
      let left = this.#random.next() * total;
      const [name, , run] = this.#operations.find(([, weight]) => (left -= weight) < 0)!;
      try {
        const later = run();
        if (later !== undefined) await later;
        this.#count(name);
      } catch (error) {
        if (!(error instanceof OutOfMemoryError)) throw error;
        this.#count("refused");
        // Room is made, by any means.
        for (let freed = 0; freed < 10; freed++) this.#free();
      }
      if (step % 64 === 0) this.#expectBalanced();
    }
    await Promise.all(this.#scopes);
    for (const held of this.#held) await expectValues(held.tensor, held.values);
    for (const { tensor, values } of this.#growing) {
      if (values.length > 0) await expectValues(tensor.view().reshape([values.length]), values);
      tensor.dispose();
    }
    for (const { tensor } of this.#held) tensor.dispose();
  }

  #count(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }

  #values(count: number): Numbers {
    const start = this.#random.integer(2 ** 30);
    return Uint32Array.from({ length: count }, (_, index) => start + index);
  }

  /** Log-uniform. */
  #size(): number {
    return Math.max(1, Math.floor(this.#options.largest ** this.#random.next()));
  }

  #hold(tensor: Tensor<"uint32">, values: Numbers): void {
    this.#held.push({ tensor, values });
    this.#elements += values.length;
  }

  #any(): Held | undefined {
    return this.#held[this.#random.integer(Math.max(1, this.#held.length))];
  }

  #hasRoom(count: number): boolean {
    return this.#elements + count <= this.#options.window;
  }

  #allocate(): void {
    const values = this.#values(this.#size());
    if (!this.#hasRoom(values.length)) return this.#free();
    const options = { shape: [values.length], dtype: "uint32", label: "made" } as const;
    this.#hold(this.#rt.tensor(values, options), values);
  }

  async #upload(): Promise<void> {
    const values = this.#values(this.#size());
    if (!this.#hasRoom(values.length)) return this.#free();
    const options = { shape: [values.length], dtype: "uint32", label: "staged" } as const;
    const staging = this.#rt.pinned.tensor(options);
    try {
      staging.data.set(values);
      this.#hold(this.#rt.upload(staging), values);
      if (this.#random.integer(2) === 0) {
        await staging.mapped();
        // What is written now is not what was uploaded.
        staging.data.fill(0);
      }
    } finally {
      staging.dispose();
    }
  }

  #free(): void {
    if (this.#held.length === 0) return;
    const at = this.#random.integer(this.#held.length);
    const { tensor, values } = this.#held[at]!;
    this.#held[at] = this.#held.at(-1)!;
    this.#held.pop();
    this.#elements -= values.length;
    tensor.dispose();
  }

  #copy(): void {
    const from = this.#any();
    if (from === undefined || !this.#hasRoom(from.values.length)) return;
    this.#hold(this.#rt.copy(from.tensor), from.values.slice());
  }

  #part({ values }: Held): readonly [number, number] {
    const start = this.#random.integer(values.length);
    return [start, start + 1 + this.#random.integer(values.length - start)];
  }

  #copyPart(): void {
    const from = this.#any();
    if (from === undefined) return;
    const [start, stop] = this.#part(from);
    if (!this.#hasRoom(stop - start)) return;
    this.#hold(this.#rt.copy(from.tensor.slice([start, stop])), from.values.slice(start, stop));
  }

  #overwrite(): void {
    const target = this.#any();
    if (target === undefined) return;
    target.values = this.#values(target.values.length);
    this.#rt.write(target.tensor, target.values);
  }

  #assignPart(): void {
    const [target, source] = [this.#any(), this.#any()];
    if (target === undefined || source === undefined) return;
    const count = Math.min(target.values.length, source.values.length);
    const length = 1 + this.#random.integer(count);
    const to = this.#random.integer(target.values.length - length + 1);
    const from = this.#random.integer(source.values.length - length + 1);
    this.#rt.assign(
      target.tensor.slice([to, to + length]),
      source.tensor.slice([from, from + length]),
    );
    target.values = target.values.slice();
    target.values.set(source.values.slice(from, from + length), to);
  }

  async #read(): Promise<void> {
    const held = this.#any();
    if (held === undefined) return;
    await expectValues(held.tensor, held.values);
  }

  async #readMany(): Promise<void> {
    const some = [this.#any(), this.#any(), this.#any()].filter((held) => held !== undefined);
    const expected = some.map(({ values }) => values);
    const read = await this.#rt.readAll(some.map(({ tensor }) => tensor));
    for (const [index, values] of expected.entries()) expectSame(read[index]!, values, "read many");
  }

  #grow(): void {
    if (this.#growing.length < 4) {
      const options = { rowShape: [rowLength], dtype: "uint32", label: "growing" } as const;
      this.#growing.push({ tensor: this.#rt.growable(options), values: [] });
    }
    const growing = this.#growing[this.#random.integer(this.#growing.length)]!;
    if (growing.values.length > this.#options.largest) return;
    const rows = this.#values(rowLength * (1 + this.#random.integer(20)));
    growing.tensor.append(rows);
    growing.values.push(...rows);
  }

  #shrink(): void {
    const growing = this.#growing[this.#random.integer(Math.max(1, this.#growing.length))];
    if (growing === undefined) return;
    const length = this.#random.integer(growing.tensor.length + 1);
    growing.tensor.truncate(length);
    growing.values.length = length * rowLength;
    if (this.#random.integer(2) === 0) growing.tensor.trim();
  }

  #openScope(): void {
    if (this.#scopes.size >= 6) return;
    const running: Promise<void> = this.#rt
      .scope((s) => this.#inScope(s as unknown as Scope<never>, 2))
      .catch((error: unknown) => {
        if (!(error instanceof OutOfMemoryError)) throw error;
        this.#count("refused");
      })
      .finally(() => this.#scopes.delete(running));
    this.#scopes.add(running);
  }

  async #inScope(s: Scope<never>, depth: number): Promise<void> {
    const from = this.#any();
    if (from === undefined) return;
    const { values } = from;
    let copy = s.copy(from.tensor);
    const host = s.array("uint32", values.length);
    host.set(values);
    for (let turns = this.#random.integer(4); turns >= 0; turns--) {
      await new Promise((resolve) => setImmediate(resolve));
      copy = s.copy(copy);
    }
    if (depth > 0 && this.#random.integer(3) === 0) {
      await s.scope((inner) => this.#inScope(inner as unknown as Scope<never>, depth - 1));
      this.#count("nested scope");
    }
    expectSame(host, values, "host array of a scope");
    if (this.#random.integer(2) === 0) {
      await expectValues(copy, values);
    } else if (this.#hasRoom(values.length)) {
      this.#hold(s.keep(copy), values.slice());
      this.#count("keep");
    }
  }

  async #awaitScope(): Promise<void> {
    const [first] = this.#scopes;
    await first;
  }

  async #compact(): Promise<void> {
    const { movedBytes } = await this.#rt.compact({
      maxBytes: 2 ** (10 + this.#random.integer(12)),
    });
    if (movedBytes > 0) this.#count("moved");
  }

  #expectBalanced(): void {
    const { hot, pinned, deviceArena, deviceHeap, gpuBuffers, slabs } = this.#rt.stats();
    for (const region of [hot, pinned, deviceArena, deviceHeap]) {
      const { liveBytes, paddingBytes, deferredBytes, freeBytes, reservedBytes } = region;
      expect(liveBytes + paddingBytes + deferredBytes + freeBytes, region.region).toBe(
        reservedBytes,
      );
    }
    expect(gpuBuffers.liveBytes).toBeGreaterThanOrEqual(slabs.reservedBytes + pinned.reservedBytes);
    const grown = this.#growing.reduce((sum, { tensor }) => sum + tensor.byteLength, 0);
    expect(deviceHeap.liveBytes).toBe(4 * this.#elements + grown);
  }
}

async function expectValues<S>(
  tensor: Tensor<"uint32", S>,
  values: ArrayLike<number>,
): Promise<void> {
  const expected = Uint32Array.from(values);
  expectSame(await tensor.data(), expected, `"${tensor.label}"`);
}

function expectSame(actual: ArrayBufferView, expected: Numbers, what: string): void {
  const bytes = (view: ArrayBufferView): Uint8Array =>
    new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  if (Buffer.compare(bytes(actual), bytes(expected)) === 0) return;
  const numbers = Array.from(actual as Numbers);
  const at = numbers.findIndex((number, index) => number !== expected[index]);
  expect.fail(
    `${what}: element ${at} of ${expected.length} is ${numbers[at]}, not ${expected[at]}`,
  );
}
