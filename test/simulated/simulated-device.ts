/**
 * A `GPUDevice` in plain memory: buffers, copies, mapping and error scopes with the platform's rules,
 * and failures on demand. It runs no WGSL; a test that needs a kernel says by label what it does.
 */

import { ErrorScopes, operationError } from "./errors.ts";
import { Faults } from "./faults.ts";
import { SimulatedBuffer, usages } from "./simulated-buffer.ts";
import { SimulatedEncoder } from "./simulated-encoder.ts";
import type {
  BindingUse,
  SimulatedBinding,
  SimulatedCommands,
  SimulatedGroup,
  SimulatedKernel,
  SimulatedLayout,
  SimulatedPipeline,
} from "./simulated-encoder.ts";

export interface SimulatedLimits {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxUniformBufferBindingSize: number;
  readonly minStorageBufferOffsetAlignment: number;
  readonly minUniformBufferOffsetAlignment: number;
  readonly maxComputeWorkgroupsPerDimension: number;
  readonly maxStorageBuffersPerShaderStage: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupSizeX: number;
  readonly maxComputeWorkgroupSizeY: number;
  readonly maxComputeWorkgroupStorageSize: number;
}

const defaults: SimulatedLimits = {
  maxBufferSize: 256 * 2 ** 20,
  maxStorageBufferBindingSize: 128 * 2 ** 20,
  maxUniformBufferBindingSize: 65_536,
  minStorageBufferOffsetAlignment: 256,
  minUniformBufferOffsetAlignment: 256,
  maxComputeWorkgroupsPerDimension: 65_535,
  maxStorageBuffersPerShaderStage: 8,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupSizeY: 256,
  maxComputeWorkgroupStorageSize: 16_384,
};

export interface SimulatedOptions {
  readonly limits?: Partial<SimulatedLimits>;
  /** Bytes that buffers may have together; beyond it is out of memory. */
  readonly memoryBytes?: number;
}

interface SimulatedModule {
  readonly label: string;
  readonly code: string;
  getCompilationInfo(): Promise<{ readonly messages: readonly never[] }>;
}

interface SimulatedPipelineDescriptor {
  readonly label?: string;
  readonly compute: { readonly module: SimulatedModule };
}

