/** Transfers that share a small budget of pinned memory: each has some of it, or waits, or is refused. */

import { KiB, MiB } from "moorage";
import { describe, expect, test } from "vitest";

import { liveBufferBytes, openRuntime } from "../harness.ts";
import { openSimulated } from "../simulated/open-simulated.ts";
import { codeOfRejection } from "../support/caught.ts";

describe("within a small budget of pinned memory", () => {
  test("a window is made to fit, and several at one time have a share each", async () => {
    const { runtime } = await openSimulated({ budget: { pinnedBytes: MiB } });
    const targets = [1, 2, 3].map((value) =>
      runtime.zeros([MiB / 4], { dtype: "float32", label: `target ${value}` }),
    );
    await runtime.sync();
    await Promise.all(
      targets.map((target, index) =>
        runtime.writeFrom(target, async (piece) => {
          piece.fill(index + 1);
          await new Promise((resolve) => setImmediate(resolve));
        }),
      ),
    );
    expect(runtime.stats().pinned.reserved.peak).toBeLessThanOrEqual(MiB);
    for (const [index, target] of targets.entries()) {
      const bytes = new Uint8Array((await target.data()).buffer);
      expect(bytes.every((byte) => byte === index + 1)).toBe(true);
      target.dispose();
    }
    await runtime.dispose();
  });

  test("who is given bytes may stream others meanwhile", async () => {
    const { runtime } = await openSimulated({ budget: { pinnedBytes: 4 * MiB } });
    const [x, y] = [1, 2].map(() => runtime.zeros([2 * MiB], { dtype: "float32" }));
    const small = runtime.zeros([16], { dtype: "float32" });
    const taken = runtime.pinned.tensor({ shape: [MiB / 2], dtype: "float32" });
    await runtime.sync();
    await runtime.readTo(x!, async () => {
      await runtime.writeFrom(y!, (piece) => piece.fill(1));
      await small.data();
    });
    expect((await y!.slice([0, 4]).data()).every((value) => value > 0)).toBe(true);
    for (const tensor of [x!, y!, small, taken]) tensor.dispose();
    await runtime.dispose();
  });

  test("who is given bytes and wants more than is left is refused: nobody waits for himself", async () => {
    const { runtime } = await openSimulated({ budget: { pinnedBytes: 2 * KiB } });
    const x = runtime.zeros([4 * KiB], { dtype: "float32" });
    const read = async (depth: number): Promise<void> => {
      if (depth > 0) await runtime.readTo(x, () => read(depth - 1), { windowBytes: KiB });
      else await runtime.writeFrom(x, () => {});
    };
    expect(await codeOfRejection(read(3))).toBe("OUT_OF_MEMORY");
    await runtime.readTo(x, () => {});
    x.dispose();
    await runtime.dispose();
  });
});

test("two that wait for one buffer are served one after the other", async () => {
  const { runtime } = await openSimulated({ budget: { pinnedBytes: MiB } });
  const [x, y] = [1, 2].map(() => runtime.zeros([100 * KiB], { dtype: "float32" }));
  const held = runtime.pinned.tensor({ shape: [128 * KiB], dtype: "float32" });
  const sent = runtime.pinned.tensor({ shape: [128 * KiB], dtype: "float32" });
  const z = runtime.upload(sent);
  sent.dispose();
  const read = await Promise.all([x!.data(), y!.data()]);
  for (const data of read) expect(data.length).toBe(100 * KiB);
  for (const tensor of [x!, y!, z, held]) tensor.dispose();
  await runtime.dispose();
});

test("a window is as large as was asked for, also where others may change what is read", async () => {
  const rt = await openRuntime();
  const buffer = rt.device.createBuffer({
    label: "theirs",
    size: 16 * MiB,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  const wrapped = rt.wrap(buffer, { shape: [4 * MiB], dtype: "float32" });
  const before = liveBufferBytes(rt.device);
  let most = 0;
  const reading = rt.readTo(
    wrapped,
    () => {
      most = Math.max(most, liveBufferBytes(rt.device) - before);
    },
    { windowBytes: 256 * KiB },
  );
  expect(reading.submittedBytes).toBeLessThanOrEqual(256 * KiB);
  await reading;
  expect(most).toBeLessThanOrEqual(256 * KiB);
  wrapped.dispose();
  await rt.sync();
  buffer.destroy();
  await rt.dispose();
});
