// A body for one scope only, which could keep what it is given.
import type { Runtime, Scope } from "moorage";

declare const rt: Runtime;

declare const body: <C>(s: Scope<C>) => number;
export const out = rt.scope(body);
