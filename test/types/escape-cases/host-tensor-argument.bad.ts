// A host tensor of the scope, given to who keeps it.
import { hostTensor } from "moorage";
import type { HostTensor, Runtime, Shape } from "moorage";

declare const rt: Runtime;

declare function keepForever(tensor: HostTensor<"float32", Shape>): void;
export const out = rt.scope((s) => {
  // expect-error TS2345
  keepForever(hostTensor(s.hot, { shape: [2], dtype: "float32" }).slice([[0, 1]]));
});
