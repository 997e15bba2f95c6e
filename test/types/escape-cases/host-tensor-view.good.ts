// A view of a host tensor of the scope.
import { hostTensor } from "moorage";
import type { Runtime } from "moorage";

declare const rt: Runtime;
const options = { shape: [2], dtype: "float32" } as const;

export const out = rt.scope((s) => hostTensor(s.hot, options).reshape([2, 1]).toArray());
