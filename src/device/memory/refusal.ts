/** What is said when device memory is refused: every byte, by who has it. */

import { formatBreakdown } from "../../host/diagnostics/breakdown.ts";
import { OutOfMemoryError } from "../../host/errors.ts";
import type { MemoryShare } from "../../host/errors.ts";

/** How matters stood when a request was refused, in bytes. */
export interface RefusalState {
  readonly requestedBytes: number;
  readonly availableBytes: number;
  readonly freeBytes: number;
  readonly largestFreeBytes: number;
  readonly reservedBytes: number;
  readonly budgetBytes: number;
  /** What is left of the budget over all kinds of buffers. */
  readonly totalLeftBytes: number;
  readonly breakdown: readonly MemoryShare[];
}

export function refusal(label: string, state: RefusalState): OutOfMemoryError {
  const { requestedBytes, availableBytes, largestFreeBytes, breakdown } = state;
  return new OutOfMemoryError(
    `"${label}" needs ${requestedBytes} bytes of device memory: ${state.reservedBytes} of the budget of ${state.budgetBytes} are reserved, ` +
      `${state.freeBytes} of them free, the largest free range has ${largestFreeBytes}; ${state.totalLeftBytes} are left of budget.totalBytes; ` +
      `live: ${formatBreakdown(breakdown)}; dispose tensors, end scopes, or raise the budget`,
    { requestedBytes, availableBytes, largestFreeBytes, breakdown },
    { label },
  );
}
