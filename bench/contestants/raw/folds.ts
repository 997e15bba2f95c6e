/** Sum, max and argmax in WGSL: how four lanes of a vec4 take in the next vec4, and become one. */

import { times } from "./wgsl.ts";

export type Fold = "sum" | "max" | "argmax";

/** The state `best0` (and `place0`: where each lane of it came from), or several of them. */
export function startOf(fold: Fold, states = 1): string {
  const lowest = fold === "sum" ? "0.0" : "-3e38";
  return times(
    states,
    (state) =>
      `var best${state} = vec4f(${lowest});${fold === "argmax" ? ` var place${state} = vec4u();` : ""}`,
    " ",
  );
}

/** Takes the vec4 `value`, which came from `place`, into a state. */
export function take(fold: Fold, value: string, place: string, state = 0): string {
  if (fold === "sum") return `best${state} += ${value};`;
  if (fold === "max") return `best${state} = max(best${state}, ${value});`;
  return `{ let higher = ${value} > best${state}; best${state} = select(best${state}, ${value}, higher); place${state} = select(place${state}, ${place}, higher); }`;
}

/** Takes `v0` to `v3`; argmax looks first whether any is higher, which is seldom. */
export function takeFour(fold: Fold, placeOf: (part: number) => string): string {
  if (fold === "sum") return "best0 += (v0 + v1) + (v2 + v3);";
  const highest = "max(max(v0, v1), max(v2, v3))";
  if (fold === "max") return `best0 = max(best0, ${highest});`;
  return `if (any(${highest} > best0)) { ${times(4, (part) => take(fold, `v${part}`, placeOf(part)), " ")} }`;
}

/** From the state, whose places are of elements, to `value` and `place` of the first of the best. */
export function finish(fold: Fold): string {
  if (fold === "sum") return "var value = dot(best0, vec4f(1.0));";
  if (fold === "max") return "var value = max(max(best0.x, best0.y), max(best0.z, best0.w));";
  return `var value = best0.x; var place = place0.x;
  ${["y", "z", "w"].map((part) => `if (comes_first(best0.${part}, place0.${part}, value, place)) { value = best0.${part}; place = place0.${part}; }`).join("\n  ")}`;
}

export const comesFirst = `
fn comes_first(value: f32, place: u32, other: f32, other_place: u32) -> bool {
  return value > other || (value == other && place < other_place);
}`;

/** Folds `value` (and `place`) of all lanes of a workgroup into those of lane 0. */
export function acrossWorkgroup(
  fold: Fold,
  size: number,
): { readonly shared: string; readonly code: string } {
  const [value, place] = ["shared_values", "shared_places"];
  const joined = {
    sum: `${value}[lane] += ${value}[lane + half];`,
    max: `${value}[lane] = max(${value}[lane], ${value}[lane + half]);`,
    argmax: `let other = lane + half;
      if (comes_first(${value}[other], ${place}[other], ${value}[lane], ${place}[lane])) {
        ${value}[lane] = ${value}[other];
        ${place}[lane] = ${place}[other];
      }`,
  }[fold];
  const isPlaced = fold === "argmax";
  return {
    shared: `var<workgroup> ${value}: array<f32, ${size}>;${isPlaced ? `\nvar<workgroup> ${place}: array<u32, ${size}>;` : ""}`,
    code: `${value}[lane] = value;${isPlaced ? ` ${place}[lane] = place;` : ""}
  workgroupBarrier();
  for (var half = ${size / 2}u; half > 0u; half >>= 1u) {
    if (lane < half) {
      ${joined}
    }
    workgroupBarrier();
  }
  value = ${value}[0];${isPlaced ? ` place = ${place}[0];` : ""}`,
  };
}
