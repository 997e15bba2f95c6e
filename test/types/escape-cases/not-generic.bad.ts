// A body for one scope only, which could keep what it is given.
import type { Runtime, Scope } from "moorage";

declare const rt: Runtime;

declare const body: (s: Scope<{ readonly mine: true }>) => number;
// expect-error TS2345
export const out = rt.scope(body);
