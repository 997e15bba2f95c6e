/**
 * The ways out of a scope that types cannot see: each compiles, and each is caught when the program
 * runs. README, "What types cannot see", lists them.
 */

import { describe, expect, test } from "vitest";

import { hostTensor } from "../../src/index.ts";
import type { HostTensor, Tensor } from "../../src/index.ts";
import { useRuntime } from "../harness.ts";
import { caught, codeOf, codeOfRejection, rejected } from "../support/caught.ts";

const rt = useRuntime({ strict: true });
const options = { shape: [4], dtype: "float32", label: "scratch" } as const;
const four = new Float32Array(4);

describe("captured in a closure", () => {
  test("a tensor", async () => {
    let later: () => Promise<Float32Array> = () => Promise.resolve(four);
    await rt().scope((s) => {
      const x = s.tensor(four, options);
      later = () => x.data();
    });
    expect(await rejected(later())).toMatchObject({ code: "SCOPE_ESCAPE", label: "scratch" });
  });

  test("a host tensor", async () => {
    let later: () => number = () => 0;
    await rt().scope((s) => {
      const x = hostTensor(s.hot, options);
      later = () => x.at(0);
    });
    expect(caught(later)).toMatchObject({ code: "USE_AFTER_DISPOSE", label: "scratch" });
  });

  test("the scope itself", async () => {
    let later: () => void = () => {};
    await rt().scope((s) => {
      later = () => void s.zeros([1], { dtype: "int32" });
    });
    expect(codeOf(later)).toBe("SCOPE_ENDED");
  });
});

describe("of a raw array", () => {
  test("subarray", async () => {
    let part: Float32Array = four;
    await rt().scope((s) => {
      part = s.array("float32", 8).subarray(2, 4);
    });
    expect(part).toHaveLength(0);
  });

  test("buffer", async () => {
    const buffer = await rt().scope((s) => s.array("uint8", 8).buffer);
    expect(buffer.byteLength).toBe(0);
  });

  test("assigned to a plain array type", async () => {
    let plain: Uint8Array = new Uint8Array(1);
    await rt().scope((s) => {
      plain = s.array("uint8", 8);
    });
    expect(plain).toHaveLength(0);
  });

  test("data of a host tensor", async () => {
    const data = await rt().scope((s) => hostTensor(s.hot, options).data);
    expect(data).toHaveLength(0);
  });
});

test.each([
  ["unknown", (): Promise<unknown> => rt().scope((s): unknown => s.tensor(four, options))],
  [
    "unknown, inside",
    (): Promise<unknown> => rt().scope((s): { x: unknown } => ({ x: [s.tensor(four, options)] })),
  ],
  ["unknown, on the host", () => rt().scope((s): unknown => hostTensor(s.hot, options))],
  // oxlint-disable-next-line typescript/no-explicit-any, typescript/no-unsafe-return -- the test is about `any`: it takes the brand away, so only the run time can tell
  ["any", (): Promise<unknown> => rt().scope((s): any => s.tensor(four, options))],
])("returned as %s", async (_, escape) => {
  expect(await rejected(escape())).toMatchObject({ code: "SCOPE_ESCAPE", label: "scratch" });
});

test("with its brand cast away, into a variable outside", async () => {
  let outer: Tensor | undefined;
  await rt().scope((s) => {
    outer = s.tensor(four, options) as unknown as Tensor;
  });
  expect(outer!.state).toBe("escaped");
  expect(await codeOfRejection(outer!.data())).toBe("SCOPE_ESCAPE");
});

describe("thrown", () => {
  test("a tensor", async () => {
    const thrown: unknown = await rt()
      .scope((s) => {
        throw s.tensor(four, options) as unknown;
      })
      .catch((x: unknown) => x);
    expect(await codeOfRejection((thrown as Tensor).data())).toBe("SCOPE_ESCAPE");
  });

  test("in an error", async () => {
    class Carrier extends Error {
      carried: unknown;
    }
    const error = new Carrier("carries");
    const failing = rt().scope((s) => {
      error.carried = hostTensor(s.hot, options);
      throw error;
    });
    await expect(failing).rejects.toBe(error);
    const carried = error.carried as HostTensor<"float32">;
    expect(codeOf(() => carried.at(0))).toBe("USE_AFTER_DISPOSE");
  });
});

test("a view that leaves withView ends with it", () => {
  const owner = hostTensor(rt().general, options);
  const view = owner.withView([[0, 2]], (part): unknown => part) as HostTensor;
  expect(codeOf(() => view.at(0))).toBe("USE_AFTER_DISPOSE");
  owner.dispose();
});
