/**
 * Listeners that dispose, keep, append or throw in the middle of what they are told of; and what else a
 * review found at the edges: parts of one buffer that overlap, a budget that one chunk takes, losses in a row.
 */

import { KiB, MiB } from "moorage";
import type { RuntimeOptions, Tensor } from "moorage";
import { describe, expect, test } from "vitest";

import { openRuntime } from "../harness.ts";
import { openSimulated, simulatedCopies } from "../simulated/open-simulated.ts";
import { codeOfRejection } from "../support/caught.ts";

const floats = (count: number) => ({ shape: [count], dtype: "float32" }) as const;

const filled = (count: number, value: number): Float32Array => new Float32Array(count).fill(value);

const quarter = 64 * KiB;

describe("while tensors are put back after a loss", () => {
  async function lost() {
    const options: RuntimeOptions = {
      budget: { deviceBytes: 4 * MiB, deviceSoftBytes: 600 * KiB, pinnedBytes: MiB },
      slabBytes: 256 * KiB,
      onLost: () => {},
    };
    const { runtime, device } = await openSimulated(options);
    const kept = [1, 2, 3].map((value) =>
      runtime.tensor(filled(quarter, value), { ...floats(quarter), source: true }),
    );
    const cache = runtime.tensor(filled(quarter, 8), { ...floats(quarter), source: true });
    await runtime.sync();
    device.lose("unknown", "the test says so");
    await runtime.lost;
    return { runtime, kept, cache };
  }

  test.each([false, true])("a listener disposes another (and makes one: %s)", async (isMaking) => {
    const { runtime, kept, cache } = await lost();
    const tensors = [...kept];
    runtime.onPressure(() => {
      if (cache.state === "disposed") return;
      cache.dispose();
      if (isMaking) tensors.push(runtime.tensor(filled(64, 4), floats(64)));
    });
    await runtime.restore(simulatedCopies().asDevice);
    expect(cache.state).toBe("disposed");
    for (const [index, tensor] of tensors.entries())
      expect((await tensor.data())[0]).toBe(index + 1);
    for (const tensor of tensors) tensor.dispose();
    await runtime.sync();
    const { liveBytes, freeBytes, reservedBytes } = runtime.stats().deviceHeap;
    expect([liveBytes, reservedBytes - freeBytes]).toEqual([0, 0]);
    await runtime.dispose();
  });

  test("a listener throws: that is why one has no memory, and no other's affair", async () => {
    const { runtime, kept, cache } = await lost();
    let count = 0;
    runtime.onPressure(() => {
      if (count++ === 0) throw new Error("not now");
    });
    const result = await runtime.restore(simulatedCopies().asDevice);
    expect([result.restored, result.lost.length]).toEqual([3, 1]);
    const tensors = [...kept, cache];
    const failed = tensors.filter(({ state }) => state === "failed");
    expect(await codeOfRejection(failed[0]!.data())).toBe("DEVICE_ERROR");
    for (const tensor of tensors) tensor.dispose();
    await runtime.dispose();
  });
});

test("a read that waits is of its call, although who makes room for it disposes its tensor", async () => {
  const { runtime } = await openSimulated({
    budget: { deviceBytes: MiB, deviceSoftBytes: 256 * KiB, pinnedBytes: 512 * KiB },
    slabBytes: 256 * KiB,
  });
  const [x, y] = [7, 9].map((value) => runtime.tensor(filled(30_000, value), floats(30_000)));
  await runtime.sync();
  const before = [1, 2, 3, 4, 5, 6].map(() => y!.data());
  const reads = [x!.data(), x!.data()];
  runtime.onPressure(() => x!.dispose());
  expect(() => runtime.write(x!, filled(30_000, 1))).toThrow(/disposed|freed/);
  for (const data of await Promise.all(reads)) expect(data[29_999]).toBe(7);
  await Promise.all(before);
  await runtime.sync();
  expect(runtime.stats().deviceArena).toMatchObject({ liveBytes: 0, reservedBytes: 0 });
  y!.dispose();
  await runtime.dispose();
});

