/** Whole entry points at run time: from a description and tensors to dispatches. */

import type { DType } from "../../host/dtype.ts";
import { dtypeInfo } from "../../host/dtype.ts";
import { InvalidArgumentError } from "../../host/errors.ts";
import type { Shape } from "../../host/layout.ts";
import { contiguousLayout } from "../../host/layout.ts";
import { entryShader } from "../../shaders/entry.ts";
import type { EntrySpec } from "../../shaders/entry.ts";
import { maxGroups } from "../executor.ts";
import type { AnyTensor, Executor, OutputSpec, Placer } from "../executor.ts";
import { Kernel } from "../stream/kernel.ts";
import type { TensorInput } from "../tensor.ts";
import { parameterList, parameterValues } from "../user-kernel.ts";
import type { EntryKernel, ParameterTypes, ParameterValues } from "../user-kernel.ts";
import { requireWords, writeParameters } from "./elementwise.ts";
import { partsOf } from "./entry-split.ts";
import type { KernelSplit } from "./entry-split.ts";

/** What one run of a whole entry point is given. */
export interface EntryUse<
  I extends { readonly [name: string]: DType },
  O extends { readonly [name: string]: DType },
  P extends ParameterTypes,
> {
  readonly inputs: { readonly [N in keyof I]: TensorInput<I[N]> };
  /** The shape of each output. */
  readonly shapes: { readonly [N in keyof O]: Shape };
  readonly parameters?: ParameterValues<P>;
  /** Invocations wanted along each axis; rounded up to whole workgroups. */
  readonly invocations: readonly [x: number, y?: number, z?: number];
  readonly label?: string;
}

type AnyEntryUse = EntryUse<EntryKernel["inputs"], EntryKernel["outputs"], ParameterTypes>;
type Invocations = readonly [x: number, y?: number, z?: number];

/** Kernels of one runtime made from whole entry points. */
export class EntryKernels {
  readonly #executor: Executor;
  readonly #kernels = new Map<EntryKernel, Map<string, { kernel: Kernel; spec: EntrySpec }>>();

  constructor(executor: Executor) {
    this.#executor = executor;
  }

  /** O(operands × rank). Throws `UNSUPPORTED_DTYPE` where an input has another dtype than declared. */
  run(entry: EntryKernel, use: AnyEntryUse, placer: Placer): AnyTensor[] {
    const inputs = Object.entries(entry.inputs).map(([name, dtype]) => {
      const tensor = this.#executor.own(requireInput(use.inputs[name], name, entry.label));
      if (tensor.dtype === dtype) return tensor;
      throw new InvalidArgumentError(
        "UNSUPPORTED_DTYPE",
        `kernel "${entry.label}" declares ${name} as ${dtype}, and was given "${tensor.label}" of ${tensor.dtype}; cast() it first`,
        { label: tensor.label },
      );
    });
    const outputs = Object.entries(entry.outputs).map(([name, dtype]) => ({
      dtype,
      layout: contiguousLayout(
        requireShape(use.shapes[name], name, entry.label),
        `${entry.label} ${name}`,
      ),
      label: use.label ?? `${entry.label} ${name}`,
    }));
    const split = this.#splitOf(entry, inputs, outputs, use.invocations);
    if (split === null) return this.#dispatch(entry, use, inputs, outputs, use.invocations, placer);
    return this.#inParts(entry, use, inputs, outputs, split, placer);
  }

