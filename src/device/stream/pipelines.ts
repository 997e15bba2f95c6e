/** Compiles the variants of kernels, and shares the layouts of those that bind alike. */

import { KernelError } from "../../host/errors.ts";
import type { KernelMessage } from "../../host/errors.ts";
import { bodyMarker } from "../../shaders/elementwise.ts";
import { entryMarker } from "../../shaders/entry.ts";
import { computeStage } from "../memory/gpu-constants.ts";
import type { Waits } from "../waiting/waits.ts";
import type { BindingLayout, BindingShape, Kernel, Variant } from "./kernel.ts";

export class Pipelines {
  readonly #device: GPUDevice;
  readonly #ringLayout: GPUBindGroupLayout;
  readonly #waits: Waits;
  readonly #layouts = new Map<string, BindingLayout>();
  readonly #maxDynamic: number;
  /** Built-in kernels that the device has not answered for yet. */
  readonly #checks = new Set<Promise<void>>();
  #refusal: KernelError | null = null;

  constructor(device: GPUDevice, ringLayout: GPUBindGroupLayout, waits: Waits) {
    this.#device = device;
    this.#waits = waits;
    this.#ringLayout = ringLayout;
    this.#maxDynamic = device.limits.maxDynamicStorageBuffersPerPipelineLayout;
  }

  /** A variant, compiled at once where the kernel is built in. */
  create(kernel: Kernel, shape: BindingShape): Variant {
    const variant: Variant = { kernel, shape, layout: this.#layout(shape), pipeline: null };
    if (!kernel.isUserDefined) this.#compileNow(variant);
    return variant;
  }

  /**
   * Settles when the device has accepted every built-in kernel compiled so far; rejects where it
   * refused one. What was computed is worth nothing then: the batch with the kernel was dropped.
   */
  async verify(): Promise<void> {
    while (this.#checks.size > 0) await Promise.all(this.#checks);
    if (this.#refusal !== null) throw this.#refusal;
  }

  /** Whether {@link verify} would settle at once. */
  get isVerified(): boolean {
    return this.#checks.size === 0 && this.#refusal === null;
  }

  #compileNow(variant: Variant): void {
    const { kernel, shape } = variant;
    const device = this.#device;
    device.pushErrorScope("validation");
    const module = device.createShaderModule({
      label: `moorage ${kernel.label}`,
      code: kernel.source(shape),
    });
    variant.pipeline = device.createComputePipeline(this.#descriptor(variant, module));
    const check: Promise<void> = device.popErrorScope().then(
      (error) => this.#checked(check, kernel.label, error),
      // The device is lost: that is told elsewhere.
      () => this.#checked(check, kernel.label, null),
    );
    this.#checks.add(check);
  }

  #checked(check: Promise<void>, label: string, cause: GPUError | null): void {
    this.#checks.delete(check);
    if (cause === null) return;
    this.#refusal ??= new KernelError(
      "KERNEL_VALIDATION",
      `this device refuses the built-in kernel "${label}", so nothing that was computed with it can be trusted; ` +
        `please report it with the adapter's name: ${cause.message}`,
      { label, cause },
    );
  }

  /**
   * Compiles a variant and waits for the compiler. Rejects with `KERNEL_COMPILATION`, lines counted
   * in the author's text, or with `KERNEL_VALIDATION`. Nothing else of the device is harmed.
   */
  async compile(variant: Variant): Promise<void> {
    if (variant.pipeline !== null) return;
    const { kernel } = variant;
    const code = kernel.source(variant.shape);
    const device = this.#device;
    // The scope swallows what would otherwise be an uncaptured error; the messages say more.
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ label: `moorage ${kernel.label}`, code });
    const scope = device.popErrorScope();
    const info = await module.getCompilationInfo();
    const failure = await scope;
    const messages = info.messages.map((message) => authorMessage(message, code));
    if (failure !== null || messages.some(({ type }) => type === "error")) {
      throw compilationError(kernel.label, messages, failure);
    }
    try {
      const compiling = device.createComputePipelineAsync(this.#descriptor(variant, module));
      variant.pipeline = await this.#waits.during(compiling);
    } catch (cause) {
      throw new KernelError(
        "KERNEL_VALIDATION",
        `kernel "${kernel.label}" compiles, but the device refuses its pipeline: ${messageOf(cause)}`,
        { label: kernel.label, cause },
      );
    }
  }

  #descriptor(variant: Variant, module: GPUShaderModule): GPUComputePipelineDescriptor {
    return {
      label: `moorage ${variant.kernel.label}`,
      layout: variant.layout.pipelineLayout,
      compute: { module },
    };
  }

  #layout(shape: BindingShape): BindingLayout {
    const key = shape.access.map((access, slot) => `${access}${shape.isExact[slot]}`).join();
    const known = this.#layouts.get(key);
    if (known !== undefined) return known;
    // Some adapters allow only four dynamic storage buffers.
    const isDynamic = shape.isExact.filter(Boolean).length <= this.#maxDynamic;
    const bindGroupLayout = this.#device.createBindGroupLayout({
      label: `moorage bindings ${key}`,
      entries: shape.access.map((access, binding) => ({
        binding,
        visibility: computeStage,
        buffer: {
          type: access === "read" ? "read-only-storage" : "storage",
          hasDynamicOffset: isDynamic && shape.isExact[binding]!,
        },
      })),
    });
    const layout = {
      id: this.#layouts.size,
      bindGroupLayout,
      pipelineLayout: this.#device.createPipelineLayout({
        label: `moorage layout ${key}`,
        bindGroupLayouts: [bindGroupLayout, this.#ringLayout],
      }),
      isDynamic,
    };
    this.#layouts.set(key, layout);
    return layout;
  }
}

/** A compiler message with its line counted from the author's first. */
function authorMessage(message: GPUCompilationMessage, code: string): KernelMessage {
  const lines = code.split("\n");
  const marker = lines.findIndex((line) => line === bodyMarker || line === entryMarker);
  const line = message.lineNum - (marker + 1);
  return {
    type: message.type,
    message: message.message,
    line: marker >= 0 && line > 0 ? line : 0,
    column: message.linePos,
  };
}

function compilationError(
  label: string,
  messages: readonly KernelMessage[],
  cause: GPUError | null,
): KernelError {
  const errors = messages.filter(({ type }) => type === "error");
  const text = errors.map(({ line, column, message }) =>
    line > 0 ? `line ${line}, column ${column}: ${message}` : message,
  );
  return new KernelError(
    "KERNEL_COMPILATION",
    `kernel "${label}" does not compile: ${text.join("; ") || (cause?.message ?? "unknown error")}`,
    { label, messages, ...(cause !== null && { cause }) },
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
