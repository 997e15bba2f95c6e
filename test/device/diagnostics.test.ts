/** A runtime's diagnostics follow the device's memory as they do the host's. */

import { expect, test } from "vitest";

import { parseTrace } from "../../bench/traces/trace-text.ts";
import { validateTrace } from "../../bench/traces/trace.ts";
import { openRuntime } from "../harness.ts";
import { caught } from "../support/caught.ts";

test("tensors, scratch and staging, by label, until they end", async () => {
  const heard = { allocated: 0, freed: 0 };
  const rt = await openRuntime({
    diagnostics: {
      stackEveryBytes: 1,
      hooks: {
        onAllocation: ({ byteLength }) => void (heard.allocated += byteLength),
        onFree: ({ byteLength }) => void (heard.freed += byteLength),
      },
    },
  });
  const diagnostics = rt.diagnostics!;
  const x = rt.tensor(new Float32Array(256), {
    shape: [16, 16],
    dtype: "float32",
    label: "weights",
  });
  await rt.scope(async (s) => {
    const y = s.matmul(x, x, { label: "product" });
    const names = diagnostics.outstanding().map(({ label, region }) => `${label} in ${region}`);
    expect(names).toContain("weights in device-heap");
    expect(names).toContain("product in device-arena");
    await y.data();
  });
  const error = caught(() => diagnostics.assertNoLeaks());
  expect(error).toMatchObject({ code: "LEAK", label: "weights" });
  expect(error.message).toContain("diagnostics.test");
  x.dispose();
  await rt.sync();
  diagnostics.assertNoLeaks();
  validateTrace(parseTrace(diagnostics.trace!.toText()));
  validateTrace(parseTrace(diagnostics.trace!.toText(["device-heap"])));
  await rt.dispose();
  expect(heard.freed).toBe(heard.allocated);
  expect(heard.allocated).toBeGreaterThan(2048);
});

test("nothing is followed unless it is asked for", async () => {
  const rt = await openRuntime();
  expect(rt.diagnostics).toBeNull();
  await rt.dispose();
});
