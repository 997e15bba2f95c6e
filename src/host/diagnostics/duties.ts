/**
 * Handles that somebody has to dispose. One that the engine collects before is told, with the place
 * that made it: its memory is lost until the runtime ends, and nobody can name it any more.
 */

import { callerStack } from "./caller-stack.ts";

/** What the handle is of: pinned memory, device memory outside of scopes, a block that must not move. */
export type DutyKind = "pinned" | "tensor" | "pin";

/** What is known of a handle that nobody can reach any more. */
export interface ForgottenDuty {
  readonly kind: DutyKind;
  readonly label: string;
  /** Where the handle was made. */
  readonly origin: string | undefined;
}

export class Duties {
  readonly #registry: FinalizationRegistry<ForgottenDuty>;
  #hasEnded = false;

  constructor(tell: (duty: ForgottenDuty) => void) {
    this.#registry = new FinalizationRegistry((duty) => {
      if (!this.#hasEnded) tell(duty);
    });
  }

  /** From now on it is a mistake to lose `handle` without disposing it. */
  owe(handle: object, kind: DutyKind, label: string): void {
    this.#registry.register(handle, { kind, label, origin: callerStack(1) }, handle);
  }

  paid(handle: object): void {
    this.#registry.unregister(handle);
  }

  /** What is lost from now on went with everything else. */
  end(): void {
    this.#hasEnded = true;
  }
}
