/** Buffers that are lent without a handle: counted, given back in any state, and gone with their device. */

import { describe, expect, test, vi } from "vitest";

import type { PinnedSlot } from "../../src/host/pinned/pinned-block.ts";
import type { PinnedPressure, PinnedSlots } from "../../src/host/pinned/pinned-slots.ts";
import { DeviceError, KiB, OutOfMemoryError, PinnedHeap } from "../../src/index.ts";
import { FakeSource } from "../regions/fake-mappable.ts";
import { caught, codeOf, codeOfRejection, rejected } from "../support/caught.ts";
import { expectBytes, kibibyte, open, settle } from "../support/plain-pinned.ts";
import type { Parts } from "../support/plain-pinned.ts";

function slotsOf({ heap }: Parts): PinnedSlots {
  return heap.slots;
}

/** What an upload does with a slot: hands it to the GPU, and has it mapped again. */
function send(slots: PinnedSlots, slot: PinnedSlot): Promise<void> {
  slot.buffer.unmap();
  slot.range = null;
  slot.state = "in-flight";
  slot.idle = false;
  return slots.mapSubmitted(slot);
}

describe("a slot that is lent", () => {
  test("is a pooled one, or a new one where it has a name", async () => {
    const parts = open();
    const slots = slotsOf(parts);
    expect(slots.lend(KiB, "upload")).toBeNull();
    const slot = slots.lend(1000, "upload", "named")!;
    expect(parts.heap.stats()).toMatchObject({ liveBytes: 1000, paddingBytes: 24, failedCount: 0 });
    expect([slot.state, slot.buffer.size, parts.source.createdCount]).toEqual(["mapped", KiB, 1]);
    await slots.takeBack(slot);
    expectBytes(parts, { free: KiB });
    expect(slots.lend(KiB, "readback")).toBeNull();
    expect(slots.lend(KiB, "upload")).toBe(slot);
    expectBytes(parts, { live: KiB });
    await slots.takeBack(slot);
  });

  test("is a block's, once it is back, and the other way round", async () => {
    const parts = open();
    const slots = slotsOf(parts);
    const slot = slots.lend(KiB, "upload", "a")!;
    await slots.takeBack(slot);
    const block = parts.heap.alloc(kibibyte);
    expect(block.slot).toBe(slot);
    parts.heap.free(block);
    expect(slots.lend(KiB, "upload")).toBe(slot);
    await slots.takeBack(slot);
    expect(parts.source.createdCount).toBe(1);
  });

  test("comes back when its device is done with it, and is deferred until then", async () => {
    const parts = open();
    const slots = slotsOf(parts);
    const slot = slots.lend(KiB, "upload", "a")!;
    parts.source.holdMappings();
    const mapping = send(slots, slot);
    expect(slots.mapSubmitted(slot)).toBe(mapping);
    const back = slots.takeBack(slot);
    expectBytes(parts, { deferred: KiB });
    let isBack = false;
    void back.then(() => (isBack = true));
    await settle();
    expect(isBack).toBe(false);
    parts.source.release();
    await back;
    expectBytes(parts, { free: KiB });
    expect([slot.state, slots.lend(KiB, "upload")]).toEqual(["mapped", slot]);
    await slots.takeBack(slot);
  });

  test("is destroyed where it is lost, and where its mapping fails", async () => {
    const parts = open();
    const slots = slotsOf(parts);
    const lost = slots.lend(KiB, "readback", "a")!;
    lost.state = "lost";
    await slots.takeBack(lost);
    expectBytes(parts, {});
    const failing = slots.lend(KiB, "upload", "b")!;
    parts.source.mapFailure = new Error("no");
    const mapping = send(slots, failing);
    const back = slots.takeBack(failing);
    expect(await codeOfRejection(mapping)).toBe("NOT_MAPPED");
    await back;
    expectBytes(parts, {});
  });

  test("is refused within the budget without a failure to count, and asks no program for memory", () => {
    const parts = open(2 * KiB);
    const slots = slotsOf(parts);
    const pressed = vi.fn();
    slots.onPressure = pressed;
    expect(slots.hasRoomFor(2 * KiB)).toBe(true);
    const one = slots.lend(KiB, "upload", "a")!;
    expect([slots.hasRoomFor(KiB), slots.hasRoomFor(KiB + 1)]).toEqual([true, false]);
    const other = slots.lend(KiB, "readback", "b")!;
    expect(slots.lend(KiB, "upload", "c")).toBeNull();
    expect([parts.heap.stats().failedCount, pressed.mock.calls.length]).toEqual([0, 0]);
    // What is pooled makes way.
    void slots.takeBack(other);
    const third = slots.lend(KiB, "upload", "c")!;
    expectBytes(parts, { live: 2 * KiB });
    for (const slot of [one, third]) void slots.takeBack(slot);
  });

  test("of a platform that breaks throws what it threw", () => {
    const parts = open();
    parts.source.refusal = new TypeError("broken");
    expect(codeOf(() => parts.heap.alloc(kibibyte))).toBe("OUT_OF_MEMORY");
    parts.source.refusal = new TypeError("broken");
    // For who only tries, what the platform refuses is no memory.
    expect(slotsOf(parts).lend(KiB, "upload", "a")).toBeNull();
    expect(parts.heap.stats()).toMatchObject({ failedCount: 1, reservedBytes: 0 });
  });

  test("is waited for by who closes, and by nobody once its device is lost", async () => {
    const parts = open();
    const slots = slotsOf(parts);
    const [a, b] = [slots.lend(KiB, "upload", "a")!, slots.lend(KiB, "upload", "b")!];
    let isSettled = false;
    const settled = parts.heap.settled().then(() => (isSettled = true));
    void slots.takeBack(a);
    await settle();
    expect(isSettled).toBe(false);
    parts.heap.lose();
    await settled;
    expectBytes(parts, {});
    // It comes late: everything about it is forgotten.
    await slots.takeBack(b);
    expectBytes(parts, {});
    expect(parts.heap.stats()).toMatchObject({ allocationCount: 2, freeCount: 2 });
    // Another device may have come.
    const next = slots.lend(KiB, "upload", "c")!;
    expectBytes(parts, { live: KiB });
    void slots.takeBack(next);
    expectBytes(parts, { free: KiB });
    // It is not the end: what is in flight comes back to be used again.
    const flying = slots.lend(KiB, "upload")!;
    void send(slots, flying);
    await slots.takeBack(flying);
    expectBytes(parts, { free: KiB });
  });

  test("in flight at the end is destroyed when it arrives", async () => {
    const parts = open();
    const slots = slotsOf(parts);
    const slot = slots.lend(KiB, "upload", "a")!;
    parts.source.holdMappings();
    send(slots, slot).catch(() => {});
    const back = slots.takeBack(slot);
    parts.heap.close();
    expectBytes(parts, { deferred: KiB });
    parts.source.release();
    await back;
    expectBytes(parts, {});
  });

  test("is seen by who watches the heap", () => {
    const source = new FakeSource();
    const heap = new PinnedHeap(source, { budgetBytes: 4 * KiB });
    const told: unknown[] = [];
    heap.observe({
      allocated: (owner, key, label, byteLength) =>
        told.push([owner === heap, key, label, byteLength]),
      freed: (owner, key) => told.push([owner === heap, key]),
      endedAll: () => told.push("all"),
    });
    const slot = heap.slots.lend(1000, "readback", "read x")!;
    void heap.slots.takeBack(slot);
    const again = heap.slots.lend(1000, "readback")!;
    void heap.slots.takeBack(again);
    expect(told).toEqual([
      [true, slot, "read x", 1000],
      [true, slot],
      [true, slot, "readback", 1000],
      [true, slot],
    ]);
    heap.observe(null);
    void heap.slots.takeBack(heap.slots.lend(1000, "readback")!);
    expect(told).toHaveLength(4);
  });
});

