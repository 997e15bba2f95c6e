// The tensor given to a function that takes tensors for keeps.
import type { Runtime, Tensor } from "moorage";

declare const rt: Runtime;
declare const data: Float32Array;
const options = { shape: [2], dtype: "float32" } as const;

declare function adopt(x: Tensor<"float32">): void;
export const out = rt.scope((s) => {
  // expect-error TS2345
  adopt(s.tensor(data, options));
});
