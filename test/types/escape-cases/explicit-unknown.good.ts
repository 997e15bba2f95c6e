// A result type that forgets whose the tensor is.
import type { Runtime } from "moorage";

declare const rt: Runtime;
declare const data: Float32Array;
const options = { shape: [2], dtype: "float32" } as const;

export const out = rt.scope<string>((s) => s.tensor(data, options).label);
