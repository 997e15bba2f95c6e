// The tensor, after work that awaits.
import type { Runtime } from "moorage";

declare const rt: Runtime;
declare const data: Float32Array;
const options = { shape: [2], dtype: "float32" } as const;

// expect-error TS2345
export const out = rt.scope(async (s) => {
  await rt.sync();
  return s.tensor(data, options);
});
