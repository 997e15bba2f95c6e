// A host tensor of the scope, in a variable outside.
import { hostTensor } from "moorage";
import type { HostTensor, Runtime } from "moorage";

declare const rt: Runtime;
const options = { shape: [2], dtype: "float32" } as const;

export let kept: HostTensor<"float32", readonly [2]> | undefined;
export const out = rt.scope((s) => {
  // expect-error TS2322
  kept = hostTensor(s.hot, options);
});
