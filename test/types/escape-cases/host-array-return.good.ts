// A host array of the scope.
import type { Runtime } from "moorage";

declare const rt: Runtime;

export const out = rt.scope((s) => s.array("float32", 4).slice());
