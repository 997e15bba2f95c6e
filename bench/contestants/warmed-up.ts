/** Peers compile a kernel where it is first used; what is prepared has to be compiled already. */

import type { Prepared, Problem } from "../core/contract.ts";

/** Runs once beforehand, except where the first use is what is measured. */
export async function warmedUp(
  prepared: Prepared,
  { case: { cold } }: Pick<Problem, "case">,
): Promise<Prepared> {
  if (cold === true) return prepared;
  try {
    await prepared.run(1);
    return prepared;
  } catch (error) {
    await prepared.dispose();
    throw error;
  }
}
