/** Kernels that users write, when they are right. The wrong ones are in bad-kernels.test.ts. */

import { defineElementwise, dtypes } from "moorage";
import { describe, expect, test, vi } from "vitest";

import { expectTensor, put, putInside, tolerance, useStrictRuntime } from "../support/device.ts";
import { made, mapped, transposed, zipped } from "../support/reference.ts";

const rt = useStrictRuntime();
const { exact, rounded } = tolerance;

describe("element-wise", () => {
  const scale = defineElementwise({
    label: "scale and shift",
    inputs: ["x"],
    output: "float32",
    parameters: { factor: "f32", shift: "i32", mask: "u32" },
    expression: "x * P.factor + f32(P.shift) + f32(P.mask & 3u)",
  });

  test("parameters of every type, changed from run to run", async () => {
    const x = made("float32", [37], 101);
    await rt().scope(async (s) => {
      const given = put(s, x);
      for (const [factor, shift, mask] of [
        [2.5, -3, 7],
        [-0.125, 2_000_000, 4_000_000_001],
      ] as const) {
        const result = s.map(scale, [given], { parameters: { factor, shift, mask } });
        await expectTensor(
          result,
          mapped(x, (v) => v * Math.fround(factor) + shift + (mask % 4)),
          rounded,
          `${factor}`,
        );
      }
    });
  });

  test("a body with branches and loops; other dtypes in than out; sub-word outputs", async () => {
    for (const output of dtypes) {
      const scalar = { float32: "f32", float16: "f32", int32: "i32", uint32: "u32", uint8: "u32" }[
        output
      ];
      const count = defineElementwise({
        label: "count halvings",
        inputs: ["big", "level"],
        output,
        body: `  var rest = big;\n  var steps = 0u;\n  while (rest > u32(level)) {\n    rest /= 2u;\n    steps++;\n  }\n  return ${scalar}(steps);`,
      });
      const halvings = (big: number, level: number): number => {
        let steps = 0;
        for (let rest = big; rest > Math.trunc(level); rest = Math.floor(rest / 2)) steps++;
        return steps;
      };
      const [a, b] = [made("uint8", [5, 7], 102), made("float16", [7], 103, [1, 9])];
      await rt().scope(async (s) => {
        await expectTensor(
          s.map(count, [put(s, a), put(s, b)]),
          zipped(a, b, halvings, output),
          exact,
          output,
        );
        const viewed = s.map(count, [putInside(s, transposed(a)).transpose(), putInside(s, b, 1)]);
        await expectTensor(viewed, zipped(a, b, halvings, output), exact, `${output}, strided`);
      });
    }
  });

  test("seven inputs, one tensor as several of them, a scalar among them", async () => {
    const inputs = ["a", "b", "c", "d", "e", "f", "g"];
    const sum = defineElementwise({
      label: "sum of seven",
      inputs,
      output: "int32",
      expression: inputs.map((n, i) => `${n} * ${i + 1}`).join(" + "),
    });
    const [x, y] = [made("int32", [4, 6], 104), made("int32", [6], 105)];
    await rt().scope(async (s) => {
      const [p, q, one] = [put(s, x), put(s, y), s.full([], 3, { dtype: "int32" })];
      const should = zipped(x, y, (v, w) => v * (1 + 2 + 7) + w * (3 + 5 + 6) + 3 * 4);
      await expectTensor(s.map(sum, [p, p, q, one, q, q, p]), should, exact, "seven");
    });
  });

  test("names that the generated text uses itself do no harm, or are refused at once", async () => {
    const names = [
      "i",
      "last",
      "id",
      "groups",
      "value",
      "index",
      "lane",
      "rest",
      "c0",
      "bits",
      "scalar",
      "x_offset",
      "half",
      "words",
    ];
    for (const name of names) {
      let kernel;
      try {
        kernel = defineElementwise({
          label: `input ${name}`,
          inputs: [name],
          output: "float32",
          expression: `${name} + 1.0`,
        });
      } catch (error) {
        expect(error).toMatchObject({ code: "INVALID_ARGUMENT" });
        continue;
      }
      const x = made("float32", [5, 3], 106);
      const found = kernel;
      await rt().scope(async (s) => {
        await expectTensor(
          s.map(found, [put(s, x)]),
          mapped(x, (v) => v + 1),
          rounded,
          name,
        );
        await expectTensor(
          s.map(found, [put(s, x).transpose()]),
          mapped(transposed(x), (v) => v + 1),
          rounded,
          name,
        );
      });
    }
  });

  test("what is wrong in a description or a run is said at the call", async () => {
    const base = { label: "k", output: "float32", expression: "x" } as const;
    for (const inputs of [
      ["1x"],
      ["a-b"],
      ["out"],
      ["P"],
      ["__x"],
      ["x", "x"],
      ["fn"],
      ["f32"],
      ["vec4"],
      [""],
    ])
      expect(() => defineElementwise({ ...base, inputs }), inputs.join()).toThrowError(
        expect.objectContaining({ code: "INVALID_ARGUMENT" }),
      );
    expect(() =>
      defineElementwise({ ...base, inputs: ["x"], parameters: { count: "u32" } }),
    ).toThrowError(/count/);
    expect(() => defineElementwise({ ...base, inputs: ["x"], body: "return x;" })).toThrowError(
      /expression or a body/,
    );
    expect(() => defineElementwise({ label: "k", output: "float32", inputs: ["x"] })).toThrowError(
      /expression or a body/,
    );
    expect(() => defineElementwise({ ...base, inputs: [] })).toThrowError(/inputs/);
    expect(() => defineElementwise({ ...base, inputs: "abcdefgh".split("") })).toThrowError(
      expect.objectContaining({ code: "LIMIT_EXCEEDED" }),
    );
    expect(() =>
      defineElementwise({ ...base, inputs: ["x"], output: "float64" as never }),
    ).toThrowError(/float64/);
    const many = Object.fromEntries(
      Array.from({ length: 62 }, (_, n) => [`p${n}`, "f32" as const]),
    );
    const crowded = defineElementwise({ ...base, inputs: ["x"], parameters: many });
    await rt().scope((s) => {
      const x = s.zeros([2], { dtype: "float32" });
      expect(() =>
        s.map(scale, [x, x] as never, { parameters: { factor: 1, shift: 1, mask: 1 } }),
      ).toThrowError(/1 inputs/);
      expect(() =>
        s.map(scale, [x], { parameters: { factor: 1, shift: 1 } as never }),
      ).toThrowError(/parameter mask/);
      expect(() => s.map(scale, [x])).toThrowError(/parameter factor/);
      const values = Object.fromEntries(Object.keys(many).map((name) => [name, 1]));
      expect(() => s.map(crowded, [x], { parameters: values })).toThrowError(
        expect.objectContaining({ code: "LIMIT_EXCEEDED" }),
      );
    });
  });
});

test("a kernel compiles once: later runs are recorded at once, and make no pipeline", async () => {
  const { device } = rt();
  const kernel = defineElementwise({
    label: "once",
    inputs: ["x"],
    output: "float32",
    expression: "x * 3.0",
  });
  const asked = [
    vi.spyOn(device, "createComputePipelineAsync"),
    vi.spyOn(device, "createComputePipeline"),
    vi.spyOn(device, "createShaderModule"),
  ];
  await rt().scope(async (s) => {
    const x = s.full([9], 2, { dtype: "float32" });
    await s.map(kernel, [x]).data();
    const before = asked.map((spy) => spy.mock.calls.length);
    expect(before[0]).toBe(1);
    const dispatches = rt().stats().dispatchCount;
    const again = s.map(kernel, [x]);
    expect(rt().stats().dispatchCount).toBe(dispatches + 1);
    expect(asked.map((spy) => spy.mock.calls.length)).toEqual(before);
    expect(await again.toArray()).toEqual(Array.from({ length: 9 }, () => 6));
  });
  asked.forEach((spy) => spy.mockRestore());
});
