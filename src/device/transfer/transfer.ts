/**
 * A transfer under way: what it is doing, how far it is, and a way to stop it.
 *
 *     waiting ─ first bytes submitted ─▶ running ─▶ done
 *        └──────────────┬──────────────────┘
 *                       └─▶ cancelled, failed
 */

import { CancelledError } from "../../host/errors.ts";
import { TransferControl } from "./transfer-control.ts";

/**
 * `waiting`: none of its bytes has been submitted. `running`: some have. `done`: the device, or the host
 * where it reads, has all of them. The others are ends without a result, which awaiting it throws.
 */
export type TransferStatus = "waiting" | "running" | "done" | "cancelled" | "failed";

export interface TransferInit {
  readonly label: string;
  readonly direction: "upload" | "readback";
  readonly byteLength: number;
  readonly signal?: AbortSignal | undefined;
}

/** Awaited, it gives its result. */
export class Transfer<T> implements Promise<T> {
  readonly [Symbol.toStringTag] = "Transfer";
  /** Of the tensor. */
  readonly label: string;
  readonly direction: "upload" | "readback";
  /** All there is to transfer. */
  readonly byteLength: number;
  readonly #control: TransferControl;
  readonly #promise: Promise<T>;
  #end: "done" | "cancelled" | "failed" | null = null;

  /** @internal */
  constructor(init: TransferInit, work: (control: TransferControl) => Promise<T>) {
    const { label, direction, byteLength, signal } = init;
    this.label = label;
    this.direction = direction;
    this.byteLength = byteLength;
    this.#control = new TransferControl(signal);
    this.#promise = this.#follow(work(this.#control));
  }

  async #follow(work: Promise<T>): Promise<T> {
    try {
      const result = await work;
      this.#end = "done";
      return result;
    } catch (error) {
      this.#end = this.#control.isReason(error) ? "cancelled" : "failed";
      throw error;
    }
  }

  get status(): TransferStatus {
    return this.#end ?? (this.submittedBytes > 0 ? "running" : "waiting");
  }

  /** Bytes that have been handed to the device so far: these can be stopped no more. */
  get submittedBytes(): number {
    return this.#control.submittedBytes;
  }

  /**
   * Stops what has not been submitted. Whether there was anything left to stop: then awaiting the
   * transfer throws `CANCELLED`, once nothing of it is under way any more, and a tensor that was to be
   * overwritten holds old bytes in part. O(1).
   */
  cancel(): boolean {
    if (this.#end !== null || this.submittedBytes >= this.byteLength) return false;
    this.#control.stop(
      new CancelledError(
        "CANCELLED",
        `the transfer of "${this.label}" was cancelled after ${this.submittedBytes} of ${this.byteLength} bytes; start it again for the rest`,
        { label: this.label },
      ),
    );
    // Who cancels need not wait for it.
    this.#promise.catch(() => {});
    return true;
  }

  // oxlint-disable-next-line unicorn/no-thenable -- a transfer is a promise by its interface: `await rt.read(x)` gives the array, and only a `then` of its own lets it carry status and cancel()
  then<R = T, E = never>(
    onFulfilled?: ((value: T) => R | PromiseLike<R>) | null,
    onRejected?: ((reason: unknown) => E | PromiseLike<E>) | null,
  ): Promise<R | E> {
    return this.#promise.then(onFulfilled, onRejected);
  }

  catch<E = never>(onRejected?: ((reason: unknown) => E | PromiseLike<E>) | null): Promise<T | E> {
    return this.#promise.catch(onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<T> {
    return this.#promise.finally(onFinally);
  }

  /** What `JSON.stringify` shows. */
  toJSON(): {
    label: string;
    direction: string;
    status: TransferStatus;
    submittedBytes: number;
    byteLength: number;
  } {
    const { label, direction, status, submittedBytes, byteLength } = this;
    return { label, direction, status, submittedBytes, byteLength };
  }

  toString(): string {
    return `Transfer "${this.label}" (${this.direction}, ${this.status}, ${this.submittedBytes} of ${this.byteLength} bytes)`;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}
