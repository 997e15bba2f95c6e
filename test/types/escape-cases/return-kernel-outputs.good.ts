// The outputs of a kernel, by name.
import type { EntryKernel, EntryUse, Runtime } from "moorage";

declare const rt: Runtime;
type I = { a: "float32" };
type O = { b: "float32" };
declare const kernel: EntryKernel<I, O, {}>;
declare const use: EntryUse<I, O, {}>;

export const out = rt.scope((s) => s.keep(s.run(kernel, use).b));
