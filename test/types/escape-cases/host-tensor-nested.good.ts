// A host tensor of an inner scope, in a variable of the outer one.
import { hostTensor } from "moorage";
import type { Runtime } from "moorage";

declare const rt: Runtime;
const options = { shape: [2], dtype: "float32" } as const;

export const out = rt.scope(async (outer) => {
  let kept = hostTensor(outer.hot, options);
  await outer.scope((inner) => {
    kept = hostTensor(inner.hot, options).copy(outer.hot);
  });
  return kept.at(0);
});
