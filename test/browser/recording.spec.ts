import { expect, test } from "@playwright/test";
import { fileURLToPath } from "node:url";

import type { recordingCost } from "../../bench/record.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

test("recording seen dispatches costs at most 2 µs and creates nothing", async ({ page }) => {
  // An empty page: the demo's own job would run beside the measurement.
  await page.route("**/empty.html", (route) =>
    route.fulfill({ contentType: "text/html", body: "<!doctype html><title>empty</title>" }),
  );
  await page.goto("/empty.html");
  const cost = await page.evaluate(async (folder) => {
    const [{ createRuntime }, bench] = await Promise.all([
      import(`/@fs${folder}src/index.ts`) as Promise<typeof import("../../src/index.ts")>,
      import(`/@fs${folder}bench/record.ts`) as Promise<{ recordingCost: typeof recordingCost }>,
    ]);
    const runtime = await createRuntime();
    try {
      return await bench.recordingCost(runtime);
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
