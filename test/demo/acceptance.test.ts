import { MiB } from "moorage/node";
import { expect, test } from "vitest";

import { edgeMap } from "../../demo/edge-map.ts";
import { decodePng } from "../../demo/png.ts";
import { useRuntime } from "../harness.ts";
import { runWithin } from "../support/budget-run.ts";
import { bigPicture } from "../support/pictures.ts";

const unbounded = useRuntime();

// Some 40 seconds on a software adapter and two cores, most of them in the blur.
test("6000×4000 pixels of 16 bits within 16 MiB", { timeout: 300_000 }, async () => {
  const picture = await decodePng(await bigPicture(6000, 4000));
  const whole = await edgeMap(unbounded(), picture);
  const { results, peakBytes } = await runWithin(16 * MiB, picture, 2, 1);
  const [first] = results;
  expect(first!.strips).toBeGreaterThanOrEqual(4);
  expect(peakBytes).toBeLessThanOrEqual(16 * MiB);
  expect(first!.maxMagnitude).toBe(whole.maxMagnitude);
  expect(Buffer.compare(first!.pixels, whole.pixels)).toBe(0);
});