describe("memory that is short", () => {
  function tight(): Parts & { readonly told: PinnedPressure[] } {
    const source = new FakeSource();
    const heap = new PinnedHeap(source, { budgetBytes: 4 * KiB, softBytes: 2 * KiB });
    const told: PinnedPressure[] = [];
    heap.slots.onPressure = (event) => told.push(event);
    return { source, heap, told };
  }

  test("is told of beyond the soft budget, with what is left, and what is pooled goes", () => {
    const parts = tight();
    const { heap, told } = parts;
    expect([heap.slots.hasRoomFor(2 * KiB), heap.slots.hasRoomFor(3 * KiB)]).toEqual([true, false]);
    const first = heap.alloc({ byteLength: 2 * KiB });
    expect(told).toEqual([]);
    const pooled = heap.alloc({ byteLength: KiB });
    expect(told.splice(0)).toEqual([
      {
        requestedBytes: KiB,
        availableBytes: 2 * KiB,
        reservedBytes: 2 * KiB,
        budgetBytes: 4 * KiB,
        level: "soft",
      },
    ]);
    heap.free(pooled);
    expectBytes(parts, { live: 2 * KiB, free: KiB });
    // Another size: what is pooled is worth less than staying below the soft budget.
    const second = heap.alloc({ byteLength: 512 });
    expect(told.splice(0)).toMatchObject([{ availableBytes: KiB, level: "soft" }]);
    expectBytes(parts, { live: 2 * KiB + 512 });
    for (const block of [first, second]) heap.free(block);
  });

  test("is told of as refused from the first byte too many, and what a listener frees serves", () => {
    const parts = tight();
    const { heap, told } = parts;
    const blocks = [1, 2].map(() => heap.alloc({ byteLength: 2 * KiB }));
    expect(told.splice(0)).toMatchObject([{ level: "soft" }]);
    expect(codeOf(() => heap.alloc({ byteLength: 256 }))).toBe("OUT_OF_MEMORY");
    expect(told.splice(0)).toMatchObject([{ level: "refused", availableBytes: 0 }]);
    heap.slots.onPressure = (event) => {
      told.push(event);
      heap.free(blocks.pop()!);
    };
    const third = heap.alloc({ byteLength: KiB });
    expect(told).toMatchObject([{ level: "refused", requestedBytes: KiB }]);
    for (const block of [third, ...blocks]) heap.free(block);
  });

  test("is no news to who only tries, and news again afterwards", () => {
    const { heap, told } = tight();
    const { slots } = heap;
    const tried = slots.trying(() => heap.alloc({ byteLength: 3 * KiB }));
    expect(told).toEqual([]);
    expect(() =>
      slots.trying(() => {
        slots.trying(() => {});
        heap.alloc({ byteLength: 2 * KiB });
      }),
    ).toThrow();
    expect(told).toEqual([]);
    heap.free(heap.alloc({ byteLength: KiB }));
    expect(told).toMatchObject([{ level: "soft" }]);
    heap.free(tried);
    expect(slots.hasRoomFor(2 * KiB + 1)).toBe(false);
  });

  test("is waited for by who closes until the last that is lent is back, and no longer", async () => {
    const parts = open();
    const { slots } = parts.heap;
    const [a, b] = [slots.lend(KiB, "upload", "a")!, slots.lend(KiB, "upload", "b")!];
    const events: string[] = [];
    void parts.heap.settled().then(() => events.push("settled"));
    await slots.takeBack(a);
    await settle();
    expect(events).toEqual([]);
    // Twice is once.
    await slots.takeBack(a);
    await settle();
    expect(events).toEqual([]);
    await slots.takeBack(b);
    await settle();
    expect(events).toEqual(["settled"]);
    expectBytes(parts, { free: 2 * KiB });
  });

  test("of a platform that breaks in a way of Moorage's own is told as it is", () => {
    const parts = open();
    parts.source.refusal = new DeviceError("DEVICE_LOST", "gone");
    expect(codeOf(() => parts.heap.slots.lend(KiB, "upload", "a"))).toBe("DEVICE_LOST");
    expect(parts.heap.stats()).toMatchObject({ failedCount: 0, reservedBytes: 0 });
  });

  test("that the platform has taken away is an error that says so, with the platform's as its cause", () => {
    const { source, heap } = open();
    const block = heap.alloc(kibibyte);
    const memory = block.memory();
    expect(block.memory()).toBe(memory);
    // A device that is lost detaches it first.
    structuredClone(memory, { transfer: [memory] });
    const error = caught(() => block.memory());
    expect(error).toMatchObject({ code: "NOT_MAPPED", label: "k" });
    expect(error.cause).toBeInstanceOf(Error);
    expect(block.state).toBe("lost");
    heap.free(block);
    expect(source.alive.size).toBe(0);
  });

  test("that turned out not to be there is told by the mapping, which is not asked for", async () => {
    const { source, heap } = open();
    for (const isSubmitted of [true, false]) {
      const slot = heap.slots.lend(KiB, "upload", "a")!;
      const problem = new OutOfMemoryError("none", { requestedBytes: KiB, availableBytes: 0 });
      const asked = vi.spyOn(slot.buffer, "mapAsync");
      slot.buffer.unmap();
      slot.state = "in-flight";
      slot.idle = false;
      Object.assign(slot.buffer, { failure: problem });
      const mapping = isSubmitted ? heap.slots.mapSubmitted(slot) : heap.slots.map(slot, true);
      expect(await rejected(mapping)).toBe(problem);
      expect([asked.mock.calls, slot.state, slot.mapping]).toEqual([[], "lost", null]);
      await heap.slots.takeBack(slot);
      expect(source.alive.size).toBe(0);
    }
  });
});

