import { expect, test } from "vitest";

import { formatJob, jobReport, runTwice } from "../../demo/job-report.ts";
import { decodePng } from "../../demo/png.ts";
import { buffersCreated, liveBufferBytes, openRuntime } from "../harness.ts";
import { makePicture, pictureFile } from "../support/pictures.ts";

test("a leak made on purpose is counted and named, and agrees with the device", async () => {
  const picture = await decodePng(pictureFile(makePicture(67, 41, 2, 8)));
  const leaks: string[] = [];
  const createdBefore = buffersCreated();
  const runtime = await openRuntime({
    onLeak: (found) => leaks.push(...found.map(({ label }) => label)),
  });
  const runs = await runTwice(runtime, picture, {});
  const job = { adapter: "some adapter", picture, sigma: 2, runs };

  const clean = jobReport(runtime, job);
  expect(clean.memory).toMatchObject({ leaks: 0, deviceLiveBytes: 0, hostLiveBytes: 0 });
  expect(clean.memory.gpuBuffersCreatedSecondRun).toBe(0);
  expect(clean.memory.gpuBuffersCreated).toBe(buffersCreated() - createdBefore);
  expect(runtime.stats().gpuBuffers.liveBytes).toBe(liveBufferBytes(runtime.device));
  expect(formatJob(runtime, clean, runs)).toMatch(/Leaks +none$/);

  runtime.zeros([5, 5], { dtype: "float32", label: "forgotten weights" });
  runtime.pinned.tensor({ shape: [1000], dtype: "uint8", label: "forgotten staging" });
  const leaking = jobReport(runtime, job);
  expect(leaking.memory).toMatchObject({ leaks: 2, deviceLiveBytes: 100, hostLiveBytes: 1000 });
  expect(formatJob(runtime, leaking, runs)).toMatch(
    /Leaks +2:\n {2}"forgotten weights", 100 B in device heap\n {2}"forgotten staging", 1000 B in pinned heap$/,
  );

  await runtime.dispose();
  expect(leaks.sort()).toEqual(["forgotten staging", "forgotten weights"]);
  expect(liveBufferBytes(runtime.device)).toBe(0);
});