export class SimulatedDevice extends EventTarget {
  readonly label = "simulated device";
  readonly features: ReadonlySet<string> = new Set();
  readonly limits: SimulatedLimits;
  readonly faults = new Faults();
  /** What dispatches of a pipeline do, by its label. */
  readonly kernels = new Map<string, SimulatedKernel>();
  /** Those that are not destroyed. */
  readonly buffers = new Set<SimulatedBuffer>();
  readonly errors = new ErrorScopes((error) => this.#uncaptured(error));
  readonly queue = new SimulatedQueue(this);
  readonly lost: Promise<GPUDeviceLostInfo>;
  readonly #memoryBytes: number;
  #lose!: (info: GPUDeviceLostInfo) => void;
  isLost = false;

  constructor(options: SimulatedOptions = {}) {
    super();
    this.limits = { ...defaults, ...options.limits };
    this.#memoryBytes = options.memoryBytes ?? Number.POSITIVE_INFINITY;
    this.lost = new Promise((resolve) => (this.#lose = resolve));
  }

  /** The same object as the type that Moorage asks for. */
  get asDevice(): GPUDevice {
    return this as unknown as GPUDevice;
  }

  get liveBytes(): number {
    return [...this.buffers].reduce((sum, { size }) => sum + size, 0);
  }

  #uncaptured(error: GPUError): void {
    if (this.isLost) return;
    const event = new Event("uncapturederror", { cancelable: true });
    this.dispatchEvent(Object.assign(event, { error }));
  }

  /** Every call that reaches the device passes here: at one of them, it may be lost. */
  step(): void {
    if (this.faults.hits("loss")) this.lose("unknown", "injected");
  }

  lose(reason: GPUDeviceLostReason, message: string): void {
    if (this.isLost) return;
    this.isLost = true;
    for (const buffer of this.buffers) buffer.unmap();
    this.#lose({ __brand: "GPUDeviceLostInfo", reason, message });
  }

  destroy(): undefined {
    for (const buffer of this.buffers) buffer.destroy();
    this.lose("destroyed", "the device was destroyed");
  }

  createBuffer(descriptor: GPUBufferDescriptor): SimulatedBuffer {
    this.step();
    const { size, usage, mappedAtCreation = false, label = "" } = descriptor;
    if (mappedAtCreation && size % 4 !== 0) throw new RangeError("mapped size is no multiple of 4");
    if (mappedAtCreation && this.faults.hits("mappedAtCreation")) {
      throw new RangeError("injected: no memory to map");
    }
    const refusal = this.#refusalOf(size, usage);
    if (refusal !== null) this.errors.report("validation", `buffer "${label}": ${refusal}`);
    const isFull = this.liveBytes + size > this.#memoryBytes || this.faults.hits("createBuffer");
    if (refusal === null && isFull && !this.isLost) {
      this.errors.report("out-of-memory", `buffer "${label}" of ${size} bytes`);
    }
    const buffer = new SimulatedBuffer(this, descriptor, refusal !== null || isFull);
    this.buffers.add(buffer);
    return buffer;
  }

  #refusalOf(size: number, usage: number): string | null {
    if (size > this.limits.maxBufferSize) return `${size} bytes pass maxBufferSize`;
    if (usage === 0) return "there is no usage";
    const read = (usage & usages.mapRead) !== 0;
    const write = (usage & usages.mapWrite) !== 0;
    if (read && (usage & ~(usages.mapRead | usages.copyTarget)) !== 0) {
      return "MAP_READ goes only with COPY_DST";
    }
    if (write && (usage & ~(usages.mapWrite | usages.copySource)) !== 0) {
      return "MAP_WRITE goes only with COPY_SRC";
    }
    return null;
  }

  createBindGroupLayout({ label = "", entries }: GPUBindGroupLayoutDescriptor): SimulatedLayout {
    const uses = [...entries].map(({ buffer }): BindingUse => {
      if (buffer?.type === "storage") return "read_write";
      return buffer?.type === "read-only-storage" ? "read" : "uniform";
    });
    const hasDynamicOffset = [...entries].map(({ buffer }) => buffer?.hasDynamicOffset === true);
    return { label, uses, hasDynamicOffset };
  }

  createBindGroup(descriptor: {
    readonly label?: string;
    readonly layout: SimulatedLayout;
    readonly entries: Iterable<{
      readonly resource: { readonly buffer: SimulatedBuffer; offset?: number; size?: number };
    }>;
  }): SimulatedGroup {
    this.step();
    const { label = "", layout } = descriptor;
    let refusal: string | null = null;
    const bindings = [...descriptor.entries].map(({ resource }, index): SimulatedBinding => {
      const { buffer, offset = 0, size = buffer.size - offset } = resource;
      refusal ??= this.#bindingRefusal(layout.uses[index], buffer, offset, size);
      return { buffer, offset, size };
    });
    if (bindings.length !== layout.uses.length) refusal ??= "it has not as many entries";
    if (refusal !== null) this.errors.report("validation", `bind group "${label}": ${refusal}`);
    return { label, layout, bindings, isInvalid: refusal !== null };
  }

  #bindingRefusal(
    use: BindingUse | undefined,
    buffer: SimulatedBuffer,
    offset: number,
    size: number,
  ): string | null {
    const { limits } = this;
    const isUniform = use === "uniform";
    const alignment = isUniform
      ? limits.minUniformBufferOffsetAlignment
      : limits.minStorageBufferOffsetAlignment;
    const most = isUniform
      ? limits.maxUniformBufferBindingSize
      : limits.maxStorageBufferBindingSize;
    const needed = isUniform ? usages.uniform : usages.storage;
    if (buffer.isInvalid) return "a buffer is invalid";
    if ((buffer.usage & needed) === 0) return "a buffer lacks the usage";
    if (offset % alignment !== 0) return `offset ${offset} is no multiple of ${alignment}`;
    if (offset + size > buffer.size || size === 0) return "a range leaves its buffer";
    if (size > most) return `a binding of ${size} bytes`;
    if (!isUniform && size % 4 !== 0) return "a binding's size is no multiple of 4";
    return null;
  }

