import { expect, test } from "@playwright/test";
import { readFile } from "node:fs/promises";

import { edgeMap } from "../../demo/edge-map.ts";
import { madeUpPicture } from "../../demo/made-up-picture.ts";
import { decodePng } from "../../demo/png.ts";
import type { Picture } from "../../demo/png.ts";
import { createRuntime } from "../../src/node.ts";
import { DemoPage, loseDevices } from "../support/demo-page.ts";
import {
  decodedInput,
  edgeReference,
  maxDifference,
  referenceInput,
} from "../support/edge-reference.ts";
import { makePicture, pictureFile } from "../support/pictures.ts";

let demo: DemoPage;

test.beforeEach(async ({ page }) => {
  demo = new DemoPage(page);
  await demo.open();
});

test.afterEach(() => {
  expect(demo.errors).toEqual([]);
});

/** The same job in Node. */
async function inNode(picture: Picture, sigma?: number): Promise<Uint8Array> {
  const runtime = await createRuntime();
  try {
    const { pixels } = await edgeMap(runtime, picture, sigma === undefined ? {} : { sigma });
    expect(runtime.live()).toEqual([]);
    return pixels;
  } finally {
    await runtime.dispose();
  }
}

test("runs the job on its own picture at once", async () => {
  const picture = madeUpPicture();
  const shown = await demo.pixels();
  expect([shown.width, shown.height]).toEqual([picture.width, picture.height]);
  expect(maxDifference(shown.pixels, edgeReference(decodedInput(picture)).pixels)).toBeLessThan(2);
  expect(maxDifference(shown.pixels, await inNode(picture))).toBeLessThan(2);
  await expect(demo.status).toContainText("done in");
  await expect(demo.page.locator("#adapter")).toHaveText(/^Adapter: \w+/);
  await expect(demo.page.locator("#stages tr")).toHaveCount(9);
  await demo.expectNothingLive();
});

for (const picture of [
  makePicture(257, 131, 2, 8),
  makePicture(131, 257, 2, 16),
  makePicture(120, 91, 6, 16, true),
  makePicture(97, 61, 3, 4, true),
  makePicture(1, 29, 0, 1),
]) {
  test(`a dropped PNG: ${picture.name}`, async () => {
    const file = pictureFile(picture);
    await demo.drop("dropped.png", file);
    const { width, height } = picture.spec;
    const shown = await demo.pixels();
    expect([shown.width, shown.height]).toEqual([width, height]);
    const expected = edgeReference(referenceInput(picture.spec)).pixels;
    expect(maxDifference(shown.pixels, expected)).toBeLessThan(2);
    const node = await inNode(await decodePng(file));
    const difference = maxDifference(shown.pixels, node);
    expect(difference).toBeLessThan(2);
    test.info().annotations.push({ type: "Node", description: `differs by ${difference}` });
    await expect(demo.page.locator("#source-caption")).toContainText(`${width} × ${height}`);
    await demo.expectNothingLive();
  });
}

test("a second job creates no GPU buffer", async () => {
  const before = await demo.counted();
  expect(before.created).toBeGreaterThan(0);
  await demo.job(() => demo.page.getByRole("button", { name: "Run again" }).click());
  expect((await demo.counted()).created).toBe(before.created);
  expect(await demo.figure("created-by-job")).toBe(0);
  expect(await demo.figure("created")).toBe(before.created);
  expect(await demo.figure("buffer-bytes")).toBe(before.liveBytes);
  await demo.expectNothingLive();
});

test("the table and the plot are live while a job runs", async () => {
  const cell = demo.page.locator('[data-region="deviceArena"] data[data-column="live"]');
  const seen = await cell.evaluateHandle((element) => {
    const values = new Set<number>();
    const look = (): void => void values.add(Number((element as HTMLDataElement).value));
    new MutationObserver(look).observe(element, { attributes: true, attributeFilter: ["value"] });
    return values;
  });
  await demo.job(() => demo.page.getByRole("button", { name: "Run again" }).click());
  const values = await seen.evaluate((set) => [...set]);
  expect(Math.max(...values)).toBeGreaterThan(0);
  expect(values.at(-1)).toBe(0);
  expect(await demo.bytes("deviceArena", "peak live")).toBeGreaterThan(0);
  await expect(
    demo.page.getByRole("img", { name: /^Memory over time: now 0 B live/ }),
  ).toBeVisible();
});

test("every row of the table adds up", async () => {
  for (const region of ["deviceHeap", "deviceArena", "pinned", "hot", "together"]) {
    let sum = 0;
    for (const part of ["live", "padding", "deferred", "free"])
      sum += await demo.bytes(region, part);
    expect(sum, region).toBe(await demo.bytes(region, "reserved"));
  }
});

