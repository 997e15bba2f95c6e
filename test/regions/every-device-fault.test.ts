/**
 * A device that fails at every call that can fail, one at a time: no memory to map, no buffer, a mapping
 * that fails, a loss. Nothing leaks, the statistics add up, and where the device lives on, so does the
 * runtime; after a loss it goes on with another.
 */

import { describe, expect, test } from "vitest";

import { MoorageError } from "../../src/index.ts";
import type { Runtime } from "../../src/index.ts";
import type { FaultKind } from "../simulated/faults.ts";
import { openSimulated, simulatedCopies } from "../simulated/open-simulated.ts";
import type { SimulatedDevice } from "../simulated/simulated-device.ts";

interface Opened {
  readonly rt: Runtime;
  readonly device: SimulatedDevice;
}

async function open(): Promise<Opened> {
  const quiet = { onError: () => {}, onLost: () => {} };
  const { runtime: rt, device } = await openSimulated(quiet);
  return { rt, device };
}

/** Bytes through pinned memory, to the device and back; whatever fails, what was made is disposed. */
async function roundTrip({ rt }: Opened, value: number): Promise<void> {
  const staging = rt.pinned.tensor({ shape: [256], dtype: "float32", label: "staging" });
  try {
    staging.data.fill(value);
    const x = rt.upload(staging);
    try {
      await staging.mapped();
      staging.data.fill(-1);
      expect(new Set(await x.data())).toEqual(new Set([value]));
      const retained = staging.retain();
      staging.dispose();
      const second = rt.upload(retained);
      retained.dispose();
      second.dispose();
    } finally {
      x.dispose();
    }
  } finally {
    staging.dispose();
  }
}

const thousand = { shape: [1000], dtype: "uint32" } as const;

/** Every way to make, move and read device memory. */
async function everything({ rt }: Opened, value: number): Promise<void> {
  const made: Disposable[] = [];
  const own = <T extends Disposable>(one: T): T => {
    made.push(one);
    return one;
  };
  const expectValue = (data: ArrayLike<number>): void =>
    expect(new Set(Array.from(data))).toEqual(new Set([value]));
  try {
    const x = own(rt.tensor(new Uint32Array(1000).fill(value), thousand));
    own(rt.empty([400_000], { dtype: "uint32", label: "another slab" }));
    const grown = own(rt.growable({ rowShape: [100], dtype: "uint32" }));
    for (let row = 0; row < 4; row++) grown.append(new Uint32Array(100).fill(value));
    const copy = own(rt.copy(x));
    const produced = own(rt.produce(thousand, (elements) => elements.fill(value)));
    await rt.scope(async (s) => {
      const scratch = s.copy(copy);
      s.array("uint32", 1000).fill(value);
      await Promise.resolve();
      own(s.keep(scratch));
      expectValue(await s.scope(async (inner) => await inner.copy(scratch).data()));
    });
    x.dispose();
    await rt.compact();
    rt.trim();
    for (const data of await rt.readAll([copy, produced, grown.view()])) expectValue(data);
    expectValue(own(await copy.lease()).data);
    await rt.writeFrom(produced, (piece) => piece.fill(0));
    expect(new Set(await produced.data())).toEqual(new Set([0]));
  } finally {
    for (const one of made.toReversed()) one[Symbol.dispose]();
  }
}

const scenarios = { "a round trip": roundTrip, everything } as const;

async function expectClean({ rt, device }: Opened): Promise<void> {
  await rt.sync();
  await rt.pinned.settled();
  const { pinned, deviceHeap, gpuBuffers } = rt.stats();
  for (const region of [pinned, deviceHeap]) {
    const { liveBytes, paddingBytes, deferredBytes, freeBytes, reservedBytes } = region;
    expect(liveBytes).toBe(0);
    expect(liveBytes + paddingBytes + deferredBytes + freeBytes).toBe(reservedBytes);
  }
  expect(device.liveBytes).toBe(gpuBuffers.liveBytes);
}

/** How often a call of the kind is made while all is well. */
async function callsOf(
  kind: FaultKind,
  run: (opened: Opened, value: number) => Promise<void>,
): Promise<number> {
  const opened = await open();
  const before = opened.device.faults.count(kind);
  await run(opened, 1);
  await expectClean(opened);
  const calls = opened.device.faults.count(kind) - before;
  await opened.rt.dispose();
  return calls;
}

async function expectMoorages(work: Promise<void>): Promise<void> {
  await work.catch((error: unknown) => expect(error).toBeInstanceOf(MoorageError));
}

describe.each(Object.entries(scenarios))("%s", (_, run) => {
  test.each(["mappedAtCreation", "createBuffer", "mapAsync"] as const)(
    "%s fails at each of its calls",
    async (kind) => {
      const calls = await callsOf(kind, run);
      expect(calls).toBeGreaterThan(0);
      for (let call = 1; call <= calls; call++) {
        const opened = await open();
        opened.device.faults.failAfter(kind, call);
        await expectMoorages(run(opened, 2));
        await expectClean(opened);
        opened.device.faults.clear();
        // The next round does not use what has failed.
        await run(opened, 3);
        await expectClean(opened);
        await opened.rt.dispose();
        expect(opened.device.buffers.size).toBe(0);
      }
    },
  );

  test("a loss at each call of all", async () => {
    const calls = await callsOf("loss", run);
    expect(calls).toBeGreaterThan(10);
    for (let call = 1; call <= calls; call++) {
      const opened = await open();
      opened.device.faults.failAfter("loss", call);
      await expectMoorages(run(opened, 4));
      const { pinned, deviceHeap } = opened.rt.stats();
      expect([pinned.liveBytes, deviceHeap.liveBytes], `call ${call}`).toEqual([0, 0]);
      // It may not have heard of it: then it is lost now.
      opened.device.lose("unknown", "at the end");
      await opened.rt.lost;
      const next = simulatedCopies();
      await opened.rt.restore(next.asDevice);
      await run({ rt: opened.rt, device: next }, 5);
      await expectClean({ rt: opened.rt, device: next });
      await opened.rt.dispose();
      expect([opened.device.buffers.size, next.buffers.size]).toEqual([0, 0]);
    }
  });
});
