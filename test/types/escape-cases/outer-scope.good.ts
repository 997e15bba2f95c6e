// The scope in a variable outside.
import type { Runtime } from "moorage";

declare const rt: Runtime;

export let kept: string | undefined;
export const out = rt.scope((s) => {
  kept = s.label;
});
