// The tensor in an object.
import type { Runtime } from "moorage";

declare const rt: Runtime;
declare const data: Float32Array;
const options = { shape: [2], dtype: "float32" } as const;

// expect-error TS2322
export const out = rt.scope((s) => ({ x: s.tensor(data, options) }));
