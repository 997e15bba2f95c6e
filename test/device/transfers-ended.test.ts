/** What ends under a transfer: the device, the runtime, memory. Each of these once hung, leaked, or said something else. */

import type { MoorageError, RuntimeOptions } from "moorage";
import { KiB, MiB } from "moorage";
import { expect, test } from "vitest";

import { unlessAborted } from "../../src/device/transfer/transfer-control.ts";
import { openSimulated, simulatedCopies } from "../simulated/open-simulated.ts";
import type { SimulatedDevice } from "../simulated/simulated-device.ts";
import { codeOfRejection, rejected } from "../support/caught.ts";

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function complaintsOf(device: SimulatedDevice): string[] {
  const messages: string[] = [];
  device.asDevice.addEventListener("uncapturederror", ({ error }) => messages.push(error.message));
  return messages;
}

const floats = (count: number) => ({ shape: [count], dtype: "float32" }) as const;

test("a producer that waits for staging goes on with the next device", async () => {
  const { runtime, device } = await openSimulated({ onLost: () => {} });
  // More than may be on its way at once.
  const produced = Array.from({ length: 24 }, async () => {
    const made = await runtime.produceAsync(floats(MiB / 4), (to) => to.fill(1));
    made.dispose();
    return "made";
  });
  const outcomes = Promise.all(produced.map((made) => made.catch(({ code }) => code as string)));
  device.lose("unknown", "the test says so");
  await runtime.lost;
  await runtime.restore(simulatedCopies().asDevice);
  for (const outcome of await outcomes) expect(["made", "DEVICE_LOST"]).toContain(outcome);
  await runtime.dispose();
});

test("staging that nobody wrote into is given back, and keeps no runtime from its end", async () => {
  const { runtime } = await openSimulated({ budget: { deviceBytes: MiB } });
  const filled = runtime.tensor(new Float32Array(MiB / 4), floats(MiB / 4));
  const refused = runtime.produceAsync(floats(1000), (to) => to.fill(1));
  expect(await codeOfRejection(refused)).toBe("OUT_OF_MEMORY");
  await tick();
  await tick();
  expect(runtime.stats().pinned.liveBytes).toBe(0);
  filled.dispose();
  const late = runtime.produceAsync(floats(1000), (to) => to.fill(1));
  const disposed = runtime.dispose();
  await late.then(
    (made) => made.dispose(),
    ({ code }: MoorageError) => expect(code).toBe("RUNTIME_DISPOSED"),
  );
  await disposed;
  expect(runtime.stats().pinned.reservedBytes).toBe(0);
});

test("a read of several that finds no room for the last leaves no scratch of the first", async () => {
  const budget = { deviceBytes: MiB, pinnedBytes: 256 * KiB };
  const { runtime } = await openSimulated({ budget, slabBytes: 256 * KiB });
  const [small, large] = [16 * KiB, 100 * KiB].map((bytes) =>
    runtime.tensor(new Float32Array(bytes / 4), floats(bytes / 4)),
  );
  const rest = Array.from({ length: 6 }, () =>
    runtime.tensor(new Float32Array(32 * KiB), floats(32 * KiB)),
  );
  // Nothing of the pinned budget is left, and of the device's not enough.
  const pinned = runtime.pinned.tensor(floats(48 * KiB));
  expect(await codeOfRejection(runtime.readAll([small!, large!]))).toBe("OUT_OF_MEMORY");
  expect(runtime.stats().deviceArena.liveBytes).toBe(0);
  for (const tensor of [small!, large!, pinned, ...rest]) tensor.dispose();
  await runtime.dispose();
});

test("a lease that waits for another's memory is refused once that is lent: nobody would end the wait", async () => {
  const { runtime } = await openSimulated({ budget: { pinnedBytes: 64 * KiB } });
  const tensor = runtime.tensor(new Float32Array(12 * KiB), floats(12 * KiB));
  const first = tensor.lease();
  const second = tensor.lease();
  const lease = await first;
  expect(await codeOfRejection(second)).toBe("OUT_OF_MEMORY");
  lease.dispose();
  const third = await tensor.lease();
  third.dispose();
  tensor.dispose();
  await runtime.dispose();
});

test("a stream that is under way when the device is lost ends with it, and touches no other", async () => {
  for (const windowBytes of [16 * KiB, MiB]) {
    const { runtime, device } = await openSimulated({ onLost: () => {} });
    const complaints = complaintsOf(device);
    const target = runtime.tensor(new Float32Array(MiB / 4), floats(MiB / 4));
    let pieces = 0;
    const fill = async (piece: Uint8Array): Promise<void> => {
      piece.fill(1);
      if (++pieces === 3) device.lose("unknown", "the test says so");
      await tick();
    };
    const writing = runtime.writeFrom(target, fill, { windowBytes });
    const ended = rejected(Promise.resolve(writing));
    await runtime.lost;
    const next = simulatedCopies();
    complaints.push(...complaintsOf(next));
    await runtime.restore(next.asDevice);
    expect((await ended).code).toBe("DEVICE_LOST");
    expect(pieces).toBe(3);
    expect(complaints).toEqual([]);
    target.dispose();
    await runtime.dispose();
    expect([device.buffers.size, next.buffers.size]).toEqual([0, 0]);
  }
});