describe("what is on its way", () => {
  test("is waited for where there is as much of it as is wanted, and none is there", async () => {
    const parts = open();
    const slots = slotsOf(parts);
    const lent = [1, 2].map(() => slots.lend(KiB, "upload", "a")!);
    parts.source.holdMappings();
    for (const slot of lent) {
      void send(slots, slot);
      void slots.takeBack(slot);
    }
    expect(slots.arriving(KiB, "upload", 3)).toBeNull();
    expect(slots.arriving(KiB, "readback", 1)).toBeNull();
    expect(slots.arriving(8 * KiB, "upload", 1)).toBeNull();
    const arriving = slots.arriving(1000, "upload", 2);
    expect(arriving).toBeInstanceOf(Promise);
    parts.source.release();
    await arriving;
    await settle();
    // It is there now, also where more is on its way.
    expect(slots.arriving(KiB, "upload", 1)).toBeNull();
    const again = slots.lend(KiB, "upload")!;
    parts.source.holdMappings();
    void send(slots, again);
    void slots.takeBack(again);
    expect(slots.arriving(KiB, "upload", 1)).toBeNull();
    const last = slots.lend(KiB, "upload")!;
    expect(slots.arriving(KiB, "upload", 1)).toBeInstanceOf(Promise);
    void slots.takeBack(last);
    parts.source.release();
    await settle();
    expect(slots.nextBack()).toBeNull();
  });

  test("is asked for by who waits for the next", async () => {
    const parts = open();
    const slots = slotsOf(parts);
    const asked = vi.spyOn(parts.source, "whenSubmitted");
    const slot = slots.lend(KiB, "upload", "a")!;
    void send(slots, slot);
    void slots.takeBack(slot);
    expect(asked.mock.calls).toEqual([[false]]);
    await slots.nextBack();
    expect(asked.mock.calls).toEqual([[false], [true]]);
    expectBytes(parts, { free: KiB });
  });

  test("is told to who keeps an eye on what is kept", () => {
    const parts = open();
    const slots = slotsOf(parts);
    const kept: number[] = [];
    slots.onPooled = () => kept.push(slots.pooledBytes);
    const [a, b] = [slots.lend(KiB, "upload", "a")!, slots.lend(2 * KiB, "upload", "b")!];
    void slots.takeBack(a);
    void slots.takeBack(b);
    expect(kept).toEqual([KiB, 3 * KiB]);
  });
});

test.each([
  [1, 256],
  [256, 256],
  [257, 512],
  [2048, 2048],
  [2049, 2560],
  [2560, 2560],
  [2561, 3072],
  [4096, 4096],
  [2 ** 20 + 1, 1.25 * 2 ** 20],
])("a request for %d bytes has a buffer of %d", (byteLength, size) => {
  const { heap } = open(2 ** 24);
  const block = heap.alloc({ byteLength });
  expect(block.slot.buffer.size).toBe(size);
  heap.free(block);
});
