// The tensor in a field of an object outside.
import type { Runtime, Tensor } from "moorage";

declare const rt: Runtime;
declare const data: Float32Array;
const options = { shape: [2], dtype: "float32" } as const;

export const model: { w?: Tensor<"float32"> } = {};
export const out = rt.scope((s) => {
  model.w = s.keep(s.tensor(data, options));
});
