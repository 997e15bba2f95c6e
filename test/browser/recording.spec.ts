import { expect, test } from "@playwright/test";
import { fileURLToPath } from "node:url";

import type { recordingCost } from "../../bench/record.ts";
import type { createRuntime } from "../../src/index.ts";
import { openEmptyPage } from "../support/demo-page.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

test("recording seen dispatches costs at most 2 µs and creates nothing", async ({ page }) => {
  test.setTimeout(180_000);
  await openEmptyPage(page);
  const cost = await page.evaluate(async (folder) => {
    const [moorage, bench] = await Promise.all([
      import(`/@fs${folder}src/index.ts`) as Promise<{ createRuntime: typeof createRuntime }>,
      import(`/@fs${folder}bench/record.ts`) as Promise<{ recordingCost: typeof recordingCost }>,
    ]);
    const runtime = await moorage.createRuntime();
    try {
      // A browser of several processes on a machine that others use: slow seconds pass, slow code stays.
      let best = await bench.recordingCost(runtime);
      for (let restMs = 1000; restMs <= 16_000 && best.moorage >= 2; restMs *= 2) {
        await new Promise((resolve) => setTimeout(resolve, restMs));
        const next = await bench.recordingCost(runtime);
        if (next.moorage < best.moorage) best = next;
      }
      return best;
    } finally {
      await runtime.dispose();
    }
  }, root);
  test.info().annotations.push({ type: "recording", description: JSON.stringify(cost) });
  console.log("recording in Chromium, µs per dispatch:", cost);
  expect(cost.buffersCreated).toBe(0);
  expect(cost.bindGroupsCreated).toBe(0);
  expect(cost.moorage).toBeLessThan(2);
});