test("what a listener keeps while it is being kept is one tensor", async () => {
  const { runtime } = await openSimulated({
    budget: { deviceBytes: MiB, pinnedBytes: 512 * KiB },
    slabBytes: 256 * KiB,
  });
  await runtime.scope(async (scope) => {
    const x = scope.tensor(filled(64, 1), floats(64));
    const fillers: Tensor<"float32">[] = [];
    for (const count of [16_384, 64]) {
      try {
        for (;;) fillers.push(runtime.tensor(filled(count, 2), floats(count)));
      } catch {
        // Full.
      }
    }
    const inner: Tensor<"float32">[] = [];
    const off = runtime.onPressure(() => {
      for (const filler of fillers.splice(-20)) filler.dispose();
      if (inner.length === 0) inner.push(scope.keep(x));
    });
    const outer = scope.keep(x);
    off();
    expect(inner.length).toBe(1);
    expect(runtime.stats().deviceArena.liveBytes).toBe(0);
    runtime.write(x, filled(64, 3));
    for (const tensor of [outer, ...inner, x]) expect((await tensor.data())[0]).toBe(3);
    for (const tensor of [...fillers, outer, ...inner]) tensor.dispose();
  });
  await runtime.sync();
  expect(runtime.stats().deviceHeap.liveBytes).toBe(0);
  await runtime.dispose();
});

describe("a tensor that grows", () => {
  async function tight() {
    const { runtime } = await openSimulated({
      budget: { deviceBytes: 512 * KiB, deviceSoftBytes: 64 * KiB },
      slabBytes: 64 * KiB,
    });
    const rows = runtime.growable({ rowShape: [1024], dtype: "float32", capacity: 15 });
    for (let row = 0; row < 15; row++) rows.append(filled(1024, row));
    return { runtime, rows };
  }

  test.each(["truncate", "append", "trim"] as const)(
    "has its new row behind its last, although a listener does %s",
    async (how) => {
      const { runtime, rows } = await tight();
      let isTold = false;
      runtime.onPressure(() => {
        if (isTold) return;
        isTold = true;
        if (how === "truncate") rows.truncate(0);
        else if (how === "append") rows.truncate(14);
        else rows.trim();
      });
      rows.append(filled(1024, 61));
      expect(isTold).toBe(true);
      const { length } = rows;
      expect(length).toBe({ truncate: 1, append: 15, trim: 16 }[how]);
      const data = await rows.view().data();
      expect([data[(length - 1) * 1024], data.at(-1)]).toEqual([61, 61]);
      rows.dispose();
      await runtime.dispose();
    },
  );

  test("is good again after a loss, once it begins anew", async () => {
    const { runtime, device } = await openSimulated({ onLost: () => {} });
    const rows = runtime.growable({ rowShape: [4], dtype: "float32" });
    rows.append(filled(4, 1));
    await runtime.sync();
    device.lose("unknown", "the test says so");
    await runtime.lost;
    await runtime.restore(simulatedCopies().asDevice);
    expect(await codeOfRejection(rows.view().data())).toBe("DEVICE_LOST");
    rows.truncate(0);
    rows.append(filled(4, 2));
    expect(await rows.view().data()).toEqual(filled(4, 2));
    rows.dispose();
    await runtime.dispose();
  });
});

describe("memory that is short", () => {
  test("is asked for on all steps, although a listener has taken what there was", async () => {
    const { runtime } = await openSimulated({
      budget: { deviceBytes: MiB, deviceSoftBytes: 300 * KiB },
      slabBytes: 256 * KiB,
    });
    const cache = runtime.tensor(filled(quarter, 1), floats(quarter));
    const taken: Tensor<"float32">[] = [];
    runtime.onPressure(({ level }) => {
      if (level === "refused") for (const tensor of taken.splice(0)) tensor.dispose();
      else while (taken.length < 3) taken.push(runtime.tensor(filled(quarter, 7), floats(quarter)));
    });
    const wanted = runtime.tensor(filled(quarter, 2), floats(quarter));
    expect((await wanted.data())[0]).toBe(2);
    for (const tensor of [cache, wanted, ...taken]) tensor.dispose();
    await runtime.dispose();
  });

  test("is told of once, also to who comes again each time", async () => {
    const { runtime } = await openSimulated({ budget: { deviceBytes: MiB }, slabBytes: 256 * KiB });
    let told = 0;
    let off = (): void => {};
    const listen = (): void => {
      off();
      if (++told < 100) off = runtime.onPressure(listen);
    };
    off = runtime.onPressure(listen);
    expect(() => runtime.empty([MiB], { dtype: "float32" })).toThrow(/needs/);
    expect(told).toBe(1);
    await runtime.dispose();
  });

  test.each(["data", "lease", "readAll"] as const)(
    "because one chunk for uploads is all of it is waited for: %s",
    async (how) => {
      const { runtime } = await openSimulated({ budget: { pinnedBytes: MiB } });
      const x = runtime.tensor(filled(64, 3), floats(64));
      await runtime.sync();
      const y = runtime.produce(floats(64), (to) => to.fill(4));
      const first = async (tensor: Tensor<"float32">): Promise<number> => {
        if (how === "data") return (await tensor.data())[0]!;
        if (how === "readAll") return (await runtime.readAll([tensor, tensor]))[1][0]!;
        using lease = await tensor.lease();
        return lease.data[0]!;
      };
      expect([await first(x), await first(y)]).toEqual([3, 4]);
      for (const tensor of [x, y]) tensor.dispose();
      await runtime.dispose();
    },
  );

  test("because a read has it is waited for by who allocates pinned memory", async () => {
    const { runtime } = await openSimulated({ budget: { pinnedBytes: 256 * KiB } });
    const x = runtime.tensor(filled(quarter, 3), floats(quarter));
    await runtime.sync();
    const reading = x.data();
    const block = await runtime.pinned.allocAsync({ byteLength: 256 * KiB, label: "mine" });
    expect((await reading)[quarter - 1]).toBe(3);
    runtime.pinned.free(block);
    x.dispose();
    await runtime.dispose();
  });
});

