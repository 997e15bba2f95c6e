/** The packed package, built by Vite in somebody else's project, runs the README's example in a page. */

import { expect, test } from "@playwright/test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { installConsumer, program } from "../support/consumer.ts";
import type { Consumer } from "../support/consumer.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
let consumer: Consumer;

test.beforeAll(() => {
  consumer = installConsumer();
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const example = /^```ts\n([\s\S]*?)^```$/m.exec(readme)![1]!.replace("moorage/node", "moorage");
  // Top-level await ends when the example has disposed its runtime: then the page says so.
  consumer.write(
    "example.ts",
    example.replace("console.log(top, rt.report());", "report(top, rt.report());"),
  );
  consumer.write(
    "main.ts",
    `declare global { interface Window { example: { top: unknown; report: string; done: boolean } } }
Object.assign(globalThis, { report: (top: unknown, report: string) => { window.example = { top, report, done: false }; } });
import("./example.ts").then(() => { window.example.done = true; });
export {};
`,
  );
  consumer.write(
    "index.html",
    `<!doctype html><title>consumer</title><script type="module" src="./main.ts"></script>`,
  );
  const { status, output } = consumer.run([
    program("vite/bin/vite.js"),
    "build",
    "--base",
    "./",
    "--target",
    "esnext",
  ]);
  expect(status, output).toBe(0);
});
test.afterAll(() => consumer.remove());

test("the README's example, built by Vite from the packed package, runs in a page", async ({
  page,
}) => {
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await page.route("**/consumer/**", async (route) => {
    const { pathname } = new URL(route.request().url());
    await route.fulfill({
      path: join(consumer.folder, "dist", pathname.replace("/consumer/", "")),
    });
  });
  await page.goto("/consumer/index.html");
  await page.waitForFunction(
    () => (window as unknown as { example?: { done: boolean } }).example?.done === true,
  );
  const { top, report } = await page.evaluate(
    () => (window as unknown as { example: { top: number[]; report: string } }).example,
  );
  expect(errors).toEqual([]);
  expect(top).toHaveLength(64);
  expect(top.every((index) => Number.isInteger(index) && index >= 0 && index < 10)).toBe(true);
  expect(report).toContain("device heap");
});
