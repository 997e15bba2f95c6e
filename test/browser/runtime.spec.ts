/** What a browser's platform does differently from Node's: how the end of work is told, and mapped reads. */

import { expect, test } from "@playwright/test";
import { fileURLToPath } from "node:url";

import type { createRuntime } from "../../src/index.ts";
import { openEmptyPage } from "../support/demo-page.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

interface Library {
  readonly createRuntime: typeof createRuntime;
}

test("a runtime that is disposed at once waits for its reads", async ({ page }) => {
  await openEmptyPage(page);
  const result = await page.evaluate(async (folder) => {
    const { createRuntime: create } = (await import(`/@fs${folder}src/index.ts`)) as Library;
    const rt = await create();
    const options = { dtype: "float32" } as const;
    const a = rt.full([200, 200], 0.5, options);
    let b = rt.matmul(a, a);
    for (let round = 0; round < 10; round++) {
      const next = rt.multiply(rt.matmul(a, b), 0.001);
      b.dispose();
      b = next;
    }
    const large = rt.full([2 ** 20 * 3], 7, options);
    const readings = [b.data(), large.data()];
    for (const tensor of [a, b, large]) tensor.dispose();
    // Nothing was waited for before: no staging is there for a fence.
    await rt.dispose();
    const [product, sevens] = await Promise.all(readings);
    return {
      isFinite: Number.isFinite(product![0]),
      count: product!.length,
      sevens: sevens!.every((value) => value === 7),
    };
  }, root);
  expect(result).toEqual({ isFinite: true, count: 40_000, sevens: true });
});

test("sync() settles after the work, and tells of a lost device in the library's words", async ({
  page,
}) => {
  await openEmptyPage(page);
  const codes = await page.evaluate(async (folder) => {
    const { createRuntime: create } = (await import(`/@fs${folder}src/index.ts`)) as Library;
    const found: unknown[] = [];
    for (const when of ["before", "during", "after"]) {
      const rt = await create({ onLost: () => {}, onLeak: () => {} });
      const a = rt.full([256, 256], 0.5, { dtype: "float32" });
      if (when === "after") {
        await rt.sync();
        await rt.sync();
      }
      for (let round = 0; round < 4; round++) rt.matmul(a, a).dispose();
      if (when === "before") rt.device.destroy();
      const syncing = rt.sync();
      if (when === "during") rt.device.destroy();
      if (when === "after") {
        await syncing;
        found.push("done");
        rt.device.destroy();
        await rt.lost;
      }
      try {
        await (when === "after" ? rt.sync() : syncing);
        // The platform may say that all of it is done before it says that the device is gone.
        found.push("DEVICE_LOST");
      } catch (error) {
        found.push((error as { code?: unknown }).code ?? String(error));
      }
      await rt.dispose();
    }
    return found;
  }, root);
  expect(codes).toEqual(["DEVICE_LOST", "DEVICE_LOST", "done", "DEVICE_LOST"]);
});

test("large reads, produced tensors and windows give what they were given", async ({ page }) => {
  await openEmptyPage(page);
  const result = await page.evaluate(async (folder) => {
    const { createRuntime: create } = (await import(`/@fs${folder}src/index.ts`)) as Library;
    const rt = await create();
    const count = 2 ** 20 * 5 + 3;
    const options = { shape: [count], dtype: "float32", label: "x" } as const;
    const x = rt.empty([count], options);
    await rt.writeFrom(x, (piece, byteOffset) => {
      const elements = new Float32Array(piece.buffer, piece.byteOffset, piece.length / 4);
      for (let index = 0; index < elements.length; index++)
        elements[index] = (byteOffset / 4 + index) % 1021;
    });
    const reading = x.data();
    // The read shows what was there when it was asked for.
    rt.fill(x, -1);
    const before = await reading;
    const after = await x.data();
    let right = 0;
    for (let index = 0; index < count; index++)
      if (before[index] === index % 1021 && after[index] === -1) right++;
    let last = 0;
    for (let round = 0; round < 40; round++) {
      const y = await rt.produceAsync({ shape: [2 ** 18], dtype: "float32" }, (elements) =>
        elements.fill(round),
      );
      if (round === 39) last = (await y.data())[2 ** 18 - 1]!;
      y.dispose();
    }
    x.dispose();
    const { pinned } = rt.stats();
    await rt.dispose();
    return { right: right === count, last, liveBytes: pinned.liveBytes };
  }, root);
  expect(result).toEqual({ right: true, last: 39, liveBytes: 0 });
});
