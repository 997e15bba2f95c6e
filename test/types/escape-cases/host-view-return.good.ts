// A view beyond the call that it was made for.
import { hostTensor } from "moorage";
import type { Runtime } from "moorage";

declare const rt: Runtime;
const owner = hostTensor(rt.general, { shape: [4], dtype: "float32" });

export const out = owner.withView([[0, 2]], (view) => view.copy(rt.general));
