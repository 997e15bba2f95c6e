/** Whose memory a message of the platform is about. */

import { KiB } from "moorage";
import { expect, test } from "vitest";

import type { DeviceContext } from "../../src/device/context.ts";
import { involvedTensors } from "../../src/device/involved.ts";
import { useRuntime } from "../harness.ts";

const rt = useRuntime({ slabBytes: 64 * KiB });

test("those in the slabs that it names, and in the ranges that it gives", () => {
  const { context } = rt() as unknown as { readonly context: DeviceContext };
  const tensors = ["a", "b", "c"].map((label) => rt().empty([KiB], { dtype: "float32", label }));
  const blocks = tensors.map(({ block }) => block);
  const slab = context.pool.slab(context.table.slab[blocks[0]!.row]!);
  const name = `[Buffer "moorage slab ${slab.serial}"]`;
  expect(involvedTensors(context, "something is wrong")).toBe("");
  expect(involvedTensors(context, '[Buffer "moorage slab 999999"]')).toBe("");
  expect(involvedTensors(context, `wrong in ${name} and ${name}`)).toBe('"a", "b", "c"');
  const range = `(offset: ${blocks[1]!.byteOffset}, size: ${4 * KiB})`;
  expect(involvedTensors(context, `overlapping ranges ${range} in ${name}`)).toBe('"b"');
  const wide = `(offset: ${blocks[1]!.byteOffset - 1}, size: ${4 * KiB + 2})`;
  expect(involvedTensors(context, `overlapping ranges ${wide} in ${name}`)).toBe('"a", "b", "c"');
  for (let more = 0; more < 7; more++)
    tensors.push(rt().empty([4], { dtype: "float32", label: `more ${more}` }));
  expect(involvedTensors(context, name)).toMatch(/^"a", "b", "c", "more 0".*, and 2 more$/);
  for (const tensor of tensors) tensor.dispose();
  expect(involvedTensors(context, name)).toBe("");
});
