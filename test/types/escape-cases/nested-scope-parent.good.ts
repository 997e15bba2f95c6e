// A parent's tensor as the result of its child.
import type { Runtime } from "moorage";

declare const rt: Runtime;
declare const data: Float32Array;
const options = { shape: [2], dtype: "float32" } as const;

export const out = rt.scope(async (s) => {
  const x = s.tensor(data, options);
  const y = await s.scope(() => x);
  return await y.data();
});
