/**
 * Long programs of random operations against a model that knows nothing of the region: what lives, how
 * large it is, and which bytes it holds. A program is given by its seed alone.
 */

import { expect } from "vitest";

import type { Random } from "../../bench/core/contract.ts";
import { randomFrom } from "../../bench/core/random.ts";
import type { RegionStats } from "../../src/index.ts";

/** Bytes that no two places of are alike, to fill blocks from and to compare them with: both are one copy. */
const bookBytes = 2 ** 21;
const book = new Uint8Array(bookBytes);
{
  const random = randomFrom(20_26);
  for (let at = 0; at < bookBytes; at++) book[at] = random.integer(256);
}

/** The bytes of page `page` of the book. */
function page(start: number, byteLength: number): Uint8Array {
  return book.subarray(start, start + byteLength);
}

export interface Held<H> {
  readonly handle: H;
  readonly byteLength: number;
  /** Where in the book its bytes are. */
  readonly start: number;
}

/** A region under a long program. */
export interface LongSubject<H> {
  /** Bytes that may live at one time: four fifths of what the region can hold. */
  readonly windowBytes: number;
  readonly largestBytes: number;
  bytes(handle: H): Uint8Array<ArrayBuffer>;
  stats(): RegionStats;
  /** Checks the structure by other means than the statistics; called now and then. */
  validate(held: readonly Held<H>[]): void;
  readonly operations: Readonly<Record<string, LongOperation<H>>>;
  /** How often each branch was taken that has to be taken. */
  branches(): Readonly<Record<string, number>>;
  /** Ends what is live, and checks that nothing is left. */
  close(program: LongProgram<H>): void | Promise<void>;
}

export interface LongOperation<H> {
  readonly weight: number;
  run(program: LongProgram<H>): void | Promise<void>;
}

/** Operations between two looks at the whole structure. */
const validateEvery = 500;

export class LongProgram<H> {
  readonly random: Random;
  readonly subject: LongSubject<H>;
  readonly held: Held<H>[] = [];
  liveBytes = 0;
  readonly #seed: number;

  constructor(subject: LongSubject<H>, seed: number) {
    this.subject = subject;
    this.#seed = seed;
    this.random = randomFrom(seed);
  }

  /** Log-uniform, from 1 byte to the largest. */
  size(): number {
    return Math.max(1, Math.floor(this.subject.largestBytes ** this.random.next()));
  }

  /** Writes fresh bytes into a handle, and remembers them. */
  hold(handle: H, byteLength: number): Held<H> {
    const start = this.random.integer(bookBytes - byteLength);
    this.subject.bytes(handle).set(page(start, byteLength));
    const held = { handle, byteLength, start };
    this.held.push(held);
    this.liveBytes += byteLength;
    return held;
  }

  /** Takes any held one out of the model; none where there is none. */
  pick(): Held<H> | undefined {
    if (this.held.length === 0) return undefined;
    const at = this.random.integer(this.held.length);
    const picked = this.held[at]!;
    this.held[at] = this.held.at(-1)!;
    this.held.pop();
    this.liveBytes -= picked.byteLength;
    return picked;
  }

  /** Puts a picked one back. */
  putBack(held: Held<H>): void {
    this.held.push(held);
    this.liveBytes += held.byteLength;
  }

  look(): Held<H> | undefined {
    return this.held.length === 0 ? undefined : this.held[this.random.integer(this.held.length)];
  }

  expectBytes({ handle, byteLength, start }: Held<H>, kept = byteLength): void {
    const bytes = this.subject.bytes(handle).subarray(0, kept);
    if (Buffer.compare(bytes, page(start, kept)) === 0) return;
    const first = bytes.findIndex((byte, at) => byte !== book[start + at]);
    expect.fail(
      `a block of ${byteLength} bytes differs from byte ${first} on (seed ${this.#seed})`,
    );
  }

  async run(count: number): Promise<void> {
    const { subject, random } = this;
    const kinds = Object.values(subject.operations);
    const total = kinds.reduce((sum, { weight }) => sum + weight, 0);
    for (let step = 0; step < count; step++) {
      let left = random.next() * total;
      const kind = kinds.find(({ weight }) => (left -= weight) < 0) ?? kinds[0]!;
      const later = kind.run(this);
      if (later !== undefined) await later;
      const any = this.look();
      if (any !== undefined) this.expectBytes(any);
      if (step % 16 === 0) this.#expectBalanced(step);
      if (step % validateEvery === 0) {
        subject.validate(this.held);
        for (const held of this.held) this.expectBytes(held);
      }
    }
    subject.validate(this.held);
    for (const held of this.held) this.expectBytes(held);
    await subject.close(this);
  }

  #expectBalanced(step: number): void {
    const stats = this.subject.stats();
    const { liveBytes, paddingBytes, deferredBytes, freeBytes, reservedBytes } = stats;
    const isBalanced =
      liveBytes === this.liveBytes &&
      liveBytes + paddingBytes + deferredBytes + freeBytes === reservedBytes &&
      Math.min(liveBytes, paddingBytes, deferredBytes, freeBytes) >= 0;
    if (isBalanced) return;
    expect.fail(
      `step ${step} of seed ${this.#seed}: ${this.liveBytes} live, and ${JSON.stringify(stats)}`,
    );
  }
}
