/** How a case is written for Moorage: as a graph over its inputs, or as a program of its own. */

import type { Runtime, Scope, Tensor } from "moorage";

import type { BenchHost, Prepared, Problem, Variant } from "../../core/contract.ts";

/** What a graph computes with: a tensor of any dtype. */
export type Operand = Tensor<"float32">;

/** From the inputs of a case to its outputs, in any scope. */
export type Graph = <S>(
  s: Scope<S>,
  inputs: Readonly<Record<string, Operand>>,
  values: Readonly<Record<string, number>>,
) =>
  | Tensor<"float32" | "int32" | "uint32", S>
  | readonly Tensor<"float32" | "int32" | "uint32", S>[];

/** A case that is not one graph over uploaded inputs. */
export type Program = (
  runtime: Runtime,
  problem: Problem,
  host: BenchHost,
) => Promise<Prepared | readonly Variant[]>;
