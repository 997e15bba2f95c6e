/** A case that is one model: built, uploaded, and run as it is, or captured once and replayed. */

import { answersOf, check } from "../../core/check.ts";
import { implementationName, inputOf, NotSupportedError } from "../../core/contract.ts";
import type { Expected, Numbers, Prepared, Problem, Variant } from "../../core/contract.ts";
import { randomFrom } from "../../core/random.ts";
import { timedRecording } from "../../core/recording.ts";
import { toleranceOf } from "../../core/tolerances.ts";
import { warmedUp } from "../warmed-up.ts";
import type { Feeds, OnnxKit, OnnxModel, OrtSession, OrtTensor } from "./kit.ts";
import { ModelBuilder } from "./model-builder.ts";

/** A session that leaves one output on the device. */
interface Runner {
  run(): Promise<void>;
  read(): Promise<Numbers>;
  dispose(): void;
}

/** Each model as it is; where the work is so small that its launch counts, also captured. */
export function variantsOf(
  models: readonly OnnxModel[],
  newKit: () => OnnxKit,
  problem: Problem,
): readonly Variant[] {
  const { bytes = 0, flops = 0 } = problem.work;
  const { cold, unit } = problem.case;
  const isSmall = bytes <= 2 ** 24 && flops <= 2 ** 28 && unit !== "bytes" && cold !== true;
  return models.flatMap((model) => {
    const once: Variant = async () => await prepare(model, newKit(), problem, false);
    const isPlain = model.output === undefined && model.outputType === undefined;
    if (!isSmall || !isPlain || model.isLong === true) return [once];
    return [once, async () => await prepare(model, newKit(), problem, true)];
  });
}

async function prepare(
  model: OnnxModel,
  kit: OnnxKit,
  problem: Problem,
  isCaptured: boolean,
): Promise<Prepared> {
  const { bytes, feeds } = build(model, kit, problem);
  const runner = isCaptured
    ? await captured(kit, bytes, feeds, countOf(problem.expected[0]!))
    : plain(kit, await kit.session(bytes, { layout: model.layout }), feeds);
  const outputs = async (): Promise<readonly Numbers[]> => {
    const numbers = await runner.read();
    return [model.output?.(numbers, problem.values) ?? numbers];
  };
  const dispose = async (): Promise<void> => {
    runner.dispose();
    await kit.dispose();
  };
  const variant = [model.variant, isCaptured ? "graph capture" : undefined]
    .filter((part) => part !== undefined)
    .join(", ");
  const common = { dispose, variant: variant === "" ? "run" : variant };
  if (problem.case.where === "null-device") {
    const recording = timedRecording(kit.host, kit.device, async () => await runner.run());
    return await warmedUp({ ...common, ...recording }, problem);
  }
  const run = async (iterations: number): Promise<void> => {
    for (let iteration = 0; iteration < iterations; iteration++) await runner.run();
    await kit.finish();
  };
  const prepared = await warmedUp({ ...common, outputs, run }, problem);
  if (model.doubtful !== undefined) {
    await requireRight(model.doubtful, problem, await outputs(), dispose);
  }
  return prepared;
}

function build(
  model: OnnxModel,
  kit: OnnxKit,
  { inputs, values }: Problem,
): { readonly bytes: Uint8Array; readonly feeds: Feeds } {
  const builder = new ModelBuilder();
  const given = model.inputs?.(inputs) ?? inputs;
  const names: Record<string, string> = {};
  const feeds: Record<string, OrtTensor> = {};
  for (const name of Object.keys(given)) {
    const tensor = inputOf(given, name);
    if (model.weights?.includes(name) === true) {
      names[name] = builder.constant(tensor);
    } else {
      const type = tensor.data instanceof Float32Array ? "float32" : "int32";
      names[name] = builder.input(name, tensor.shape, type);
      feeds[name] = kit.input(tensor);
    }
  }
  builder.output("y", model.build(builder, names, values), model.outputType);
  return { bytes: builder.build(), feeds };
}

function countOf({ shape }: Expected): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/** The former output is disposed before the next run, so that its memory can be taken again. */
function plain(kit: OnnxKit, session: OrtSession, feeds: Feeds): Runner {
  let last: OrtTensor | undefined;
  return {
    async run() {
      last?.dispose();
      last = undefined;
      last = (await session.run(feeds))["y"];
    },
    read: async () => await kit.read(last!),
    dispose: () => last?.dispose(),
  };
}

/**
 * The runtime records the commands of a first run and replays them; inputs and output stay in place.
 * The output is the runtime's own, of a run before: one over a buffer of the bench's is forgotten
 * between two runs, and then found again by luck only.
 */
async function captured(
  kit: OnnxKit,
  bytes: Uint8Array,
  feeds: Feeds,
  count: number,
): Promise<Runner> {
  try {
    const before = await kit.session(bytes);
    const y = (await before.run(feeds))["y"]!;
    const session = await kit.session(bytes, { isCaptured: true });
    const run = async (): Promise<void> => {
      await session.run(feeds, { y });
    };
    // The first captures, the second replays.
    await run();
    await run();
    return {
      run,
      read: async () => await kit.download(y.gpuBuffer, count),
      dispose: () => y.dispose(),
    };
  } catch (error) {
    await kit.dispose();
    throw new NotSupportedError(`graph capture: ${(error as Error).message}`);
  }
}

async function requireRight(
  operator: string,
  problem: Problem,
  outputs: readonly Numbers[],
  dispose: () => Promise<void>,
): Promise<void> {
  const answers = answersOf(problem.expected, randomFrom(1), 1);
  const { failure } = check(outputs, answers, toleranceOf(problem.case.tolerance));
  if (failure === null) return;
  await dispose();
  throw new NotSupportedError(
    `${operator} gives wrong numbers on this adapter, in ${implementationName(problem)}`,
  );
}
