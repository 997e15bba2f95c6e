// A host array of the scope in an object.
import type { Runtime } from "moorage";

declare const rt: Runtime;

export const out = rt.scope((s) => ({ row: Array.from(s.array("float32", 4)) }));
