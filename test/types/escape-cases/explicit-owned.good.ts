// A result type that claims the tensor is owned.
import type { Runtime, Tensor } from "moorage";

declare const rt: Runtime;
declare const data: Float32Array;
const options = { shape: [2], dtype: "float32" } as const;

export const out = rt.scope<Tensor<"float32">>((s) => s.keep(s.tensor(data, options)));
