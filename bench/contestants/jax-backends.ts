/**
 * jax-js opens one WebGPU device for the whole process, and has no way to start anew. The bench gives
 * each session a backend of its own, with a pool and pipelines that start empty, as the other
 * contestants have: otherwise the memory of one case would be met by what another left, and only the
 * first use of a kernel in the whole run would be a cold start.
 *
 * For that it has to find two maps that the package keeps to itself, by watching what is put into
 * maps while the package starts; the package's version is exact, so that they stay where they are.
 *
 *   backends   by name; what new arrays are made on
 *   programs   by name and content; compiled by `jit`, and bound to the backend that they were made on
 */

import type * as jaxPackage from "@jax-js/jax";

export type Jax = typeof jaxPackage;

type State = Map<unknown, unknown>;

interface Found {
  readonly jax: Jax;
  readonly backends: State;
  readonly programs: State;
}

/** A session's own backend. */
export interface JaxBackend {
  readonly jax: Jax;
  readonly device: GPUDevice;
  /** Makes it the backend of what is called next. */
  enter(): void;
  close(): void;
}

const deviceName = "webgpu";
let found: Promise<Found> | undefined;
/** Takes the backend that is in use out of the package's maps. */
let leave = (): void => {};
let current: JaxBackend | undefined;

export async function openJaxBackend(): Promise<JaxBackend> {
  const { jax, backends, programs } = await (found ??= find());
  leave();
  await start(jax);
  const own = backends.get(deviceName);
  const device = jax.getWebGPUDevice();
  let ownPrograms: [unknown, unknown][] = [];
  const enter = (): void => {
    if (current === opened) return;
    leave();
    current = opened;
    backends.set(deviceName, own);
    for (const [key, program] of ownPrograms) programs.set(key, program);
    leave = () => {
      ownPrograms = [...programs];
      programs.clear();
      backends.delete(deviceName);
      current = undefined;
      leave = () => {};
    };
  };
  const opened: JaxBackend = {
    jax,
    device,
    enter,
    close() {
      if (current === opened) leave();
      device.destroy();
    },
  };
  enter();
  return opened;
}

async function start(jax: Jax): Promise<void> {
  const ready = await jax.init(deviceName);
  if (!ready.includes(deviceName)) throw new Error("jax-js could not open a WebGPU device");
  jax.defaultDevice(deviceName);
}

async function find(): Promise<Found> {
  const jax = await import("@jax-js/jax");
  const backends = await mapThatGets(
    (key) => key === deviceName,
    async () => await start(jax),
  );
  const programs = await mapThatGets(
    (key) => typeof key === "string" && key.startsWith(`${deviceName},`),
    async () => await compileSomething(jax),
  );
  jax.getWebGPUDevice().destroy();
  backends.delete(deviceName);
  programs.clear();
  return { jax, backends, programs };
}

async function compileSomething({ jit, numpy, blockUntilReady }: Jax): Promise<void> {
  const negated = jit((x: ReturnType<typeof numpy.array>) => x.neg());
  const result = negated(numpy.array(Float32Array.of(1, 2)));
  await blockUntilReady(result);
  result.dispose();
  negated.dispose();
}

/** The map that an entry with such a key is put into while `work` runs. */
async function mapThatGets(
  isKey: (key: unknown) => boolean,
  work: () => Promise<void>,
): Promise<State> {
  const maps: State[] = [];
  const prototype: State = Map.prototype;
  const original = Object.getOwnPropertyDescriptor(prototype, "set")!;
  const set = original.value as (this: State, key: unknown, value: unknown) => State;
  const watching = function watching(this: State, key: unknown, value: unknown): State {
    if (isKey(key)) maps.push(this);
    return set.call(this, key, value);
  };
  Object.defineProperty(prototype, "set", { ...original, value: watching });
  try {
    await work();
  } finally {
    Object.defineProperty(prototype, "set", original);
  }
  const [map] = maps;
  if (map === undefined) throw new Error("jax-js keeps its state elsewhere than in 0.1.25");
  return map;
}
