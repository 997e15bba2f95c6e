/** What every ONNX Runtime case needs: sessions, inputs that are on the device, and outputs that stay there. */

import type * as ortPackage from "onnxruntime-web/webgpu";

import type { BenchHost, HostTensor, Numbers, Prepared, Problem } from "../../core/contract.ts";
import type { ModelBuilder } from "./model-builder.ts";

export type Ort = typeof ortPackage;
export type OrtTensor = InstanceType<Ort["Tensor"]>;
export type OrtSession = Awaited<ReturnType<Ort["InferenceSession"]["create"]>>;
export type Feeds = Readonly<Record<string, OrtTensor>>;

export type Names = Readonly<Record<string, string>>;
export type Values = Readonly<Record<string, number>>;

export interface OnnxModel {
  /** From the names of the inputs to the name of the output. */
  build(model: ModelBuilder, inputs: Names, values: Values): string;
  /** Those of the inputs that are part of the model, as weights are. */
  readonly weights?: readonly string[];
  /** Inputs in another order than the case gives them, made on the host beforehand. */
  inputs?(given: Readonly<Record<string, HostTensor>>): Readonly<Record<string, HostTensor>>;
  /** Brings the output into the case's order, on the host. */
  output?(data: Numbers, values: Values): Numbers;
  readonly outputType?: "int32" | "int64";
}

export type OnnxProgram = (kit: OnnxKit, problem: Problem) => Promise<Prepared>;

export class OnnxKit {
  readonly ort: Ort;
  readonly device: GPUDevice;
  readonly host: BenchHost;
  readonly #sessions: OrtSession[] = [];
  readonly #buffers: GPUBuffer[] = [];

  constructor(ort: Ort, device: GPUDevice, host: BenchHost) {
    this.ort = ort;
    this.device = device;
    this.host = host;
  }

  /** A model, ready to run on this device, with outputs that stay there. */
  async session(model: Uint8Array): Promise<OrtSession> {
    const session = await this.ort.InferenceSession.create(model, {
      executionProviders: [{ name: "webgpu", device: this.device }],
      preferredOutputLocation: "gpu-buffer",
    });
    this.#sessions.push(session);
    return session;
  }

  /** A buffer of the bench's own that holds an input, as the documentation has it for inputs on the device. */
  input({ shape, data }: HostTensor): OrtTensor {
    const buffer = this.device.createBuffer({
      label: "bench: ONNX Runtime input",
      // Copies of the runtime go in steps of 16 bytes.
      size: Math.ceil(data.byteLength / 16) * 16,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    this.#buffers.push(buffer);
    this.device.queue.writeBuffer(buffer, 0, data as GPUAllowSharedBufferSource);
    return this.over(buffer, shape, data instanceof Float32Array ? "float32" : "int32");
  }

  /** The first elements of a buffer as a tensor, without a copy. */
  over(
    buffer: GPUBuffer,
    shape: readonly number[],
    dataType: "float32" | "int32" = "float32",
  ): OrtTensor {
    return this.ort.Tensor.fromGpuBuffer(buffer, { dataType, dims: [...shape] });
  }

  async finish(): Promise<void> {
    await this.host.wait(this.device);
  }

  async read(tensor: OrtTensor): Promise<Numbers> {
    const data = await tensor.getData();
    // Places are 64 bits wide in this format.
    if (data instanceof BigInt64Array) return Int32Array.from(data, Number);
    return data as Numbers;
  }

  async dispose(): Promise<void> {
    for (const session of this.#sessions.splice(0)) await session.release();
    for (const buffer of this.#buffers.splice(0)) buffer.destroy();
  }
}
