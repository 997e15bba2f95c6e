/** What a review found in what scopes keep, and in wrapped buffers; each has happened once. */

import { defineElementwise, KiB } from "moorage";
import type { Runtime } from "moorage/node";
import { describe, expect, test } from "vitest";

import type { DeviceContext } from "../../src/device/context.ts";
import { loseDevice, openRuntime } from "../harness.ts";
import { codeOfRejection } from "../support/caught.ts";

const float = { dtype: "float32" } as const;
const bad = defineElementwise({
  label: "bad",
  inputs: ["a"],
  output: "float32",
  expression: "a + no_such_name",
});

function open(): Promise<Runtime> {
  return openRuntime({ onError: () => {}, onLost: () => {} });
}

async function lose(rt: Runtime): Promise<void> {
  await rt.sync();
  loseDevice(rt.device);
  await rt.lost;
  await rt.restore();
}

describe.each([{ count: 256 * KiB }, { count: 64 }])("a tensor of $count elements", ({ count }) => {
  const ones = new Float32Array(count).fill(1);

  test("and what it was kept as have one source", async () => {
    const rt = await open();
    const kept = await rt.scope((s) => {
      const x = s.zeros([count], float);
      const own = s.keep(x);
      rt.write(own, ones, { source: true });
      // Now the source tells its value no more.
      s.fill(x, 2);
      return own;
    });
    await lose(rt);
    expect(await codeOfRejection(kept.data())).toBe("DEVICE_LOST");
    kept.dispose();
    await rt.dispose();
  });

  test("and what it was kept as fail together, and are mended together", async () => {
    const rt = await open();
    await rt.scope(async (s) => {
      const x = s.full([count], 1, float);
      const kept = s.keep(x);
      s.assign(x, s.map(bad, [x]));
      expect(await codeOfRejection(x.data())).toBe("KERNEL_COMPILATION");
      expect(await codeOfRejection(kept.data())).toBe("KERNEL_COMPILATION");
      rt.write(kept, ones);
      expect([(await x.data())[0], (await kept.data())[0]]).toEqual([1, 1]);
      kept.dispose();
    });
    await rt.dispose();
  });

  test("shows what it was kept as after a loss of the device, too", async () => {
    const rt = await open();
    await rt.scope(async (s) => {
      const x = s.full([count], 5, float);
      const kept = s.keep(x);
      await lose(rt);
      rt.write(kept, ones);
      const again = s.keep(x);
      expect([(await x.data())[0], (await again.data())[0]]).toEqual([1, 1]);
      for (const tensor of [kept, again]) tensor.dispose();
    });
    await rt.dispose();
  });

  test("is lost alone: what is kept of it takes nobody's memory", async () => {
    const rt = await open();
    await rt.scope(async (s) => {
      const x = s.full([count], 1, float);
      await lose(rt);
      const a = rt.full([count], 7, { ...float, label: "a" });
      await a.data();
      s.keep(x).dispose();
      x.dispose();
      const b = rt.full([count], 9, { ...float, label: "b" });
      expect([(await a.data())[0], (await b.data())[0]]).toEqual([7, 9]);
      for (const tensor of [a, b]) tensor.dispose();
    });
    await rt.dispose();
  });

  test("is named and counted once, and is no leak of the scope that kept and dropped it", async () => {
    const rt = await open();
    const leaks: unknown[] = [];
    await rt.scope(async (s) => {
      const x = s.full([count], 5, { ...float, label: "x" });
      await s.scope((inner) => inner.keep(x, { label: "kept" }).dispose(), {
        onLeak: (list) => leaks.push(...list),
      });
      expect(rt.live().map(({ byteLength }) => byteLength)).toEqual([4 * count]);
    });
    expect(leaks).toEqual([]);
    await rt.dispose();
  });
});

test("a wrapped buffer that no dispatch can bind whole is bound to its very end", async () => {
  const rt = await open();
  const { pool } = (rt as unknown as { readonly context: DeviceContext }).context;
  pool.maxBindingBytes = 16 * KiB;
  const count = 8 * KiB + 1;
  const buffer = rt.device.createBuffer({ size: count * 4, usage: 0x8c, label: "theirs" });
  const x = rt.wrap(buffer, { shape: [count], ...float });
  rt.fill(x, 3);
  const y = rt.add(x, 1);
  expect((await y.data())[count - 1]).toBe(4);
  for (const tensor of [x, y]) tensor.dispose();
  await rt.sync();
  buffer.destroy();
  await rt.dispose();
});

test("two ranges of one wrapped buffer are copied and computed with", async () => {
  const rt = await open();
  const buffer = rt.device.createBuffer({ size: 2048, usage: 0x8c, label: "theirs" });
  const x = rt.wrap(buffer, { shape: [256], ...float });
  const y = rt.wrap(buffer, { shape: [256], byteOffset: 1024, ...float });
  rt.fill(x, 3);
  rt.assign(y, x);
  const sum = rt.add(x, y);
  rt.assign(x, sum);
  expect([(await x.data())[7], (await y.data())[255]]).toEqual([6, 3]);
  x.dispose();
  expect((await y.data())[0]).toBe(3);
  for (const tensor of [y, sum]) tensor.dispose();
  await rt.sync();
  buffer.destroy();
  await rt.dispose();
});
