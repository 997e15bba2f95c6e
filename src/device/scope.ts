/**
 * Scopes: one transaction over host memory, device scratch and whatever else is to end with it. A
 * scope owns whole pages, so scopes may overlap in time, and it survives `await`.
 *
 *     scope() ─▶ open ── body settles, either way ──▶ unwound in reverse order ─▶ ended
 */

import { HotArena } from "../host/arena/hot-arena.ts";
import type { ArrayOf, DType } from "../host/dtype.ts";
import { InvalidArgumentError, LifetimeError, OutOfMemoryError } from "../host/errors.ts";
import type { Branded } from "../host/lifetime.ts";
import { HostTensor } from "../host/tensor/host-tensor.ts";
import type { DeviceContext } from "./context.ts";
import { scopeEnded } from "./executor.ts";
import type { Placer } from "./executor.ts";
import { handlesIn } from "./handles-in.ts";
import type { Handle } from "./handles-in.ts";
import { copyOperation } from "./kernels/builtin.ts";
import { describe, longLived } from "./live-allocations.ts";
import type { LiveAllocation } from "./live-allocations.ts";
import { DeviceArena } from "./memory/device-arena.ts";
import { Operations } from "./operations.ts";
import { Tensor } from "./tensor.ts";
import type { TensorInput } from "./tensor.ts";

export interface ScopeOptions {
  /** Names the scope in errors and reports. */
  readonly label?: string;
  /** Ends the scope early: its next operation throws the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * Told at the scope's end, if there is anything to tell: of what was allocated while it ran, does not
   * end with it, and is not part of its result. Work of other scopes that overlap in time is among it.
   * Without this option nothing is looked at; with it, O(live) at both ends.
   */
  readonly onLeak?: (leaks: readonly LiveAllocation[]) => void;
}

/**
 * A function over a scope. It must accept a scope of any brand `C`, so nothing that carries the
 * brand can be part of its result.
 */
export type ScopeBody<R> = <C>(scope: Scope<C>) => R | Promise<R>;

/** `S` brands the tensors that end with this scope. */
export class Scope<S> extends Operations<S> {
  readonly label: string;
  /** Host temporaries of this scope; `hostTensor(scope.hot, …)` makes tensors that end with it. */
  readonly hot: HotArena & Branded<S>;
  readonly #signal: AbortSignal | undefined;
  readonly #scratch: DeviceArena;
  readonly #resources: Disposable[] = [];
  #ended = false;
  /** @internal Whether {@link require} was asked. */
  hasRequired = false;

  /** @internal */
  constructor(context: DeviceContext, options: ScopeOptions) {
    super(context);
    this.label = `scope "${options.label ?? "unnamed"}"`;
    this.#signal = options.signal;
    // The brand is for the compiler alone.
    this.hot = new HotArena(context.hotPages, this.label) as HotArena & Branded<S>;
    this.hot.observer = context.diagnostics;
    this.#scratch = context.arena(this.label);
  }

  /** @internal */
  protected override placer(): Placer {
    if (this.#ended) throw scopeEnded(this.label);
    this.#signal?.throwIfAborted();
    this.context.stream.requireDevice();
    return this.#scratch;
  }

  /**
   * A host array of `count` elements, valid until the scope ends. It holds old bytes. The brand keeps
   * it from being returned; assigned to a plain array type, or by its `buffer` and `subarray`, it is
   * raw: kept longer, it reads recycled memory, and in a `strict` runtime has length 0.
   */
  array<D extends DType>(dtype: D, count: number, label?: string): ArrayOf[D] & Branded<S> {
    this.placer();
    return this.hot.array(dtype, count, label) as ArrayOf[D] & Branded<S>;
  }

  /**
   * Promotes a tensor to the device heap, where it lives until it is disposed. Its memory changes hands
   * (only a tensor too small for pages of its own is moved): the scope's tensor shows the same elements
   * until the scope ends. Of a view, and of what no scope owns, it is a copy. Throws `OUT_OF_MEMORY`.
   */
  keep<D extends DType>(
    tensor: TensorInput<D>,
    options: { readonly label?: string } = {},
  ): Tensor<D> {
    this.placer();
    const input = this.context.executor.own(tensor);
    const { block, dtype, layout } = input;
    const label = options.label ?? input.label;
    const { region } = block;
    if (!input.isWhole || !(region instanceof DeviceArena)) {
      const use = { inputs: [input], output: dtype, label };
      const copy = this.context.elementwise.run(copyOperation, use, this.context.heap);
      return copy as unknown as Tensor<D>;
    }
    // Its own key: afterwards it is the heir's.
    const { key } = block;
    const heir = region.promote(block, label);
    this.context.stream.passFailure(key, heir.key);
    const kept = new Tensor<D>(this.context, heir, dtype, layout, label);
    kept.oweDisposal();
    return kept;
  }

  /** Disposes a resource when the scope ends, after those that were handed over later. */
  use<T extends Disposable>(resource: T): T {
    this.placer();
    this.#resources.push(resource);
    return resource;
  }

  /**
   * Refuses before any work is done: throws `OUT_OF_MEMORY` unless `byteLength` bytes of device
   * scratch could be had in all.
   */
  require(byteLength: number): void {
    this.placer();
    this.hasRequired = true;
    if (!(byteLength >= 0)) {
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `${this.label} requires ${byteLength} bytes; give a number of bytes`,
        { label: this.label },
      );
    }
    if (byteLength > this.context.pool.availableBytes) this.context.memory.reclaim();
    const { availableBytes } = this.context.pool;
    if (byteLength <= availableBytes) return;
    throw new OutOfMemoryError(
      `${this.label} requires ${byteLength} bytes of device scratch, and ${availableBytes} are available; dispose tensors, or raise budget.deviceBytes`,
      { requestedBytes: byteLength, availableBytes },
      { label: this.label },
    );
  }

