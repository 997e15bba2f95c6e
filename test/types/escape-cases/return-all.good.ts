// All of several promises.
import type { Runtime } from "moorage";

declare const rt: Runtime;
declare const data: Float32Array;
const options = { shape: [2], dtype: "float32" } as const;

export const out = rt.scope((s) => Promise.all([s.tensor(data, options).data()]));
