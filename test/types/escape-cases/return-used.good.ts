// What use() gives back.
import type { Runtime } from "moorage";

declare const rt: Runtime;

export const out = rt.scope((s) => s.use(rt.zeros([2], { dtype: "float32" })));
