/** A built-in kernel that a device refuses must not look like a result. */

import { openAdapter } from "moorage/node";
import { expect, test } from "vitest";

import { openRuntime } from "../harness.ts";

test("where a device refuses a built-in kernel, reads reject instead of giving old bytes", async () => {
  const { adapter } = await openAdapter();
  const device = await adapter.requestDevice();
  const createShaderModule = device.createShaderModule.bind(device);
  device.createShaderModule = (descriptor) =>
    createShaderModule({
      ...descriptor,
      code: descriptor.code.replace("exp(", "no_such_function("),
    });
  const runtime = await openRuntime({ device });
  const x = runtime.full([4], 1, { dtype: "float32", label: "x" });
  const y = runtime.unary("exp", x);
  await expect(y.data()).rejects.toMatchObject({ code: "KERNEL_VALIDATION", label: "exp" });
  x.dispose();
  y.dispose();
  await runtime.dispose();
  device.destroy();
});
