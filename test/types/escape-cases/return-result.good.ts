// The result of an operation on a tensor that lives outside.
import type { Runtime, Tensor } from "moorage";

declare const rt: Runtime;
declare const long: Tensor<"float32">;

export const out = rt.scope(() => rt.add(long, 1));