  /** A scope inside this one, with memory of its own: await it here, it uses what this one made. */
  scope<R>(body: ScopeBody<R>, options: ScopeOptions = {}): Promise<R> {
    this.placer();
    const signals = [this.#signal, options.signal].filter((signal) => signal !== undefined);
    return runScope(
      this.context,
      body,
      signals.length === 0 ? options : { ...options, signal: AbortSignal.any(signals) },
    );
  }

  /** @internal */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    const errors: unknown[] = [];
    for (let index = this.#resources.length - 1; index >= 0; index--) {
      try {
        this.#resources[index]![Symbol.dispose]();
      } catch (error) {
        errors.push(error);
      }
    }
    this.#scratch.end();
    this.hot.end();
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1)
      throw new AggregateError(errors, `${errors.length} resources of ${this.label} failed to end`);
  }

  #endsHost(handle: Handle): boolean {
    return handle instanceof HostTensor && handle.isIn(this.hot);
  }

  /** @internal Throws `SCOPE_ESCAPE` where a result holds a tensor that ends with this scope. */
  refuseEscape(result: unknown): void {
    for (const handle of handlesIn(result)) {
      const isOurs = handle instanceof Tensor ? handle.isIn(this.#scratch) : this.#endsHost(handle);
      if (!isOurs) continue;
      const { label } = handle;
      this.context.advisor?.escaped(label);
      const remedy =
        handle instanceof Tensor ? `keep("${label}") or plain numbers` : "a copy, or plain numbers";
      throw new LifetimeError(
        "SCOPE_ESCAPE",
        `${this.label} returned "${label}", which ends with it; return ${remedy}`,
        { label },
      );
    }
  }
}

/** Runs `body` in a new scope, and ends the scope whatever happens. */
export async function runScope<R>(
  context: DeviceContext,
  body: ScopeBody<R>,
  options: ScopeOptions,
): Promise<R> {
  const { onLeak } = options;
  if (onLeak === undefined) return await runUnwatched(context, body, options);
  const before = new Set<unknown>(longLived(context));
  const tell = (result: unknown): void => {
    for (const handle of handlesIn(result)) before.add(handle.allocation);
    const leaks = longLived(context).filter((allocation) => !before.has(allocation));
    if (leaks.length > 0) onLeak(leaks.map((leak) => describe(context, leak)));
  };
  let result: R;
  try {
    result = await runUnwatched(context, body, options);
  } catch (error) {
    afterFailure(error, options.label ?? "scope", () => tell(null));
    throw error;
  }
  tell(result);
  return result;
}

async function runUnwatched<R>(
  context: DeviceContext,
  body: ScopeBody<R>,
  options: ScopeOptions,
): Promise<R> {
  context.stream.requireDevice();
  options.signal?.throwIfAborted();
  const scope = new Scope<unknown>(context, options);
  let result: R;
  try {
    result = await body(scope);
    options.signal?.throwIfAborted();
    scope.refuseEscape(result);
  } catch (error) {
    const isOutOfMemory = error instanceof OutOfMemoryError;
    if (isOutOfMemory && !scope.hasRequired) context.advisor?.ranOut(options.label ?? "scope");
    afterFailure(error, scope.label, () => scope.end());
    throw error;
  }
  scope.end();
  return result;
}

/** What has to be done although a scope has failed; neither failure hides the other. */
function afterFailure(error: unknown, label: string, action: () => void): void {
  try {
    action();
  } catch (cause) {
    throw new AggregateError([error, cause], `${label} failed, and so did its end`, { cause });
  }
}
