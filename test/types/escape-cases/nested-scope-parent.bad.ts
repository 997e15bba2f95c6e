// A parent's tensor as the result of its child.
import type { Runtime } from "moorage";

declare const rt: Runtime;
declare const data: Float32Array;
const options = { shape: [2], dtype: "float32" } as const;

// expect-error TS2345
export const out = rt.scope(async (s) => {
  const x = s.tensor(data, options);
  return await s.scope(() => x);
});
