// The tensor given to a function that takes tensors for keeps.
import type { Runtime, TensorInput } from "moorage";

declare const rt: Runtime;
declare const data: Float32Array;
const options = { shape: [2], dtype: "float32" } as const;

declare function look(x: TensorInput<"float32">): void;
export const out = rt.scope((s) => {
  look(s.tensor(data, options));
});
