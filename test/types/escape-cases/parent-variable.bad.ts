// A child's tensor in a variable of the parent.
import type { Runtime } from "moorage";

declare const rt: Runtime;
declare const data: Float32Array;
const options = { shape: [2], dtype: "float32" } as const;

export const out = rt.scope(async (parent) => {
  let mine = parent.tensor(data, options);
  await parent.scope((s) => {
    // expect-error TS2719
    mine = s.tensor(data, options);
  });
  return await mine.data();
});
