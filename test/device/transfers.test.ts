/** Transfers: what they say of themselves, how they are stopped, and bytes given away piece by piece. */

import type { DType, Transfer } from "moorage";
import { CancelledError, dtypes, KiB, MiB, numberToFloat16 } from "moorage";
import type { Runtime } from "moorage/node";
import { describe, expect, test } from "vitest";

import { loseDevice, openRuntime, useRuntime } from "../harness.ts";
import { codeOfRejection, rejected } from "../support/caught.ts";

const rt = useRuntime();

const counting = (count: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: count }, (_, index) => index % 1000);

/** Settled by whoever holds it. */
function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

describe("read", () => {
  const values = [-1, 0, 1.5, 2, 300, Number.NaN, 1e10, 65_504];

  test.each(dtypes)("as %s, what cast() gives", async (dtype: DType) => {
    const x = rt().tensor(new Float32Array(values), {
      shape: [2, 4],
      dtype: "float32",
      label: "x",
    });
    const cast = rt().cast(x, dtype);
    const own = await cast.data();
    expect(await rt().read(x, { dtype })).toEqual(own);
    // Back again, out of every dtype, and of a view that no copy can take.
    const back = rt().cast(cast, "float32");
    expect(await rt().read(cast, { dtype: "float32" })).toEqual(await back.data());
    const columns = rt().copy(cast.transpose());
    expect(await rt().read(cast.transpose(), { dtype })).toEqual(await columns.data());
    for (const tensor of [x, cast, back, columns]) tensor.dispose();
  });

  test("into an array, which has to have its dtype and size", async () => {
    const bytes = new Uint8Array([1, 2, 3]);
    const x = rt().tensor(bytes, { shape: [3], dtype: "uint8", label: "x" });
    const into = new Float32Array(3);
    expect(await rt().read(x, { dtype: "float32", into })).toBe(into);
    expect(into).toEqual(new Float32Array([1, 2, 3]));
    const short = rt().read(x, { into: new Uint8Array(2) });
    expect(await codeOfRejection(short)).toBe("INVALID_ARGUMENT");
    const other = rt().read(x, { into: new Float32Array(3) as never });
    expect(await codeOfRejection(other)).toBe("UNSUPPORTED_DTYPE");
    x.dispose();
    expect(await codeOfRejection(rt().read(x))).toBe("USE_AFTER_DISPOSE");
    expect(await codeOfRejection(rt().read({} as never, { dtype: "uint8" }))).toBe(
      "INVALID_ARGUMENT",
    );
  });

  test("says what it is, and cannot be stopped once it is submitted", async () => {
    const x = rt().tensor(counting(100), { shape: [100], dtype: "float32", label: "x" });
    const reading = rt().read(x);
    expect(reading.toJSON()).toEqual({
      label: "x",
      direction: "readback",
      status: "running",
      submittedBytes: 400,
      byteLength: 400,
    });
    expect(reading.cancel()).toBe(false);
    expect(await reading).toEqual(counting(100));
    expect([reading.status, reading.cancel()]).toEqual(["done", false]);
    expect(String(reading)).toBe('Transfer "x" (readback, done, 400 of 400 bytes)');
    x.dispose();
  });

  test("waits for staging, and can be stopped while it does", async () => {
    const own = await openRuntime({ budget: { pinnedBytes: 64 * KiB } });
    const x = own.tensor(counting(32 * KiB), { shape: [32 * KiB], dtype: "float32", label: "x" });
    // These have all of it.
    const before = [1, 2, 3, 4].map(() => own.read(x));
    const waiting = own.read(x, { dtype: "uint8" });
    const other = own.read(x);
    const reason = new Error("not wanted any more");
    const stop = new AbortController();
    const third = own.read(x, { signal: stop.signal });
    expect([waiting.status, waiting.submittedBytes, waiting.byteLength]).toEqual([
      "waiting",
      0,
      32 * KiB,
    ]);
    expect(waiting.cancel()).toBe(true);
    stop.abort(reason);
    const ends = [rejected(waiting), third.catch((error: unknown) => error)];
    const [cancelled, stopped] = await Promise.all(ends);
    expect(cancelled).toBeInstanceOf(CancelledError);
    expect(cancelled).toMatchObject({ code: "CANCELLED", label: "x" });
    expect(stopped).toBe(reason);
    expect([waiting.status, third.status, waiting.cancel()]).toEqual([
      "cancelled",
      "cancelled",
      false,
    ]);
    for (const read of [...before, other]) expect(await read).toEqual(counting(32 * KiB));
    x.dispose();
    await own.dispose();
  });

  test("fails with its tensor, and with its device", async () => {
    const own = await openRuntime({ onLost: () => {}, onError: () => {} });
    const x = own.tensor(counting(MiB), { shape: [MiB], dtype: "float32", label: "x" });
    const reading = own.read(x);
    loseDevice(own.device);
    expect(await codeOfRejection(reading)).toBe("DEVICE_LOST");
    expect(reading.status).toBe("failed");
    expect(await codeOfRejection(own.readTo(x, () => {}))).toBe("DEVICE_LOST");
    x.dispose();
    await own.dispose();
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

describe("readTo", () => {
  test.each([1, 1023, 4096, 100_003])("%d bytes, each once and in order", async (count) => {
    const bytes = Uint8Array.from({ length: count }, (_, index) => (index * 31) ^ (index >> 8));
    const x = rt().tensor(bytes, { shape: [count], dtype: "uint8", label: "x" });
    const seen = new Uint8Array(count);
    let next = 0;
    const progress: number[] = [];
    const transfer = rt().readTo(
      x,
      async (piece, offset) => {
        expect(offset).toBe(next);
        await Promise.resolve();
        seen.set(piece, offset);
        next += piece.length;
      },
      {
        windowBytes: 16 * KiB,
        onProgress: (done, total) => {
          expect(total).toBe(count);
          progress.push(done);
        },
      },
    );
    // Whoever reads it owns it too.
    x.dispose();
    await transfer;
    expect(Buffer.compare(seen, bytes)).toBe(0);
    expect(progress.at(-1)).toBe(count);
    expect(progress).toHaveLength(Math.ceil(count / (4 * KiB)));
    expect(transfer.status).toBe("done");
  });

  test("into a stream, of a view that no copy can take, and into another tensor", async () => {
    const x = rt().tensor(counting(30_000), { shape: [100, 300], dtype: "float32", label: "x" });
    const chunks: Uint8Array[] = [];
    const sink = new WritableStream<Uint8Array>({ write: (chunk) => void chunks.push(chunk) });
    await rt().readTo(x.transpose(), sink, { windowBytes: 8 * KiB });
    const turned = rt().copy(x.transpose());
    const expected = await turned.data();
    expect(Buffer.compare(Buffer.concat(chunks), Buffer.from(expected.buffer))).toBe(0);
    const y = rt().empty([100, 300], { dtype: "float32", label: "y" });
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    await Promise.all([rt().readTo(x, writable), rt().writeFrom(y, readable)]);
    expect(await y.data()).toEqual(counting(30_000));
    for (const tensor of [x, y, turned]) tensor.dispose();
  });

  test("whatever fails, fails it, and leaves nothing", async () => {
    const own = await openRuntime();
    const x = own.tensor(counting(50_000), { shape: [50_000], dtype: "float32", label: "x" });
    const error = new Error("consumer's own");
    const fail = (_: Uint8Array, offset: number): void => {
      if (offset > 0) throw error;
    };
    const failing = own.readTo(x, fail, { windowBytes: 16 * KiB });
    await expect(failing).rejects.toBe(error);
    expect(failing.status).toBe("failed");
    let aborted: unknown;
    const broken = new WritableStream<Uint8Array>({
      write: () => {
        throw error;
      },
      abort: (reason) => void (aborted = reason),
    });
    await expect(own.readTo(x, broken)).rejects.toBe(error);
    const stopped = new WritableStream<Uint8Array>({ abort: (reason) => void (aborted = reason) });
    const signal = AbortSignal.abort(error);
    await expect(own.readTo(x, stopped, { signal })).rejects.toBe(error);
    expect(aborted).toBe(error);
    expect(await codeOfRejection(own.readTo(x, fail, { windowBytes: 100 }))).toBe(
      "INVALID_ARGUMENT",
    );
    await own.pinned.settled();
    expect(own.stats().pinned.liveBytes).toBe(0);
    x.dispose();
    expect(own.live()).toEqual([]);
    await own.dispose();
  });
});

test("writeFrom is stopped between two pieces, and says how far it came", async () => {
  const own = await openRuntime();
  const x = own.zeros([100_000], { dtype: "uint8", label: "x" });
  const { opened, open } = gate();
  const transfer: Transfer<void> = own.writeFrom(
    x,
    async (piece, offset) => {
      piece.fill(1);
      if (offset === 8 * KiB) await opened;
    },
    { windowBytes: 16 * KiB },
  );
  expect([transfer.status, transfer.direction, transfer.byteLength]).toEqual([
    "waiting",
    "upload",
    100_000,
  ]);
  await until(() => transfer.submittedBytes === 8 * KiB);
  expect(transfer.status).toBe("running");
  expect(transfer.cancel()).toBe(true);
  open();
  const error = await rejected(transfer);
  expect(error).toMatchObject({ code: "CANCELLED", label: "x" });
  // The piece that was being filled goes nowhere.
  expect(transfer.submittedBytes).toBe(8 * KiB);
  const data = await x.data();
  expect([data[0], data[8 * KiB - 1], data[8 * KiB], data.at(-1)]).toEqual([1, 1, 0, 0]);
  // Nobody has to wait for what was cancelled.
  const ignored = own.writeFrom(x, () => {}, { windowBytes: 16 * KiB });
  ignored.cancel();
  await until(() => ignored.status === "cancelled");
  await own.pinned.settled();
  expect(own.stats().pinned.liveBytes).toBe(0);
  x.dispose();
  await own.dispose();
});

test("a half that travels as its bits is a number under another dtype", async () => {
  const own: Runtime = rt();
  const bits = Uint16Array.from([0.5, -2, 1000], numberToFloat16);
  const x = own.tensor(bits, { shape: [3], dtype: "float16", label: "x" });
  expect(await own.read(x)).toEqual(bits);
  expect(await own.read(x, { dtype: "float32" })).toEqual(new Float32Array([0.5, -2, 1000]));
  x.dispose();
});
