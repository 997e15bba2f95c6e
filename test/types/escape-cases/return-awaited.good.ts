// The tensor, after work that awaits.
import type { Runtime } from "moorage";

declare const rt: Runtime;
declare const data: Float32Array;
const options = { shape: [2], dtype: "float32" } as const;

export const out = rt.scope(async (s) => {
  await rt.sync();
  return await s.tensor(data, options).data();
});
