// The scope in a variable outside.
import type { Runtime, Scope } from "moorage";

declare const rt: Runtime;

export let kept: Scope<unknown> | undefined;
export const out = rt.scope((s) => {
  // expect-error TS2322
  kept = s;
});
