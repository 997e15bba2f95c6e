// The tensor in an array outside.
import type { Runtime, Tensor } from "moorage";

declare const rt: Runtime;
declare const data: Float32Array;
const options = { shape: [2], dtype: "float32" } as const;

export const all: Tensor<"float32">[] = [];
export const out = rt.scope((s) => {
  // expect-error TS2345
  all.push(s.tensor(data, options));
});
