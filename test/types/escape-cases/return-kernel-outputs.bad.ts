// The outputs of a kernel, by name.
import type { EntryKernel, EntryUse, Runtime } from "moorage";

declare const rt: Runtime;
type I = { a: "float32" };
type O = { b: "float32" };
declare const kernel: EntryKernel<I, O, {}>;
declare const use: EntryUse<I, O, {}>;

// expect-error TS2322
export const out = rt.scope((s) => s.run(kernel, use));
