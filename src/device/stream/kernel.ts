/** Kernels: what can be dispatched, and the pipelines compiled for each way of binding its operands. */

import { plainPlan } from "../../shaders/binding.ts";
import type { BindingPlan } from "../../shaders/binding.ts";

/** How the bindings of a dispatch are made: the key of a variant. */
export interface BindingShape extends BindingPlan {
  /** Per binding: the whole slab, or the exact range of a block. */
  readonly isExact: readonly boolean[];
}

/** A pipeline for one binding shape. */
export interface Variant {
  readonly kernel: Kernel;
  readonly shape: BindingShape;
  /** `null` until it is compiled; a user's kernel compiles asynchronously. */
  pipeline: GPUComputePipeline | null;
  readonly layout: BindingLayout;
}

/** A bind group layout, shared by all variants that bind alike. */
export interface BindingLayout {
  readonly id: number;
  readonly bindGroupLayout: GPUBindGroupLayout;
  readonly pipelineLayout: GPUPipelineLayout;
  /** Whether exact ranges travel as dynamic offsets; else each offset has a bind group of its own. */
  readonly isDynamic: boolean;
}

export class Kernel {
  readonly label: string;
  readonly inputCount: number;
  readonly outputCount: number;
  /** Bytes of an element of each operand: offsets in shaders count elements. */
  readonly elementBytes: readonly number[];
  /**
   * Whether every binding is the exact range of its block. So for kernels whose index arithmetic is
   * a user's: a stray index cannot reach a neighbour.
   */
  readonly isExact: boolean;
  /** Whether the text is a user's: then the first dispatch of each variant is tried apart. */
  readonly isUserDefined: boolean;
  readonly plainShape: BindingShape;
  /** The variants compiled so far, by the key of their binding shape. */
  readonly variants = new Map<number, Variant>();
  /** The variant of {@link plainShape}: what almost every dispatch uses. */
  plainVariant: Variant | null = null;
  readonly #source: (plan: BindingPlan) => string;

  constructor(options: {
    readonly label: string;
    readonly elementBytes: readonly number[];
    readonly inputCount: number;
    readonly source: (plan: BindingPlan) => string;
    readonly isExact?: boolean;
    readonly isUserDefined?: boolean;
  }) {
    this.label = options.label;
    this.elementBytes = options.elementBytes;
    this.inputCount = options.inputCount;
    this.outputCount = options.elementBytes.length - options.inputCount;
    this.isExact = options.isExact ?? false;
    this.isUserDefined = options.isUserDefined ?? false;
    const plan = plainPlan(this.inputCount, this.outputCount);
    this.plainShape = { ...plan, isExact: plan.slots.map(() => this.isExact) };
    this.#source = options.source;
  }

  /** The WGSL for a way of binding. */
  source(plan: BindingPlan): string {
    return this.#source(plan);
  }
}