  /** How a run is cut, or `null` where one dispatch does, or where nobody has said how. */
  #splitOf(
    { split, workgroup }: EntryKernel,
    inputs: readonly AnyTensor[],
    outputs: readonly OutputSpec[],
    invocations: Invocations,
  ): KernelSplit | null {
    if (split === null) return null;
    const along = split.invocations ?? 0;
    const isLarge =
      (invocations[along] ?? 1) > maxGroups * workgroup[along] ||
      inputs.some((input) => !this.#executor.fits(input)) ||
      outputs.some(({ dtype, layout }) => !this.#executor.fitsNew(dtype, layout.count));
    return isLarge ? split : null;
  }

  #inParts(
    entry: EntryKernel,
    use: AnyEntryUse,
    inputs: readonly AnyTensor[],
    outputs: readonly OutputSpec[],
    split: KernelSplit,
    placer: Placer,
  ): AnyTensor[] {
    const { label, workgroup } = entry;
    const along = split.invocations ?? 0;
    const names = [...Object.keys(entry.inputs), ...Object.keys(entry.outputs)];
    const operands = [...inputs, ...outputs].map(({ label: tensor, dtype, layout }, index) => ({
      name: names[index]!,
      label: tensor,
      dtype,
      layout,
    }));
    const limits = {
      partBytes: this.#executor.partBytes,
      mostInvocations: maxGroups * workgroup[along],
    };
    // All of them before anything is made: what cannot be cut leaves nothing behind.
    const parts = [...partsOf(label, split, operands, use.invocations[along] ?? 1, limits)];
    const made: AnyTensor[] = [];
    try {
      for (const output of outputs) made.push(this.#executor.place(output, placer, 0));
      for (const part of parts) {
        const views = [...inputs, ...made].map((tensor, index) =>
          tensor.viewAs(part.layouts[index]!),
        );
        const invocations = [...use.invocations] as [number, number?, number?];
        invocations[along] = part.invocations;
        const [from, to] = [views.slice(0, inputs.length), views.slice(inputs.length)];
        this.#dispatch(entry, use, from, to, invocations, placer);
      }
    } catch (error) {
      for (const tensor of made) tensor.dispose();
      throw error;
    }
    return made;
  }

  #dispatch(
    entry: EntryKernel,
    use: AnyEntryUse,
    inputs: readonly AnyTensor[],
    outputs: readonly (OutputSpec | AnyTensor)[],
    invocations: Invocations,
    placer: Placer,
  ): AnyTensor[] {
    const [x, y, z] = groupsOf(entry, invocations);
    const { kernel, spec } = this.#kernel(
      entry,
      [...inputs, ...outputs].map(({ layout }) => layout.rank),
    );
    const { stream } = this.#executor;
    let word = inputs.length + outputs.length;
    const layouts = [...inputs, ...outputs].map(({ layout }) => layout);
    requireWords(
      word + layouts.reduce((sum, { rank }) => sum + 2 * rank, spec.parameters.length),
      entry.label,
    );
    for (const { shape, strides } of layouts) {
      for (let axis = 0; axis < shape.length; axis++) {
        stream.words[word++] = shape[axis]!;
        stream.words[word++] = strides[axis]!;
      }
    }
    word = writeParameters(stream, spec.parameters, parameterValues(entry, use.parameters), word);
    return this.#executor.runAll({ kernel, inputs, outputs, wordCount: word, x, y, z }, placer);
  }

  #kernel(entry: EntryKernel, ranks: readonly number[]): { kernel: Kernel; spec: EntrySpec } {
    let kernels = this.#kernels.get(entry);
    if (kernels === undefined) this.#kernels.set(entry, (kernels = new Map()));
    const key = ranks.join();
    const known = kernels.get(key);
    if (known !== undefined) return known;
    const inputs = Object.entries(entry.inputs);
    const outputs = Object.entries(entry.outputs);
    const spec: EntrySpec = {
      inputs: inputs.map(([name, dtype], index) => ({ name, dtype, rank: ranks[index]! })),
      outputs: outputs.map(([name, dtype], index) => ({
        name,
        dtype,
        rank: ranks[inputs.length + index]!,
      })),
      parameters: parameterList(entry.parameters),
      wgsl: entry.wgsl,
    };
    const kernel = new Kernel({
      label: entry.label,
      inputCount: inputs.length,
      elementBytes: [...inputs, ...outputs].map(([, dtype]) => dtypeInfo(dtype).bytes),
      source: (plan) => entryShader(spec, plan),
      isExact: true,
      isUserDefined: true,
    });
    const made = { kernel, spec };
    kernels.set(key, made);
    return made;
  }
}

function requireInput(input: TensorInput | undefined, name: string, label: string): TensorInput {
  if (input !== undefined) return input;
  throw new InvalidArgumentError(
    "INVALID_ARGUMENT",
    `kernel "${label}" was run without its input ${name}`,
    { label },
  );
}

function requireShape(shape: Shape | undefined, name: string, label: string): Shape {
  if (shape !== undefined) return shape;
  throw new InvalidArgumentError(
    "INVALID_ARGUMENT",
    `kernel "${label}" was run without the shape of its output ${name}`,
    { label },
  );
}

/** Workgroups along each axis; throws for what a dispatch cannot have. */
function groupsOf(
  { label, workgroup }: EntryKernel,
  invocations: readonly (number | undefined)[],
): [number, number, number] {
  return workgroup.map((size, axis) => {
    const wanted = invocations[axis] ?? 1;
    const groups = Math.ceil(wanted / size);
    if (Number.isInteger(wanted) && wanted >= 1 && groups <= maxGroups) return groups;
    throw new InvalidArgumentError(
      groups > maxGroups ? "LIMIT_EXCEEDED" : "INVALID_ARGUMENT",
      `kernel "${label}" was run with invocations ${invocations.join(" × ")}; along each axis it takes a whole number from 1 on, ` +
        `and a dispatch has at most ${maxGroups} workgroups`,
      { label },
    );
  }) as [number, number, number];
}
