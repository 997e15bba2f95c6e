// The tensor in a variable outside.
import type { Runtime, Tensor } from "moorage";

declare const rt: Runtime;
declare const data: Float32Array;
const options = { shape: [2], dtype: "float32" } as const;

export let kept: Tensor<"float32"> | undefined;
export const out = rt.scope((s) => {
  // expect-error TS2322
  kept = s.tensor(data, options);
});
