/** A line for every call of a region: what was asked, and what came of it. */

import type { Allocation, AllocationRequest, MemoryRegion } from "../region.ts";
import { RegionWrapper } from "./region-wrapper.ts";

export class LoggedRegion<A extends Allocation> extends RegionWrapper<A> {
  readonly #log: (line: string) => void;

  /** @param log - told one line, without a newline, after each call; what it throws reaches the caller */
  constructor(inner: MemoryRegion<A>, log: (line: string) => void) {
    super(inner);
    this.#log = log;
  }

  override alloc(request: AllocationRequest): A {
    return this.#logged(() => this.inner.alloc(request), "alloc", request);
  }

  override async allocAsync(request: AllocationRequest): Promise<A> {
    let made: A;
    try {
      made = await this.inner.allocAsync(request);
    } catch (error) {
      this.#say("allocAsync", request.label, `${request.byteLength} bytes: ${textOf(error)}`);
      throw error;
    }
    this.#say("allocAsync", request.label, `${request.byteLength} bytes`);
    return made;
  }

  override free(allocation: A): void {
    try {
      this.inner.free(allocation);
    } catch (error) {
      this.#say("free", allocation.label, textOf(error));
      throw error;
    }
    this.#say("free", allocation.label, `${allocation.byteLength} bytes`);
  }

  override realloc(allocation: A, byteLength: number): A {
    const { label } = allocation;
    return this.#logged(() => this.inner.realloc(allocation, byteLength), "realloc", {
      label,
      byteLength,
    });
  }

  #logged(action: () => A, call: string, { label, byteLength }: AllocationRequest): A {
    let made: A;
    try {
      made = action();
    } catch (error) {
      this.#say(call, label, `${byteLength} bytes: ${textOf(error)}`);
      throw error;
    }
    this.#say(call, label, `${byteLength} bytes`);
    return made;
  }

  #say(call: string, label: string | undefined, outcome: string): void {
    this.#log(`${this.label}: ${call} "${label ?? "unnamed"}" ${outcome}`);
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
