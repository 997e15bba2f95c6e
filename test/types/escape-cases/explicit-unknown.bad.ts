// A result type that forgets whose the tensor is.
import type { Runtime, Tensor } from "moorage";

declare const rt: Runtime;
declare const data: Float32Array;
const options = { shape: [2], dtype: "float32" } as const;

// expect-error TS2322
export const out = rt.scope<Tensor<"float32", unknown>>((s) => s.tensor(data, options));
