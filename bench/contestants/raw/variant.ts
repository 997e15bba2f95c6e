import type { Prepared, Problem } from "../../core/contract.ts";
import type { Kit } from "./kit.ts";

/** A way to do a case by hand, over a kit of its own; a case lists those worth trying, the likeliest first. */
export type RawVariant = (problem: Problem, kit: Kit) => Promise<Prepared>;
