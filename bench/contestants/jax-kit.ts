/** What every jax-js case needs: uploads, submitting what is pending, and compiling where `jit` is asked for. */

import type { BenchHost, HostTensor, Numbers, Prepared, Problem } from "../core/contract.ts";
import type { Jax, JaxBackend } from "./jax-backends.ts";

export type JaxArray = ReturnType<Jax["numpy"]["array"]>;
export type Arrays = Record<string, JaxArray>;
export type Values = Readonly<Record<string, number>>;

/** A case as one function. An array is used up by the function that gets it; `.ref` is for using it once more. */
export interface JaxGraph {
  /** Uses up each of its inputs. */
  run(jax: Jax, inputs: Arrays, values: Values): JaxArray;
  /** Inputs in another order than the case gives them, or further ones; made on the host beforehand. */
  inputs?(given: Readonly<Record<string, HostTensor>>): Readonly<Record<string, HostTensor>>;
  /** Brings the output into the case's order, on the host. */
  output?(data: Float32Array, values: Values): Float32Array;
}

type Step = (...given: JaxArray[]) => JaxArray;

export type JaxProgram = (kit: JaxKit, problem: Problem) => Promise<Prepared>;

export class JaxKit {
  readonly jax: Jax;
  readonly device: GPUDevice;
  readonly host: BenchHost;
  readonly isJit: boolean;
  readonly #compiled: { dispose(): void }[] = [];

  constructor({ jax, device }: JaxBackend, host: BenchHost, isJit: boolean) {
    this.jax = jax;
    this.device = device;
    this.host = host;
    this.isJit = isJit;
  }

  async upload({ data, shape }: Pick<HostTensor, "data" | "shape">): Promise<JaxArray> {
    // Few equal numbers become a constant, which is written to the device where its buffer is asked for.
    const array = this.jax.numpy.array(
      data as Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>,
      {
        shape: [...shape],
      },
    );
    await this.submit(array);
    return array;
  }

  /** Issues what an array waits for: the library does nothing before a result is asked for. */
  async submit(array: JaxArray): Promise<void> {
    await array.ref.gpuBuffer();
  }

  /** The function itself, or compiled as a whole, until the kit is disposed. */
  compile<F extends (...given: never[]) => JaxArray>(step: F): F {
    if (!this.isJit) return step;
    const compiled = this.jax.jit(step as unknown as Step);
    this.#compiled.push(compiled);
    return compiled as unknown as F;
  }

  async read(array: JaxArray): Promise<Numbers> {
    return (await array.ref.data()) as Numbers;
  }

  dispose(): void {
    for (const compiled of this.#compiled.splice(0)) compiled.dispose();
  }
}
