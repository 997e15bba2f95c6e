// A child's tensor as the result of the child.
import type { Runtime } from "moorage";

declare const rt: Runtime;
declare const data: Float32Array;
const options = { shape: [2], dtype: "float32" } as const;

export const out = rt.scope((parent) =>
  // expect-error TS2322
  parent.scope((s) => s.tensor(data, options)),
);
