import { expect, test } from "@playwright/test";

test("a page on plain http off localhost is told what it needs", async ({ page }) => {
  await page.addInitScript(() => {
    Object.defineProperty(Navigator.prototype, "gpu", { get: () => undefined });
    Object.defineProperty(globalThis, "isSecureContext", { value: false });
  });
  await page.goto("/");
  await expect(page.getByRole("alert")).toContainText("needs https or localhost");
  await expect(page.locator("#adapter")).toHaveText("No WebGPU device");
});

test("a browser without an adapter says what to check", async ({ page }) => {
  await page.addInitScript(() => {
    GPU.prototype.requestAdapter = () => Promise.resolve(null);
  });
  await page.goto("/");
  await expect(page.getByRole("alert")).toContainText("hardware acceleration");
});

for (const width of [360, 768, 1024, 1600]) {
  test(`nothing sticks out at ${width} pixels`, async ({ page }) => {
    await page.setViewportSize({ width, height: 800 });
    await page.goto("/");
    await expect(page.getByRole("status")).toContainText("done in", { timeout: 45_000 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
  });
}
