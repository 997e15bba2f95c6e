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

export type Layout = "NCHW" | "NHWC";

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
  /** Names one of several models for a case. */
  readonly variant?: string;
  /** The order in which the runtime's convolutions hold pictures; its own choice unless told. */
  readonly layout?: Layout;
  /** Whether its launch is so small a part of it that capturing it is not worth a try. */
  readonly isLong?: boolean;
  /** An operator that gives wrong numbers on some adapters: its first result is looked at. */
  readonly doubtful?: string;
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
  async session(
    model: Uint8Array,
    { isCaptured = false, layout }: { isCaptured?: boolean; layout?: Layout | undefined } = {},
  ): Promise<OrtSession> {
    const provider = { name: "webgpu", device: this.device } as const;
    const session = await this.ort.InferenceSession.create(model, {
      executionProviders: [
        layout === undefined ? provider : { ...provider, preferredLayout: layout },
      ],
      preferredOutputLocation: "gpu-buffer",
      enableGraphCapture: isCaptured,
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

  /** Reads a buffer of the bench's own, which the runtime has no way to read. */
  async download(buffer: GPUBuffer, count: number): Promise<Float32Array> {
    const staging = this.device.createBuffer({
      label: "bench: ONNX Runtime read",
      size: buffer.size,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    const encoder = this.device.createCommandEncoder({ label: "bench: ONNX Runtime read" });
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
    this.device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const copy = new Float32Array(staging.getMappedRange().slice(0), 0, count);
    staging.destroy();
    return copy;
  }

  async dispose(): Promise<void> {
    for (const session of this.#sessions.splice(0)) await session.release();
    for (const buffer of this.#buffers.splice(0)) buffer.destroy();
  }
}
