/** A hundred scopes at once (criterion 5): each finds its own data, on the host and on the device. */

import { expect, test } from "vitest";

import type { Scope } from "../../src/index.ts";
import { useRuntime } from "../harness.ts";

const rt = useRuntime();
const scopes = 100;

/** Waits 0 to 5 ms, in an order that differs from scope to scope; repeatable. */
function pause(seed: number): Promise<void> {
  const milliseconds = Math.abs(Math.imul(seed + 1, 0x9e3779b1) >> 8) % 6;
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function filled(id: number, step: number, count: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, (_, index) => id * 1000 + step * 100 + (index % 97));
}

async function work<C>(s: Scope<C>, id: number): Promise<number> {
  const host: { readonly array: Float32Array; readonly step: number }[] = [];
  const device = [];
  for (let step = 0; step < 4; step++) {
    const count = 50 + ((id * 37 + step * 411) % 3000);
    const array = s.array("float32", count);
    array.set(filled(id, step, count));
    host.push({ array, step });
    await pause(id * 7 + step);
    const x = s.tensor(array, { shape: [count], dtype: "float32", label: `x ${id}.${step}` });
    const tripled = s.multiply(s.add(x, x), 1.5);
    // Some scratch ends early, so that its memory changes owners while other scopes run.
    if (step % 2 === 0) x.dispose();
    device.push(tripled);
    await pause(id * 13 + step);
  }
  let checked = 0;
  for (const { array, step } of host) {
    const expected = filled(id, step, array.length);
    if (Buffer.compare(bytesOf(array), bytesOf(expected)) !== 0) expect(array).toEqual(expected);
    const computed = await device[step]!.data();
    const tripled = expected.map((value) => value * 3);
    if (Buffer.compare(bytesOf(computed), bytesOf(tripled)) !== 0)
      expect(computed, `scope ${id}, step ${step}`).toEqual(tripled);
    checked += array.length;
  }
  return checked;
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

test("100 scopes that overlap in time, with random awaits, each find their own data", async () => {
  let open = 0;
  let most = 0;
  const checked = await Promise.all(
    Array.from({ length: scopes }, async (_, id) => {
      await pause(id * 3);
      return await rt().scope(
        async (s) => {
          most = Math.max(most, ++open);
          const count = await work(s, id);
          open--;
          return count;
        },
        { label: `scope ${id}` },
      );
    }),
  );
  expect(most, "scopes open at the same time").toBeGreaterThan(50);
  expect(checked.every((count) => count >= 200)).toBe(true);
  expect(rt().stats().deviceArena).toMatchObject({ liveBytes: 0, reservedBytes: 0 });
  expect(rt().stats().hot).toMatchObject({ liveBytes: 0, paddingBytes: 0, deferredBytes: 0 });
});

test("nested scopes overlap too, and failing ones take nobody with them", async () => {
  const outcomes = await Promise.allSettled(
    Array.from({ length: 40 }, (_, id) =>
      rt().scope(async (outer) => {
        const mine = outer.full([256], id, { dtype: "float32" });
        const inner = [0, 1, 2].map((child) =>
          outer.scope(async (s) => {
            const count = await work(s, id * 3 + child);
            if (id % 8 === 3 && child === 1) throw new Error(`scope ${id} fails`);
            return count;
          }),
        );
        const results = await Promise.allSettled(inner);
        expect(new Set(await mine.data())).toEqual(new Set([id]));
        const failed = results.find((result) => result.status === "rejected");
        if (failed !== undefined) throw failed.reason;
        return id;
      }),
    ),
  );
  for (const [id, outcome] of outcomes.entries()) {
    if (id % 8 !== 3) expect(outcome).toEqual({ status: "fulfilled", value: id });
    else expect(outcome).toMatchObject({ reason: { message: `scope ${id} fails` } });
  }
  expect(rt().stats().deviceArena).toMatchObject({ liveBytes: 0, reservedBytes: 0 });
});
