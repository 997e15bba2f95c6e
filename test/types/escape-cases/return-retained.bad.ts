// Another owner of the tensor.
import type { Runtime } from "moorage";

declare const rt: Runtime;
declare const data: Float32Array;
const options = { shape: [2], dtype: "float32" } as const;

// expect-error TS2322
export const out = rt.scope((s) => s.tensor(data, options).retain());