test("a read whose tensor went, with no memory to hold its rest, says that memory was short", async () => {
  const budget = { deviceBytes: MiB, pinnedBytes: 16 * KiB };
  const { runtime } = await openSimulated({ budget });
  const tensor = runtime.tensor(new Float32Array(192 * KiB), floats(192 * KiB));
  await tensor.data();
  const reading = tensor.data();
  tensor.dispose();
  expect(await codeOfRejection(reading)).toBe("OUT_OF_MEMORY");
  await runtime.dispose();
});

test("a lease of a disposed runtime makes no memory", async () => {
  const options: RuntimeOptions = { budget: { pinnedBytes: 4 * KiB }, onLeak: () => {} };
  const { runtime, device } = await openSimulated(options);
  const tensor = runtime.tensor(new Float32Array(4 * KiB), floats(4 * KiB));
  const disposed = runtime.dispose();
  const early = codeOfRejection(tensor.lease());
  await disposed;
  expect([await early, await codeOfRejection(tensor.lease())]).toEqual([
    "RUNTIME_DISPOSED",
    "RUNTIME_DISPOSED",
  ]);
  tensor.dispose();
  expect(device.buffers.size).toBe(0);
});

test("a window whose buffers the device had no memory for harms nothing else", async () => {
  const { runtime, device } = await openSimulated({ onError: () => {} });
  const complaints = complaintsOf(device);
  const target = runtime.tensor(new Float32Array(MiB), floats(MiB));
  const other = runtime.tensor(new Float32Array(4), floats(4));
  await runtime.sync();
  let pieces = 0;
  const fill = async (piece: Uint8Array): Promise<void> => {
    piece.fill(1);
    // The next buffer is there, as it seems, and its refusal is known before it is used.
    if (++pieces === 1) device.faults.failAfter("createBuffer", 1);
    await tick();
    runtime.write(other, Float32Array.of(pieces, 2, 3, 4));
  };
  const writing = runtime.writeFrom(target, fill, { windowBytes: 2 * MiB });
  expect(await codeOfRejection(Promise.resolve(writing))).toBe("OUT_OF_MEMORY");
  expect(await other.data()).toEqual(Float32Array.of(pieces, 2, 3, 4));
  expect(complaints.filter((message) => !message.includes("of 524288 bytes"))).toEqual([]);
  target.dispose();
  other.dispose();
  await runtime.dispose();
});

test("what a restore says is lost is not said again where a tensor ends unread", async () => {
  const told: string[] = [];
  const { runtime, device } = await openSimulated({
    onLost: () => {},
    onError: ({ message }) => told.push(message),
  });
  const tensor = runtime.tensor(new Float32Array(4), { ...floats(4), label: "gone" });
  await runtime.sync();
  device.lose("unknown", "the test says so");
  await runtime.lost;
  const result = await runtime.restore(simulatedCopies().asDevice);
  expect(result.lost).toEqual(["gone"]);
  tensor.dispose();
  await runtime.dispose();
  expect(told).toEqual([]);
});

test("a producer and a consumer that never come back are left behind, without the memory they had", async () => {
  const { runtime } = await openSimulated();
  const tensor = runtime.tensor(new Float32Array(MiB), floats(MiB));
  const hands: Uint8Array[] = [];
  const never = (piece: Uint8Array): Promise<void> => {
    hands.push(piece);
    return new Promise(() => {});
  };
  const options = { windowBytes: MiB };
  for (const transfer of [
    runtime.writeFrom(tensor, never, options),
    runtime.readTo(tensor, never, options),
  ]) {
    while (hands.length === 0) await tick();
    expect(transfer.cancel()).toBe(true);
    expect(await codeOfRejection(Promise.resolve(transfer))).toBe("CANCELLED");
    expect(hands.pop()!.length).toBe(0);
  }
  await runtime.sync();
  await tick();
  expect(runtime.stats().pinned.liveBytes).toBe(0);
  tensor.dispose();
  await runtime.dispose();
});

test("a restore does not wait for who takes his time with bytes of the lost device", async () => {
  const { runtime, device } = await openSimulated({ onLost: () => {} });
  const tensor = runtime.tensor(new Float32Array(MiB), floats(MiB));
  let release = (): void => {};
  const ended: Promise<string>[] = [];
  const taking = new Promise<void>((begun) => {
    const reading = runtime.readTo(tensor, () => {
      begun();
      return new Promise<void>((resolve) => {
        release = resolve;
      });
    });
    ended.push(codeOfRejection(Promise.resolve(reading)));
  });
  await taking;
  device.lose("unknown", "the test says so");
  await runtime.lost;
  const next = simulatedCopies();
  await runtime.restore(next.asDevice);
  release();
  expect(await ended.pop()).toBe("DEVICE_LOST");
  tensor.dispose();
  await runtime.dispose();
  expect([device.buffers.size, next.buffers.size]).toEqual([0, 0]);
});

test("work that fails of what has stopped it already is nobody's unhandled rejection", async () => {
  const reason = new Error("stopped");
  const work = Promise.reject(reason);
  const waiting = unlessAborted(AbortSignal.abort(reason), work);
  await expect(waiting).rejects.toBe(reason);
  // Vitest fails where one is left over.
  await tick();
});
