/** What every TensorFlow.js case needs: uploads that really happen, constants, and an end that is waited for. */

import type * as webgpu from "@tensorflow/tfjs-backend-webgpu";
import type * as core from "@tensorflow/tfjs-core";

import type { BenchHost, HostTensor, Numbers } from "../core/contract.ts";

export type Tf = typeof core;
export type TfWebGpu = typeof webgpu;
export type Backend = InstanceType<TfWebGpu["WebGPUBackend"]>;
export type Tensor = ReturnType<Tf["tensor"]>;
export type Tensor4D = ReturnType<Tf["tensor4d"]>;

export type Tensors = Readonly<Record<string, Tensor>>;
export type Values = Readonly<Record<string, number>>;

/** From the uploaded inputs to the output; runs inside a `tidy`. */
export type Graph = (kit: TensorflowKit, inputs: Tensors, values: Values) => Tensor;

export class TensorflowKit {
  readonly tf: Tf;
  readonly backend: Backend;
  readonly device: GPUDevice;
  readonly host: BenchHost;
  readonly #constants = new Map<string, Tensor>();

  constructor(tf: Tf, backend: Backend, device: GPUDevice, host: BenchHost) {
    this.tf = tf;
    this.backend = backend;
    this.device = device;
    this.host = host;
  }

  /** A tensor whose numbers are on the device: by itself the library uploads where they are first used. */
  upload({ data, shape }: Pick<HostTensor, "data" | "shape">): Tensor {
    const dtype = data instanceof Float32Array ? "float32" : "int32";
    const tensor = this.tf.tensor(data, [...shape], dtype);
    this.backend.uploadToGPU(tensor.dataId);
    return tensor;
  }

  /** Numbers that a graph uses in every iteration, uploaded at the first. */
  constant(name: string, make: () => Pick<HostTensor, "data" | "shape">): Tensor {
    let tensor = this.#constants.get(name);
    if (tensor === undefined) {
      tensor = this.tf.keep(this.upload(make()));
      this.#constants.set(name, tensor);
    }
    return tensor;
  }

  scalar(value: number): Tensor {
    return this.constant(`${value}`, () => ({ shape: [], data: Float32Array.of(value) }));
  }

  /** A buffer of the bench's own, of the kind that the library makes a tensor over without a copy. */
  buffer(data: Numbers): GPUBuffer {
    const buffer = this.device.createBuffer({
      label: "bench: TensorFlow.js",
      size: data.byteLength,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    this.device.queue.writeBuffer(buffer, 0, data as GPUAllowSharedBufferSource);
    return buffer;
  }

  /** Submits what the library has recorded and holds back: it submits by itself every 15 dispatches only. */
  flush(): void {
    this.backend.ensureCommandEncoderReady();
    this.backend.endComputePassEncoder();
    this.backend.submitQueue();
  }

  async finish(): Promise<void> {
    this.flush();
    await this.host.wait(this.device);
  }

  async read(tensor: Tensor): Promise<Numbers> {
    return await tensor.data();
  }

  dispose(): void {
    for (const tensor of this.#constants.values()) tensor.dispose();
    this.#constants.clear();
    this.flush();
  }
}
