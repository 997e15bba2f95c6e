import { describe, expect, test } from "vitest";

import { KiB } from "../../src/index.ts";
import { caught, codeOf, codeOfRejection } from "../support/caught.ts";
import { expectBytes, kibibyte, open, settle } from "../support/plain-pinned.ts";

describe("the state machine", () => {
  test("mapped, in flight, mapping, mapped, and back to the pool", async () => {
    const parts = open();
    const { heap, source } = parts;
    const tensor = heap.tensor({ shape: [256], dtype: "float32", label: "batch" });
    const array = tensor.data;
    expect([tensor.state, array.length]).toEqual(["mapped", 256]);
    expect(tensor.data).toBe(array);
    array.fill(5);
    tensor.block.unmap();
    expect([tensor.state, array.length]).toEqual(["in-flight", 0]);
    source.holdMappings();
    const [first, second] = [tensor.mapped(), tensor.mapped()];
    await settle();
    expect(tensor.state).toBe("mapping");
    expect(codeOf(() => tensor.data)).toBe("NOT_MAPPED");
    source.release();
    expect(await Promise.all([first, second])).toEqual([tensor, tensor]);
    expect([tensor.state, tensor.data[255]]).toEqual(["mapped", 5]);
    tensor.dispose();
    expect(tensor.state).toBe("disposed");
    expectBytes(parts, { free: KiB });
  });

  test("access outside mapped names the tensor, its state and what to await", () => {
    const { heap } = open();
    const tensor = heap.tensor({ shape: [4], dtype: "int32", label: "batch" });
    tensor.block.unmap();
    const error = caught(() => tensor.data);
    expect(error).toMatchObject({ code: "NOT_MAPPED", label: "batch" });
    for (const part of ["batch", "in-flight", "mapped()"]) expect(error.message).toContain(part);
    expect(codeOf(() => tensor.block.unmap())).toBe("NOT_MAPPED");
  });

  test("a realloc in flight is refused, and leaks nothing", () => {
    const parts = open();
    const block = parts.heap.alloc(kibibyte);
    block.unmap();
    expect(codeOf(() => parts.heap.realloc(block, 2 * KiB))).toBe("NOT_MAPPED");
    expect(block.isAlive).toBe(true);
    expectBytes(parts, { live: KiB, free: 2 * KiB });
  });

  test("a readback block that nothing was copied into needs no wait", () => {
    const parts = open();
    const block = parts.heap.alloc({ ...kibibyte, direction: "readback" });
    expect(block.state).toBe("in-flight");
    parts.heap.free(block);
    expectBytes(parts, { free: KiB });
    parts.heap.alloc({ ...kibibyte, direction: "readback" }).receive();
    expect(parts.source.createdCount).toBe(1);
  });
});

describe("owners", () => {
  test("the memory lives until the last of them is disposed, each once", () => {
    const parts = open();
    const first = parts.heap.tensor({ shape: [256], dtype: "float32", label: "shared" });
    first.data.fill(7);
    const second = first.retain();
    first.dispose();
    first.dispose();
    expect(second.data[9]).toBe(7);
    for (const use of [() => first.data, () => first.retain(), () => first.block])
      expect(caught(use)).toMatchObject({ code: "USE_AFTER_DISPOSE", label: "shared" });
    expectBytes(parts, { live: KiB });
    second.dispose();
    expectBytes(parts, { free: KiB });
    expect(codeOf(() => second.data)).toBe("USE_AFTER_DISPOSE");
  });

  test("a disposed tensor cannot wait, nor reach the heir of its memory", async () => {
    const { heap, source } = open();
    const old = heap.tensor({ shape: [256], dtype: "float32", label: "old" });
    old.dispose();
    const heir = heap.tensor({ shape: [256], dtype: "float32", label: "heir" });
    expect(source.createdCount).toBe(1);
    expect(codeOf(() => old.data)).toBe("USE_AFTER_DISPOSE");
    expect(await codeOfRejection(old.mapped())).toBe("USE_AFTER_DISPOSE");
    old.dispose();
    expect(heir.state).toBe("mapped");
  });
});

describe("in flight", () => {
  test.each([
    ["in flight", async () => {}],
    ["mapping", settle],
  ])("a block disposed while %s is deferred, then pooled, mapped", async (_, wait) => {
    const parts = open();
    const { heap, source } = parts;
    source.holdMappings();
    const block = heap.alloc(kibibyte);
    block.unmap();
    const mapping = block.map();
    await wait();
    heap.free(block);
    expectBytes(parts, { deferred: KiB });
    // Its memory is not handed out yet.
    const other = heap.alloc(kibibyte);
    expect(source.createdCount).toBe(2);
    expectBytes(parts, { live: KiB, deferred: KiB });
    source.release();
    await mapping;
    await heap.settled();
    expectBytes(parts, { live: KiB, free: KiB });
    const heir = heap.alloc(kibibyte);
    expect(source.createdCount).toBe(2);
    expect([other.state, heir.state]).toEqual(["mapped", "mapped"]);
    expect(heir.memory().byteLength).toBe(KiB);
  });

  test("alloc never waits, and allocAsync waits for what was disposed in flight", async () => {
    const { heap, source } = open(KiB);
    source.holdMappings();
    const block = heap.alloc(kibibyte);
    // Nothing will come back by itself: waiting would be for ever.
    expect(await codeOfRejection(heap.allocAsync(kibibyte))).toBe("OUT_OF_MEMORY");
    block.unmap();
    heap.free(block);
    expect(codeOf(() => heap.alloc(kibibyte))).toBe("OUT_OF_MEMORY");
    let isGiven = false;
    const waiting = heap.allocAsync(kibibyte).then((given) => {
      isGiven = true;
      return given;
    });
    await settle();
    expect(isGiven).toBe(false);
    source.release();
    expect((await waiting).state).toBe("mapped");
    expect(source.createdCount).toBe(1);
    // Two were refused; what was given after a wait was not.
    expect(heap.stats().failedCount).toBe(2);
  });
});

describe("the pool", () => {
  test("serves every size of a class, by direction, without new buffers", () => {
    const { heap, source } = open();
    for (let round = 0; round < 1000; round++)
      heap.free(heap.alloc({ byteLength: 1025 + (round % 256), label: "round" }));
    expect(source.createdCount).toBe(1);
    heap.free(heap.alloc({ byteLength: 1100, direction: "readback" }));
    expect(source.createdCount).toBe(2);
  });

  test("a class takes at most a quarter more than was asked", () => {
    const { heap } = open(2 ** 40);
    for (let size = 1024; size < 9000; size += 37) {
      const block = heap.alloc({ byteLength: size });
      expect(block.buffer.size % 256).toBe(0);
      expect(block.buffer.size).toBeGreaterThanOrEqual(size);
      expect(block.buffer.size).toBeLessThanOrEqual(size * 1.25);
    }
  });

  test("trim keeps what it is told to, and the pool makes way within the budget", () => {
    const parts = open(4 * KiB);
    const { heap, source } = parts;
    const blocks = [0, 1, 2, 3].map(() => heap.alloc(kibibyte));
    for (const block of blocks) heap.free(block);
    heap.trim(3 * KiB);
    expectBytes(parts, { free: 3 * KiB });
    heap.alloc({ byteLength: 2 * KiB, label: "big" });
    expectBytes(parts, { live: 2 * KiB, free: 2 * KiB });
    heap.trim(0);
    expectBytes(parts, { live: 2 * KiB });
    expect(source.createdCount).toBe(5);
  });
});