  createPipelineLayout({ label = "" }: { readonly label?: string }): { readonly label: string } {
    return { label };
  }

  createShaderModule({ label = "", code }: GPUShaderModuleDescriptor): SimulatedModule {
    return { label, code, getCompilationInfo: () => Promise.resolve({ messages: [] }) };
  }

  createComputePipeline({ label = "", compute }: SimulatedPipelineDescriptor): SimulatedPipeline {
    this.step();
    return { label, code: compute.module.code, isInvalid: false };
  }

  createComputePipelineAsync(descriptor: SimulatedPipelineDescriptor): Promise<SimulatedPipeline> {
    return Promise.resolve(this.createComputePipeline(descriptor));
  }

  createCommandEncoder({ label = "" }: { readonly label?: string } = {}): SimulatedEncoder {
    this.step();
    return new SimulatedEncoder(this, label);
  }

  pushErrorScope(filter: GPUErrorFilter): undefined {
    this.errors.push(filter);
  }

  popErrorScope(): Promise<GPUError | null> {
    try {
      const error = this.errors.pop();
      return Promise.resolve(this.isLost ? null : error);
    } catch (error) {
      return Promise.reject(error);
    }
  }
}

class SimulatedQueue {
  readonly label = "simulated queue";
  readonly #device: SimulatedDevice;

  constructor(device: SimulatedDevice) {
    this.#device = device;
  }

  submit(all: Iterable<SimulatedCommands>): undefined {
    const device = this.#device;
    device.step();
    if (device.isLost) return;
    const list = [...all];
    for (const commands of list) {
      const refusal = this.#refusalOf(commands);
      if (refusal === null) continue;
      device.errors.report("validation", `submit of "${commands.label}": ${refusal}`);
      // One bad buffer of commands, and none of the submission runs.
      return;
    }
    for (const { run } of list) run();
  }

  #refusalOf({ error, buffers }: SimulatedCommands): string | null {
    if (error !== null) return error;
    for (const buffer of buffers) {
      if (buffer.isDestroyed) return `buffer "${buffer.label}" is destroyed`;
      if (buffer.mapState !== "unmapped") return `buffer "${buffer.label}" is ${buffer.mapState}`;
    }
    return null;
  }

  writeBuffer(
    buffer: SimulatedBuffer,
    offset: number,
    data: ArrayBuffer | ArrayBufferView<ArrayBuffer>,
    first = 0,
    count?: number,
  ): undefined {
    const device = this.#device;
    device.step();
    const isView = ArrayBuffer.isView(data);
    const unit = isView && "BYTES_PER_ELEMENT" in data ? (data.BYTES_PER_ELEMENT as number) : 1;
    const all = isView
      ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      : new Uint8Array(data);
    const size = count === undefined ? all.length - first * unit : count * unit;
    if (size < 0 || first * unit + size > all.length) throw operationError("the data is too short");
    if (size % 4 !== 0) throw operationError("the size is no multiple of 4");
    if (device.isLost) return;
    const refuse = (message: string): undefined =>
      device.errors.report(
        "validation",
        `writeBuffer to "${buffer.label}": ${message}`,
      ) as undefined;
    if (buffer.isInvalid) return refuse("it is invalid");
    if (buffer.isDestroyed) return refuse("it is destroyed");
    if (buffer.mapState !== "unmapped") return refuse(`it is ${buffer.mapState}`);
    if ((buffer.usage & usages.copyTarget) === 0) return refuse("it has no COPY_DST");
    if (offset % 4 !== 0) return refuse("the offset is no multiple of 4");
    if (offset + size > buffer.size) return refuse("the range leaves it");
    buffer.memory.set(all.subarray(first * unit, first * unit + size), offset);
  }

  /** A task later, as the platform has it: nothing that waits is done at once. */
  onSubmittedWorkDone(): Promise<undefined> {
    return new Promise((resolve) => setImmediate(() => resolve(undefined)));
  }
}
