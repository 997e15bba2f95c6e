/** What the device tests share: tolerances, comparisons, and runtimes on which no error may pass unseen. */

import type { DType, MoorageError, Operations, Tensor } from "moorage";
import type { NodeRuntimeOptions, Runtime } from "moorage/node";
import { afterEach, expect } from "vitest";

import { openRuntime, useRuntime } from "../harness.ts";
import { decode, encode, sizeOf } from "./reference.ts";
import type { Reference } from "./reference.ts";

/** How far a result may be from the float64 reference. */
export interface Tolerance {
  readonly relative: number;
  readonly absolute: number;
}

/**
 * In one place: what WGSL allows each function in float32, a little rounded up. Sums are of a few
 * thousand terms at most, in any order.
 */
export const tolerance = {
  exact: { relative: 0, absolute: 0 },
  /** Correctly rounded operations, and divisions (2.5 ULP). */
  rounded: { relative: 4e-7, absolute: 0 },
  /** exp, log, pow, tanh, sigmoid and what is made of them. */
  transcendental: { relative: 4e-6, absolute: 1e-6 },
  /** sin and cos within ±π: 2^-11 absolute. */
  trigonometric: { relative: 0, absolute: 2 ** -11 },
  sum: { relative: 2e-6, absolute: 2e-5 },
  /** One rounding to float16 on top, to either side. */
  float16: { relative: 2 ** -10, absolute: 2 ** -24 },
} as const satisfies { readonly [name: string]: Tolerance };

/** The tolerance of a result in `dtype`: integers are exact, float16 is rounded once more. */
export function within(base: Tolerance, dtype: DType): Tolerance {
  if (dtype === "float32") return base;
  if (dtype !== "float16") return tolerance.exact;
  return {
    relative: base.relative + tolerance.float16.relative,
    absolute: base.absolute + tolerance.float16.absolute,
  };
}

/** Compares every element; fails with the first that is off. */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { relative, absolute }: Tolerance,
  what: string,
): void {
  expect(actual.length, `${what}: elements`).toBe(expected.length);
  for (let index = 0; index < expected.length; index++) {
    const [is, should] = [actual[index]!, expected[index]!];
    if (is === should || (Number.isNaN(is) && Number.isNaN(should))) continue;
    if (Math.abs(is - should) <= absolute + relative * Math.abs(should)) continue;
    expect.fail(`${what}: element ${index} of ${expected.length} is ${is}, not ${should}`);
  }
}

/** Reads a tensor and compares shape, dtype and elements with a reference. */
export async function expectTensor<S>(
  tensor: Tensor<DType, S>,
  expected: Reference,
  base: Tolerance,
  what: string,
): Promise<void> {
  expect([...tensor.shape], `${what}: shape`).toEqual([...expected.shape]);
  expect(tensor.dtype, `${what}: dtype`).toBe(expected.dtype);
  const actual = decode(tensor.dtype, await tensor.data());
  expectClose(actual, expected.values, within(base, tensor.dtype), what);
}

/** Puts a reference on the device. */
export function put<S>(to: Operations<S>, x: Reference, label = "x"): Tensor<DType, S> {
  return to.tensor(encode(x), { shape: x.shape, dtype: x.dtype, label });
}

/** A tensor without a home of its own: the inner part of a larger one, at an odd offset. */
export function putInside<S>(
  to: Operations<S>,
  x: Reference,
  before = 3,
  after = 2,
): Tensor<DType, S> {
  const count = sizeOf(x.shape);
  const values = new Float64Array(before + count + after);
  values.set(x.values, before);
  const owner = put(to, { ...x, shape: [values.length], values }, "owner");
  return owner.slice([before, before + count]).reshape(x.shape);
}

/** A runtime shared by a file's tests on which no error may be reported. */
export function useStrictRuntime(options: NodeRuntimeOptions = {}): () => Runtime {
  const errors: MoorageError[] = [];
  const runtime = useRuntime({ ...options, onError: (error) => errors.push(error) });
  afterEach(() => {
    const seen = errors.splice(0).map(({ message }) => message);
    expect(seen, "errors reported by the device").toEqual([]);
  });
  return runtime;
}

/** Opens a runtime for `use`, and disposes it; no error may be reported. */
export async function withRuntime<T>(
  options: NodeRuntimeOptions,
  use: (runtime: Runtime) => Promise<T>,
): Promise<T> {
  const errors: MoorageError[] = [];
  const runtime = await openRuntime({ onError: (error) => errors.push(error), ...options });
  try {
    return await use(runtime);
  } finally {
    await runtime.dispose();
    expect(
      errors.map(({ message }) => message),
      "errors reported by the device",
    ).toEqual([]);
  }
}
