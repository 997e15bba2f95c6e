/** Errors as the platform has them: some thrown, some rejected, and those that only a scope sees. */

/** What a scope catches, or `uncapturederror` tells. */
export class SimulatedError {
  readonly kind: GPUErrorFilter;
  readonly message: string;

  constructor(kind: GPUErrorFilter, message: string) {
    this.kind = kind;
    this.message = message;
  }
}

class SimulatedGpuError {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

/** Where no platform has been loaded: errors by the names that the platform's have. */
const named = {
  validation: class GPUValidationError extends SimulatedGpuError {},
  "out-of-memory": class GPUOutOfMemoryError extends SimulatedGpuError {},
  internal: class GPUInternalError extends SimulatedGpuError {},
};

/** The platform's own classes where they are, so that `instanceof` works as it does on a device. */
export function platformError({ kind, message }: SimulatedError): GPUError {
  const host: Partial<typeof globalThis> = globalThis;
  const classes = {
    validation: host.GPUValidationError ?? named.validation,
    "out-of-memory": host.GPUOutOfMemoryError ?? named["out-of-memory"],
    internal: host.GPUInternalError ?? named.internal,
  };
  return new classes[kind](message);
}

/** The error scopes of a device, and what falls through them. */
export class ErrorScopes {
  readonly #scopes: { readonly filter: GPUErrorFilter; first: SimulatedError | null }[] = [];
  readonly #uncaptured: (error: GPUError) => void;

  constructor(uncaptured: (error: GPUError) => void) {
    this.#uncaptured = uncaptured;
  }

  push(filter: GPUErrorFilter): void {
    this.#scopes.push({ filter, first: null });
  }

  /** The first error that the innermost scope caught. Throws where there is none open. */
  pop(): GPUError | null {
    const scope = this.#scopes.pop();
    if (scope === undefined) throw new DOMException("no error scope is open", "OperationError");
    return scope.first === null ? null : platformError(scope.first);
  }

  report(kind: GPUErrorFilter, message: string): void {
    const error = new SimulatedError(kind, message);
    const scope = this.#scopes.findLast(({ filter }) => filter === kind);
    if (scope === undefined) this.#uncaptured(platformError(error));
    else scope.first ??= error;
  }
}

export function operationError(message: string): DOMException {
  return new DOMException(message, "OperationError");
}