test("parts of one buffer that overlap meet in a dispatch, and harm nothing else", async () => {
  const errors: string[] = [];
  const onError = ({ message }: Error): void => void errors.push(message);
  const rt = await openRuntime({ onError });
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const buffer = rt.device.createBuffer({ label: "theirs", size: 2048, usage });
  const all = rt.wrap(buffer, floats(512));
  const part = rt.wrap(buffer, { ...floats(64), byteOffset: 256 });
  rt.write(
    all,
    Float32Array.from({ length: 512 }, (_, index) => index),
  );
  const other = rt.full([16], 5, { dtype: "float32" });
  rt.assign(all.slice([128, 192]), part);
  rt.assign(all.slice([32, 96]), part);
  const sum = rt.add(all.slice([0, 64]), 1);
  rt.assign(part, sum);
  const data = await all.data();
  expect([data[128], data[191], data[32], data[63], data[64], data[127]]).toEqual([
    64, 127, 64, 95, 1, 96,
  ]);
  expect((await other.data())[0]).toBe(5);
  expect(errors).toEqual([]);
  for (const tensor of [all, part, other, sum]) tensor.dispose();
  await rt.sync();
  buffer.destroy();
  await rt.dispose();
});

describe("a restore, or an end,", () => {
  test("that loses its device in turn is followed by another", async () => {
    const { runtime, device } = await openSimulated({ onLost: () => {} });
    const waiting: (() => void)[] = [];
    const x = runtime.tensor(filled(4, 1), {
      ...floats(4),
      source: () =>
        new Promise<Float32Array>((resolve) => waiting.push(() => resolve(filled(4, 1)))),
    });
    await runtime.sync();
    device.lose("unknown", "the first");
    await runtime.lost;
    const second = simulatedCopies();
    const first = runtime.restore(second.asDevice);
    while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
    second.lose("unknown", "the second");
    await runtime.lost;
    const again = runtime.restore(simulatedCopies().asDevice);
    expect(again).not.toBe(first);
    waiting.shift()!();
    await first;
    while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
    waiting.shift()!();
    expect((await again).restored).toBe(1);
    expect(await x.data()).toEqual(filled(4, 1));
    x.dispose();
    await runtime.dispose();
  });

  test("of a runtime that is disposed meanwhile leaves nothing on the device that it was given", async () => {
    const { runtime, device } = await openSimulated({ onLost: () => {} });
    device.lose("unknown", "the test says so");
    await runtime.lost;
    const next = simulatedCopies();
    const ended = codeOfRejection(runtime.restore(next.asDevice));
    await runtime.dispose();
    expect(await ended).toBe("RUNTIME_DISPOSED");
    expect([next.buffers.size, next.isLost]).toEqual([0, false]);
  });

  test("is not asked for what was pinned on a device that others own", async () => {
    const { runtime, device } = await openSimulated();
    const complaints: string[] = [];
    device.asDevice.addEventListener("uncapturederror", ({ error }) =>
      complaints.push(error.message),
    );
    const pinned = runtime.pinned.tensor(floats(64));
    const x = runtime.upload(pinned);
    x.dispose();
    pinned.dispose();
    const late = runtime.pinned.tensor(floats(64));
    runtime.upload(late).dispose();
    const disposed = runtime.dispose();
    const mapped = late.mapped();
    await Promise.allSettled([disposed, mapped]);
    expect(await codeOfRejection(late.mapped())).toBe("NOT_MAPPED");
    expect(complaints).toEqual([]);
    late.dispose();
  });
});
