/** What a review found in transfers; each has happened once. */

import { KiB, MiB } from "moorage";
import type { Tensor } from "moorage";
import { describe, expect, test } from "vitest";

import { loseDevice, openRuntime } from "../harness.ts";
import { codeOfRejection } from "../support/caught.ts";

const float = { dtype: "float32" } as const;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test("what is streamed again after a loss is there; what is cut off is not", async () => {
  const rt = await openRuntime({ onLost: () => {} });
  const x = rt.full([50_000], 1, { ...float, label: "x" });
  await rt.sync();
  loseDevice(rt.device);
  await rt.lost;
  await rt.restore();
  const windowBytes = 16 * KiB;
  const cut = rt.writeFrom(
    x,
    (piece, offset) => {
      piece.fill(0);
      if (offset > 0) cut.cancel();
    },
    { windowBytes },
  );
  expect(await codeOfRejection(cut)).toBe("CANCELLED");
  expect(await codeOfRejection(x.data())).toBe("DEVICE_LOST");
  await rt.writeFrom(x, (piece) => piece.fill(0), { windowBytes });
  expect(new Set(await x.data())).toEqual(new Set([0]));
  x.dispose();
  await rt.dispose();
});

test("the end of a scope ends a transfer out of it: no other bytes are seen", async () => {
  const rt = await openRuntime();
  await rt.reserve(8 * MiB);
  const seen = new Set<number>();
  const take = (piece: Uint8Array<ArrayBuffer>): void => {
    for (const value of new Float32Array(piece.slice().buffer)) seen.add(value);
  };
  let transfer: Promise<void> | undefined;
  await rt.scope(async (s) => {
    const x = s.full([100_000], 1, float);
    await x.data();
    transfer = rt.readTo(x, take, { windowBytes: 16 * KiB });
  });
  const other = rt.full([200_000], 9, float);
  expect(await codeOfRejection(transfer!)).toBe("USE_AFTER_DISPOSE");
  expect(seen.has(9)).toBe(false);
  other.dispose();
  await rt.dispose();
});

test("what was cancelled in its last piece does not end as done", async () => {
  const rt = await openRuntime();
  const x = rt.zeros([1000], float);
  let isCancelled = false;
  const transfer = rt.writeFrom(x, async (piece) => {
    piece.fill(1);
    await sleep(2);
    isCancelled = transfer.cancel();
  });
  expect(await codeOfRejection(transfer)).toBe("CANCELLED");
  expect([isCancelled, transfer.status]).toEqual([true, "cancelled"]);
  expect(new Set(await x.data())).toEqual(new Set([0]));
  x.dispose();
  await rt.dispose();
});

describe("a stream that hangs", () => {
  test("keeps neither a cancelled transfer nor the runtime", async () => {
    const rt = await openRuntime();
    const x = rt.zeros([100_000], float);
    const reading = rt.writeFrom(x, new ReadableStream({}), { windowBytes: 16 * KiB });
    const hanging = new WritableStream<Uint8Array>({ write: () => new Promise(() => {}) });
    const writing = rt.readTo(x, hanging, { windowBytes: 16 * KiB });
    await sleep(10);
    for (const transfer of [reading, writing]) {
      expect(transfer.cancel()).toBe(true);
      expect(await codeOfRejection(transfer)).toBe("CANCELLED");
    }
    x.dispose();
    await rt.dispose();
  });

  test("is told of whatever stops its transfer, and cannot hide it", async () => {
    const rt = await openRuntime();
    const x = rt.zeros([100], float);
    const cancelled: unknown[] = [];
    const stream = (): ReadableStream<Uint8Array> =>
      new ReadableStream({
        cancel: (reason) => {
          cancelled.push(reason);
          throw new Error("the stream's own");
        },
      });
    expect(await codeOfRejection(rt.writeFrom(x.slice([0, 8]), stream()))).toBe("INVALID_LAYOUT");
    expect(await codeOfRejection(rt.writeFrom(x, stream(), { windowBytes: 1 }))).toBe(
      "INVALID_ARGUMENT",
    );
    const transfer = rt.writeFrom(x, stream());
    await sleep(2);
    transfer.cancel();
    expect(await codeOfRejection(transfer)).toBe("CANCELLED");
    expect(cancelled).toHaveLength(3);
    x.dispose();
    await rt.dispose();
  });
});

test.each(["queue", "belt"] as const)(
  "a production that fails takes back only its own bytes (%s)",
  async (uploads) => {
    const rt = await openRuntime({ uploads });
    await rt.reserve(MiB);
    let inner: Tensor<"float32"> | undefined;
    const fail = (): never => {
      inner = rt.tensor(new Float32Array(16).fill(3), { shape: [16], ...float, label: "inner" });
      throw new Error("own");
    };
    expect(() => rt.produce({ shape: [16], ...float, label: "outer" }, fail)).toThrow("own");
    const next = rt.tensor(new Float32Array(16).fill(8), { shape: [16], ...float, label: "next" });
    expect(new Set(await inner!.data())).toEqual(new Set([3]));
    expect(new Set(await next.data())).toEqual(new Set([8]));
    for (const tensor of [inner!, next]) tensor.dispose();
    await rt.dispose();
  },
);

test("staging of a read that is refused goes back", async () => {
  const rt = await openRuntime({ onLost: () => {} });
  const x = rt.zeros([100_000], { ...float, label: "x" });
  const reading = rt.readTo(x, () => sleep(2), { windowBytes: 16 * KiB });
  await sleep(10);
  loseDevice(rt.device);
  await rt.lost;
  expect(await codeOfRejection(reading)).toBe("DEVICE_LOST");
  await rt.restore();
  expect(rt.live().map(({ label }) => label)).toEqual(["x"]);
  x.dispose();
  await rt.dispose();
});

describe("with little staging", () => {
  const budget = { pinnedBytes: 64 * KiB };

  test("who takes bytes may read something else meanwhile", async () => {
    const rt = await openRuntime({ budget });
    const [x, y] = [rt.full([50_000], 1, float), rt.full([50_000], 2, float)];
    const seen = new Set<number>();
    await rt.readTo(x, async () => {
      for (const value of await rt.read(y)) seen.add(value);
    });
    expect(seen).toEqual(new Set([2]));
    for (const tensor of [x, y]) tensor.dispose();
    await rt.dispose();
  });

  test("a tensor is streamed into another", async () => {
    const rt = await openRuntime({ budget });
    const values = Float32Array.from({ length: 50_000 }, (_, index) => index);
    const x = rt.tensor(values, { shape: [50_000], ...float });
    const y = rt.zeros([50_000], float);
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const reading = rt.readTo(x, writable, { windowBytes: 64 * KiB });
    await sleep(5);
    await Promise.all([reading, rt.writeFrom(y, readable, { windowBytes: 64 * KiB })]);
    expect(await y.data()).toEqual(values);
    for (const tensor of [x, y]) tensor.dispose();
    await rt.dispose();
  });
});

test("staging of Moorage's own is nobody's leak", async () => {
  const rt = await openRuntime({ uploads: "belt" });
  const leaks: unknown[] = [];
  const data = new Float32Array(16);
  await rt.scope((s) => void s.tensor(data, { shape: [16], ...float }), {
    onLeak: (list) => leaks.push(...list),
  });
  expect(leaks).toEqual([]);
  await rt.sync();
  await rt.dispose();
});
