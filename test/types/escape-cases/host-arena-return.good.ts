// The arena of the scope.
import type { Runtime } from "moorage";

declare const rt: Runtime;

export const out = rt.scope((s) => s.hot.usedBytes);
