/** Files and streams into and out of pinned memory, and what must not happen meanwhile. */

import { mkdtemp, open as openFile, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import {
  KiB,
  MiB,
  readIntoPinned,
  streamFromPinned,
  streamIntoPinned,
  writeFromPinned,
} from "../../src/index.ts";
import type { ByteSource, PinnedTensor } from "../../src/index.ts";
import { pattern } from "../regions/subject.ts";
import { codeOf, codeOfRejection } from "../support/caught.ts";
import { open } from "../support/plain-pinned.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "moorage-io-"));
});
afterAll(async () => await rm(folder, { recursive: true }));

const bytesOf = (
  count: number,
  budgetBytes = 32 * MiB,
): { tensor: PinnedTensor<"uint8">; parts: ReturnType<typeof open> } => {
  const parts = open(budgetBytes);
  return { parts, tensor: parts.heap.tensor({ shape: [count], dtype: "uint8", label: "file" }) };
};

describe("files", () => {
  test.each([1, 4095, 70_000, 9 * MiB])("%d bytes go out and come back", async (count) => {
    const { tensor } = bytesOf(count);
    const path = join(folder, `round-${count}`);
    tensor.data.set(pattern(count, 3));
    const file = await openFile(path, "w+");
    try {
      expect(await writeFromPinned(tensor, file, { position: 5 })).toBe(count);
      tensor.data.fill(0);
      expect(await readIntoPinned(tensor, file, { position: 5 })).toBe(count);
      expect(Buffer.compare(tensor.data, pattern(count, 3))).toBe(0);
      expect((await readFile(path)).length).toBe(count + 5);
    } finally {
      await file.close();
      tensor.dispose();
    }
  });

  test("a file that ends early fills what there is", async () => {
    const path = join(folder, "short");
    await writeFile(path, pattern(100, 1));
    const { tensor } = bytesOf(500);
    tensor.data.fill(9);
    const file = await openFile(path);
    expect(await readIntoPinned(tensor, file)).toBe(100);
    await file.close();
    expect([...tensor.data.subarray(98, 102)]).toEqual([...pattern(100, 1).subarray(98), 9, 9]);
    tensor.dispose();
  });

  test("while a read is under way, neither a free nor the GPU gets the memory", async () => {
    const { tensor, parts } = bytesOf(4 * KiB);
    let finish!: (result: { bytesRead: number }) => void;
    const slow: ByteSource = { read: () => new Promise((resolve) => (finish = resolve)) };
    const reading = readIntoPinned(tensor, slow);
    expect(codeOf(() => tensor.dispose())).toBe("IN_USE");
    expect(codeOf(() => parts.heap.free(tensor.block))).toBe("IN_USE");
    expect(codeOf(() => tensor.block.unmap())).toBe("IN_USE");
    let isSettled = false;
    const settled = parts.heap.settled().then(() => (isSettled = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(isSettled).toBe(false);
    finish({ bytesRead: 4 * KiB });
    expect(await reading).toBe(4 * KiB);
    await settled;
    expect(tensor.data.length).toBe(4 * KiB);
    tensor.dispose();
    expect(parts.heap.stats().liveBytes).toBe(0);
  });

  test("a source that fails, or an abort, lets go of the memory", async () => {
    const { tensor } = bytesOf(16 * MiB);
    const failing: ByteSource = { read: () => Promise.reject(new Error("the disk is gone")) };
    await expect(readIntoPinned(tensor, failing)).rejects.toThrow("the disk is gone");
    const controller = new AbortController();
    const endless: ByteSource = {
      read: (_, __, length) => {
        controller.abort(new Error("enough"));
        return Promise.resolve({ bytesRead: length });
      },
    };
    const { signal } = controller;
    await expect(readIntoPinned(tensor, endless, { signal })).rejects.toThrow("enough");
    tensor.dispose();
  });
});

describe("streams", () => {
  const chunks = (...sizes: number[]): ReadableStream<Uint8Array> =>
    new ReadableStream({
      start(controller) {
        for (const [seed, size] of sizes.entries()) controller.enqueue(pattern(size, seed));
        controller.close();
      },
    });

  test("in: chunks one behind the other", async () => {
    const { tensor } = bytesOf(1000);
    expect(await streamIntoPinned(tensor, chunks(100, 1, 800))).toBe(901);
    expect([...tensor.data.subarray(101, 110)]).toEqual([...pattern(9, 2)]);
    tensor.dispose();
  });

  test("more than there is room for is an error, and the stream is cancelled", async () => {
    const { tensor } = bytesOf(1000);
    let reason: unknown;
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(pattern(300, 1)),
      cancel: (why) => void (reason = why),
    });
    expect(await codeOfRejection(streamIntoPinned(tensor, endless))).toBe("INVALID_ARGUMENT");
    expect(reason).toMatchObject({ code: "INVALID_ARGUMENT" });
    tensor.dispose();
  });

  test("out: every byte once, held until the end", async () => {
    const { tensor } = bytesOf(150_000);
    tensor.data.set(pattern(150_000, 8));
    const reader = streamFromPinned(tensor).getReader();
    const parts: Uint8Array[] = [];
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (parts.length < 2) expect(codeOf(() => tensor.dispose())).toBe("IN_USE");
      parts.push(part.value);
    }
    expect(Buffer.compare(Buffer.concat(parts), pattern(150_000, 8))).toBe(0);
    tensor.dispose();
  });

  test("out, and cancelled: the memory is let go", async () => {
    const { tensor } = bytesOf(150_000);
    const stream = streamFromPinned(tensor);
    expect(codeOf(() => tensor.dispose())).toBe("IN_USE");
    await stream.cancel();
    tensor.dispose();
  });
});

test("withPinned holds the memory to the end of its promise; isPinned tells what never moves", async () => {
  const { tensor, parts } = bytesOf(64);
  const other = open();
  expect([parts.heap.isPinned(tensor), other.heap.isPinned(tensor)]).toEqual([true, false]);
  let finish!: () => void;
  const done = parts.heap.withPinned(tensor, async (bytes) => {
    await new Promise<void>((resolve) => (finish = resolve));
    return bytes.length;
  });
  expect(codeOf(() => tensor.dispose())).toBe("IN_USE");
  finish();
  expect(await done).toBe(64);
  const second = tensor.retain();
  tensor.dispose();
  expect([parts.heap.isPinned(tensor), parts.heap.isPinned(second)]).toEqual([false, true]);
  second.dispose();
});
