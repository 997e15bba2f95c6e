// A closure that gives the tensor.
import type { Runtime } from "moorage";

declare const rt: Runtime;

export const out = rt.scope((s) => () => s.label);
