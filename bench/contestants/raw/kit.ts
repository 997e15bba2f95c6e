/**
 * What every hand-written case needs: buffers, pipelines and bind groups that are made beforehand,
 * and one pass in one submit for all iterations. Shares no code with Moorage.
 */

import type { BenchHost, HostTensor, Numbers, Prepared } from "../../core/contract.ts";

/** One dispatch, ready to be recorded. */
export interface Step {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly workgroups: readonly [x: number, y?: number, z?: number];
}

/** A buffer to be checked: its elements from the start. */
export interface Output {
  readonly buffer: GPUBuffer;
  readonly count: number;
  readonly type?: new (buffer: ArrayBuffer) => Numbers;
}

export class Kit {
  readonly device: GPUDevice;
  readonly host: BenchHost;
  readonly #buffers: GPUBuffer[] = [];
  readonly #textures: GPUTexture[] = [];

  readonly #isCold: boolean;

  constructor(device: GPUDevice, host: BenchHost, isCold = false) {
    this.#isCold = isCold;
    this.device = device;
    this.host = host;
  }

  /** A storage buffer that can be copied to and from. */
  buffer(label: string, bytes: number, usage = 0): GPUBuffer {
    const buffer = this.device.createBuffer({
      label: `raw: ${label}`,
      size: Math.max(16, Math.ceil(bytes / 4) * 4),
      usage: usage | GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    this.#buffers.push(buffer);
    return buffer;
  }

  /** A storage buffer that holds an input. */
  input(label: string, { data }: HostTensor): GPUBuffer {
    const buffer = this.buffer(label, data.byteLength);
    this.device.queue.writeBuffer(buffer, 0, data as GPUAllowSharedBufferSource);
    return buffer;
  }

  /** Small numbers for a kernel, as a uniform. */
  uniform(label: string, values: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>): GPUBuffer {
    const buffer = this.device.createBuffer({
      label: `raw: ${label}`,
      size: Math.ceil(values.byteLength / 16) * 16,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    this.#buffers.push(buffer);
    this.device.queue.writeBuffer(buffer, 0, values);
    return buffer;
  }

  /** A buffer that the host maps: one to write is mapped from the start. */
  staging(label: string, bytes: number, direction: "read" | "write"): GPUBuffer {
    const isWrite = direction === "write";
    const buffer = this.device.createBuffer({
      label: `raw: ${label}`,
      size: bytes,
      usage: isWrite
        ? GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC
        : GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      mappedAtCreation: isWrite,
    });
    this.#buffers.push(buffer);
    return buffer;
  }

  /** A texture that is only copied to and from. */
  texture(
    label: string,
    size: [width: number, height: number],
    format: GPUTextureFormat,
  ): GPUTexture {
    const usage = GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST;
    const texture = this.device.createTexture({ label: `raw: ${label}`, size, format, usage });
    this.#textures.push(texture);
    return texture;
  }

  async pipeline(
    label: string,
    code: string,
    constants?: Record<string, number>,
  ): Promise<GPUComputePipeline> {
    const module = this.device.createShaderModule({ label: `raw: ${label}`, code });
    const descriptor: GPUComputePipelineDescriptor = {
      label: `raw: ${label}`,
      layout: "auto",
      compute: { module, ...(constants === undefined ? {} : { constants }) },
    };
    // Where compiling is what is measured, waiting for another thread to do it only adds to it.
    return this.#isCold
      ? this.device.createComputePipeline(descriptor)
      : await this.device.createComputePipelineAsync(descriptor);
  }

  /** A step over whole buffers, bound in order from 0. */
  step(
    pipeline: GPUComputePipeline,
    buffers: readonly (GPUBuffer | GPUBufferBinding)[],
    workgroups: Step["workgroups"],
  ): Step {
    const group = this.device.createBindGroup({
      label: pipeline.label,
      layout: pipeline.getBindGroupLayout(0),
      entries: buffers.map((buffer, binding) => ({
        binding,
        resource: "buffer" in buffer ? buffer : { buffer },
      })),
    });
    return { pipeline, group, workgroups };
  }

  /** Records the steps `iterations` times in one pass, and submits once. */
  submit(steps: readonly Step[], iterations: number): void {
    const encoder = this.device.createCommandEncoder({ label: "raw" });
    const pass = encoder.beginComputePass({ label: "raw" });
    let pipeline: GPUComputePipeline | undefined;
    let group: GPUBindGroup | undefined;
    for (let index = 0; index < iterations; index++) {
      for (const step of steps) {
        if (step.pipeline !== pipeline) pass.setPipeline((pipeline = step.pipeline));
        if (step.group !== group) pass.setBindGroup(0, (group = step.group));
        const [x, y = 1, z = 1] = step.workgroups;
        pass.dispatchWorkgroups(x, y, z);
      }
    }
    pass.end();
    this.device.queue.submit([encoder.finish()]);
  }

  async read(
    buffer: GPUBuffer,
    count: number,
    type: new (buffer: ArrayBuffer) => Numbers = Float32Array,
  ): Promise<Numbers> {
    const size = Math.ceil((count * (type === Uint8Array ? 1 : 4)) / 4) * 4;
    const staging = this.device.createBuffer({
      label: "raw: read",
      size,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    const encoder = this.device.createCommandEncoder({ label: "raw: read" });
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, size);
    this.device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const copy = staging.getMappedRange().slice(0);
    staging.destroy();
    return new type(copy).subarray(0, count);
  }

  /** Steps as prepared work: the outputs are buffers and their element counts. */
  prepared(steps: readonly Step[], outputs: readonly Output[], variant?: string): Prepared {
    return this.#prepared((iterations) => this.submit(steps, iterations), outputs, variant);
  }

  /** Copies as prepared work: `record` records one iteration, and all of a call are submitted once. */
  preparedCopies(
    record: (encoder: GPUCommandEncoder) => void,
    outputs: readonly Output[],
    variant?: string,
  ): Prepared {
    const submit = (iterations: number): void => {
      const encoder = this.device.createCommandEncoder({ label: "raw: copies" });
      for (let index = 0; index < iterations; index++) record(encoder);
      this.device.queue.submit([encoder.finish()]);
    };
    return this.#prepared(submit, outputs, variant);
  }

  #prepared(
    submit: (iterations: number) => void,
    outputs: readonly Output[],
    variant: string | undefined,
  ): Prepared {
    return {
      ...(variant === undefined ? {} : { variant }),
      run: async (iterations) => {
        submit(iterations);
        await this.host.wait(this.device);
      },
      outputs: async () => {
        const read: Numbers[] = [];
        for (const { buffer, count, type } of outputs)
          read.push(await this.read(buffer, count, type));
        return read;
      },
      dispose: () => this.dispose(),
    };
  }

  dispose(): void {
    for (const buffer of this.#buffers) buffer.destroy();
    this.#buffers.length = 0;
    for (const texture of this.#textures) texture.destroy();
    this.#textures.length = 0;
  }
}
