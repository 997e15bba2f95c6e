// A host array of the scope.
import type { Runtime } from "moorage";

declare const rt: Runtime;

// expect-error TS2322
export const out = rt.scope((s) => s.array("float32", 4));
