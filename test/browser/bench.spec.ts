import { expect, test } from "@playwright/test";
import type { Page } from "@playwright/test";
import { readFile } from "node:fs/promises";

import type { BenchResult } from "../../bench/core/results.ts";
import type { MoorageBench } from "../../demo/bench/script-access.ts";

/** In place of the peers: one whose package is not there. */
const absentPeer = `
  export const peers = [{ name: "onnx", title: "A peer" }];
  export const loadPeer = async ({ name, title }) => ({
    name, title, kind: "peer", open: () => Promise.reject(new Error("not installed")),
  });`;

/** The smallest run there is, and the contestants that need no package. */
const small = "suite=kernels&case=softmax&quick=1&seed=7&contestants=moorage,raw";

let errors: string[] = [];

test.beforeEach(({ page }) => {
  errors = [];
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  page.on("pageerror", (error) => errors.push(String(error)));
});

test.afterEach(() => {
  expect(errors).toEqual([]);
});

async function openBench(page: Page, query: string): Promise<void> {
  await page.goto(`/bench.html?${query}`);
  await page.waitForFunction(() => "moorageBench" in window, undefined, { timeout: 20_000 });
}

async function resultOf(page: Page): Promise<BenchResult> {
  return await page.evaluate(() => window.moorageBench.result);
}

async function stateOf(page: Page): Promise<MoorageBench["state"]> {
  return await page.evaluate(() => window.moorageBench.state);
}

async function widthOf(page: Page): Promise<number> {
  return await page.evaluate(() => document.documentElement.scrollWidth);
}

test("runs what the address asks for: checked rows, a whole result, files, and nothing sticks out", async ({
  page,
}) => {
  await page.route("**/bench/contestants/peers.ts", (route) =>
    route.fulfill({ contentType: "text/javascript", body: absentPeer }),
  );
  await openBench(page, `${small},onnx#run`);
  const result = await resultOf(page);
  expect(await stateOf(page)).toBe("done");

  expect(result.machine).toMatchObject({ seed: 7, quick: true, repetitionCount: 1 });
  expect(result.machine.engine).toContain("cross-origin isolated");
  expect(result.machine.coreCount).toBeGreaterThan(0);
  expect(result.wait).toContain("onSubmittedWorkDone");
  for (const limit of Object.values(result.limits)) expect(limit).toBeGreaterThan(1e6);
  expect(result.contestants.map(({ name }) => name)).toEqual(["moorage", "raw", "onnx"]);

  expect(result.cases.map((row) => [row.case, row.contestant, row.failure])).toEqual([
    ["softmax", "moorage", null],
    ["softmax", "raw", null],
    ["softmax", "onnx", "not installed"],
  ]);
  for (const row of result.cases.slice(0, 2)) {
    expect(row.maxError).toBeLessThan(1e-5);
    expect(row.median).toBeGreaterThan(0);
    expect(row.samples).toBeGreaterThanOrEqual(3);
    expect(row.ratioToRaw).toBeGreaterThan(0);
    expect(row.buffersCreated).toBe(0);
  }
  // What the bench itself keeps on a device, to wait for it, is on nobody's account.
  expect(result.cases.find(({ contestant }) => contestant === "raw")?.heldDeviceBytes).toBe(0);

  await expect(page.getByRole("status")).toContainText(
    "2 rows measured and right, 1 without a time",
  );
  await expect(page.locator("#adapter")).toHaveText(/^Adapter: \w+/);
  await expect(page.locator("#losses-title")).toHaveText(/^Where we lose: [01] of 1 problem$/);
  await expect(page.locator("#plot-list figure")).not.toHaveCount(0);
  const shown = page.locator('[data-problem="kernels/softmax/1024x1024"] [data-contestant]');
  await expect(shown.locator('td[data-label="Median"] data')).toHaveCount(2);
  await expect(page.locator('tr[data-contestant="onnx"]')).toContainText("not installed");

  for (const [button, type] of [
    ["Download JSON", "json"],
    ["Download HTML report", "html"],
  ] as const) {
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: button }).click();
    const file = await download;
    expect(file.suggestedFilename()).toMatch(new RegExp(`^moorage-bench-[\\d-]+\\.${type}$`));
    const text = await readFile(await file.path(), "utf8");
    if (type === "json") expect(JSON.parse(text)).toEqual(result);
    else expect(text).toContain("softmax");
  }

  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    for (const width of [360, 768, 1120, 1600]) {
      await page.setViewportSize({ width, height: 800 });
      expect(await widthOf(page), `${colorScheme}, ${width}`).toBe(width);
    }
  }
});

test("a run is stopped within a sample, and leaves what it has measured", async ({ page }) => {
  // The first of these never waits for a device: without turns for the page, Stop would not be heard.
  await openBench(page, "quick=0&case=bump,softmax&contestants=moorage,raw&seed=1");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await expect(page.getByRole("button", { name: "Run", exact: true })).toBeDisabled();
  await expect(page.locator("#contestants input").first()).toBeDisabled();
  await expect(page.locator("#step")).toHaveText(/^(?!.*rehearsal).*(round|warm-up)/, {
    timeout: 30_000,
  });
  await page.getByRole("button", { name: "Stop" }).click();
  const result = await resultOf(page);
  expect(await stateOf(page)).toBe("stopped");
  await expect(page.getByRole("status")).toContainText("Stopped after");
  expect(result.cases.length).toBeGreaterThan(0);
  expect(result.cases.length).toBeLessThan(12);
  await expect(page.getByRole("button", { name: "Run", exact: true })).toBeEnabled();
  await expect(page.getByRole("button", { name: "Stop" })).toBeDisabled();
});

test("cases, sizes and contestants can be chosen by hand", async ({ page }) => {
  await openBench(page, "seed=1");
  const chosen = page.locator("#chosen");
  const run = page.getByRole("button", { name: "Run", exact: true });
  await expect(chosen).toHaveText(/^\d\d+ problems, 2 contestants$/);
  await page.getByRole("button", { name: "None" }).click();
  await expect(chosen).toHaveText("0 problems, 2 contestants");
  await expect(run).toBeDisabled();

  await page.locator('[data-suite="kernels"] summary').click();
  await page.getByRole("checkbox", { name: "softmax", exact: true }).check();
  await expect(chosen).toHaveText("1 problem, 2 contestants");
  await page.getByRole("radio", { name: "Full" }).check();
  await expect(chosen).toHaveText("3 problems, 2 contestants");
  await page.getByLabel("raw WebGPU").uncheck();
  await expect(chosen).toHaveText("3 problems, 1 contestant");
  await expect(run).toBeEnabled();

  // Recording is measured on a device that does nothing, which browsers do not have.
  await page.locator('[data-suite="dispatch"] summary').click();
  const recording = page.locator('[data-suite="dispatch"] li', { hasText: "recording" });
  await expect(recording).toContainText("not in a browser");
  await expect(recording.getByRole("checkbox")).toBeDisabled();

  for (const width of [360, 1600]) {
    await page.setViewportSize({ width, height: 800 });
    expect(await widthOf(page)).toBe(width);
  }
});

test("without an adapter the page says what to check", async ({ page }) => {
  await page.addInitScript(() => {
    GPU.prototype.requestAdapter = () => Promise.resolve(null);
  });
  await openBench(page, `${small}#run`);
  await expect(page.getByRole("alert")).toContainText("hardware acceleration");
  await expect(page.locator("#adapter")).toHaveText("No WebGPU device");
  expect(await stateOf(page)).toBe("failed");
  await expect(page.getByRole("button", { name: "Run", exact: true })).toBeEnabled();
});
