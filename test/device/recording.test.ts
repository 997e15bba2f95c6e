/** Recording is cheap: against as many dispatches by hand, in one run. */

import { expect, test } from "vitest";

import { recordingCost } from "../../bench/record.ts";
import { useRuntime } from "../harness.ts";

const runtime = useRuntime();

test("a scope of 1,000 seen dispatches creates nothing, and costs at most three times what it costs by hand", async () => {
  const cost = await recordingCost(runtime(), { rounds: 21, warmUpRounds: 30 });
  expect([cost.buffersCreated, cost.bindGroupsCreated]).toEqual([0, 0]);
  expect(cost.ratio).toBeLessThan(3);
});