test("another sigma gives another picture, the right one", async () => {
  const picture = makePicture(131, 67, 2, 8);
  await demo.drop("dropped.png", pictureFile(picture));
  await demo.job(() => demo.page.getByLabel("Blur σ").fill("5"));
  const { pixels } = await demo.pixels();
  const expected = edgeReference(referenceInput(picture.spec), 5).pixels;
  expect(maxDifference(pixels, expected)).toBeLessThan(2);
});

test("a budget holds, and changes no pixel", async () => {
  const { pixels } = await demo.pixels();
  const budget = demo.page.getByLabel("GPU budget");
  await budget.fill("2");
  await demo.job(() => budget.blur());
  await expect(demo.page.locator("#result-caption")).toContainText(/in \d+ strips/);
  expect(maxDifference((await demo.pixels()).pixels, pixels)).toBe(0);
  expect(await demo.figure("buffer-peak")).toBeLessThanOrEqual(2 * 2 ** 20);
  // The runtime without the budget is gone, with all it had.
  expect((await demo.counted()).liveBytes).toBe(await demo.figure("buffer-bytes"));
  await budget.fill("1");
  await demo.job(() => budget.blur());
  await expect(demo.problem).toContainText("a budget of 1.0 MiB is too small");
});

test("a leak on purpose is counted and named, and can be disposed", async () => {
  await demo.page.getByRole("button", { name: "Leak one on purpose" }).click();
  await expect(demo.page.locator("#live-summary")).toHaveText("1 allocation, 1.0 MiB.");
  await expect(demo.page.locator("#live li")).toContainText("forgotten 1");
  await expect.poll(() => demo.bytes("deviceHeap", "live")).toBe(2 ** 20);
  // A job in between neither loses it nor adds to it.
  await demo.job(() => demo.page.getByRole("button", { name: "Run again" }).click());
  await expect(demo.page.locator("#live-summary")).toHaveText("1 allocation, 1.0 MiB.");
  await demo.page.getByRole("button", { name: "Dispose forgotten 1" }).click();
  await expect(demo.page.locator("#live li")).toHaveCount(0);
  await expect.poll(() => demo.bytes("deviceHeap", "live")).toBe(0);
  await demo.expectNothingLive();
});

test("what is not a PNG gets a clear message, and the page goes on", async () => {
  const { pixels } = await demo.pixels();
  await demo.drop("notes.txt", Buffer.from("no picture at all"));
  await expect(demo.problem).toContainText("notes.txt: ");
  await expect(demo.problem).toContainText("PNG");
  expect(maxDifference((await demo.pixels()).pixels, pixels)).toBe(0);
  const picture = makePicture(64, 48, 2, 8);
  await demo.drop("cut.png", pictureFile(picture).subarray(0, 600));
  await expect(demo.problem).toContainText("cut.png: ");
  await demo.expectNothingLive();

  await demo.drop("whole.png", pictureFile(picture));
  await expect(demo.problem).toBeHidden();
  await expect(demo.status).toContainText("whole.png: done");
});

test("a file can be chosen with the keyboard alone", async () => {
  const { page } = demo;
  const chooser = page.waitForEvent("filechooser");
  await page.getByRole("button", { name: "Choose a PNG" }).press("Enter");
  const picture = makePicture(33, 21, 2, 8);
  const file = { name: "chosen.png", mimeType: "image/png", buffer: pictureFile(picture) };
  await demo.job(async () => (await chooser).setFiles(file));
  await expect(demo.status).toContainText("chosen.png: done");
});

test("the result can be downloaded as a PNG", async () => {
  await demo.drop("harbour.png", pictureFile(makePicture(65, 43, 2, 8)));
  const download = demo.page.waitForEvent("download");
  await demo.page.getByRole("button", { name: "Download PNG" }).click();
  const file = await download;
  expect(file.suggestedFilename()).toBe("harbour-edges.png");
  const picture = await decodePng(await readFile(await file.path()));
  expect([picture.colourType, picture.depth]).toEqual([0, 8]);
  const grays = picture.samples.filter((_, index) => index % 4 === 0) as Uint8Array;
  expect(maxDifference(grays, (await demo.pixels()).pixels)).toBe(0);
});

test("a lost device is told, and a new one can be opened", async () => {
  await loseDevices(demo.page);
  await expect(demo.problem).toContainText("The device was lost");
  await demo.job(() => demo.page.getByRole("button", { name: "Open a new device" }).click());
  await expect(demo.problem).toBeHidden();
  await expect(demo.status).toContainText("done in");
  await demo.expectNothingLive();
});

test("everything is given back when the page goes", async () => {
  expect((await demo.counted()).liveBytes).toBeGreaterThan(0);
  await demo.page.evaluate(() => dispatchEvent(new PageTransitionEvent("pagehide")));
  await expect.poll(async () => (await demo.counted()).liveBytes).toBe(0);
});
