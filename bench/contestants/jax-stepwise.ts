/**
 * Work in steps, each submitted by itself. The library recommends that for loops, and compiles shapes
 * and offsets into its kernels: what differs from step to step has to come in arrays, not in slices.
 */

import { batchOf } from "../cases/memory.ts";
import { NotSupportedError, inputOf, valueOf } from "../core/contract.ts";
import type { HostTensor, Prepared } from "../core/contract.ts";
import type { JaxArray, JaxKit, JaxProgram } from "./jax-kit.ts";

/** Operations that are left pending before they are submitted; with more, each takes longer to record. */
export const pendingAtMost = 32;

type Uploaded = Readonly<Record<string, JaxArray>>;

/** Iterations over uploaded inputs, by name, and over rows of one of them that are arrays of their own. */
async function inSteps(
  kit: JaxKit,
  inputs: Readonly<Record<string, HostTensor>>,
  rowsOf: HostTensor | undefined,
  iterate: (given: Uploaded, rows: readonly JaxArray[]) => Promise<JaxArray>,
): Promise<Prepared> {
  const given: Record<string, JaxArray> = {};
  for (const name of Object.keys(inputs)) given[name] = await kit.upload(inputOf(inputs, name));
  const rows: JaxArray[] = [];
  const [count = 0, width = 0] = rowsOf?.shape ?? [];
  for (let row = 0; row < count; row++) {
    const data = rowsOf!.data.subarray(row * width, (row + 1) * width);
    rows.push(await kit.upload({ shape: [1, width], data }));
  }
  let last: JaxArray | undefined;
  return {
    async run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) {
        last?.dispose();
        last = undefined;
        last = await iterate(given, rows);
      }
      await kit.host.wait(kit.device);
    },
    outputs: async () => [await kit.read(last!)],
    dispose() {
      last?.dispose();
      for (const array of [...Object.values(given), ...rows]) array.dispose();
    },
  };
}

/** Compiled, all additions become one kernel. */
const dependentKernels: JaxProgram = async (kit, { inputs, values }) => {
  const count = valueOf(values, "count");
  // One kernel of many additions is the case of the chains; at 1,000 its own error says why it fails.
  if (kit.isJit && count > 1 && count < 1000)
    throw new NotSupportedError("it makes one kernel of them all");
  const most = kit.isJit ? count : pendingAtMost;
  const additions = (n: number): ((v: JaxArray, x: JaxArray) => JaxArray) =>
    kit.compile((v: JaxArray, x: JaxArray) => {
      let sum = v;
      for (let step = 0; step < n; step++) sum = sum.add(x.ref);
      x.dispose();
      return sum;
    });
  const links = Array.from({ length: Math.ceil(count / most) }, (_, index) =>
    additions(Math.min(most, count - index * most)),
  );
  return await inSteps(kit, inputs, undefined, async ({ x }) => {
    let v = x!.ref;
    for (const link of links) {
      v = link(v, x!.ref);
      await kit.submit(v);
    }
    return v;
  });
};

const varyingBatch: JaxProgram = async (kit, { inputs, values }) => {
  const { numpy, nn } = kit.jax;
  const [steps, batch] = [valueOf(values, "steps"), valueOf(values, "batch")];
  const step = kit.compile((x: JaxArray, w1: JaxArray, w2: JaxArray) =>
    numpy.matmul(nn.relu(numpy.matmul(x, w1)), w2),
  );
  return await inSteps(kit, inputs, undefined, async ({ x, w1, w2 }) => {
    let out: JaxArray | undefined;
    for (let index = 0; index < steps; index++) {
      out?.dispose();
      out = step(x!.ref.slice([0, batchOf(batch, index)]), w1!.ref, w2!.ref);
      await kit.submit(out);
    }
    return out!;
  });
};

const growingCaches: JaxProgram = async (kit, { inputs, values }) => {
  const tensors = valueOf(values, "tensors");
  const grow = kit.compile((former: JaxArray, row: JaxArray) =>
    kit.jax.numpy.concatenate([former, row], 0),
  );
  return await inSteps(kit, {}, inputOf(inputs, "x"), async (_, rows) => {
    let caches: JaxArray[] = [];
    for (const row of rows) {
      caches = Array.from({ length: tensors }, (__, index) => {
        const former = caches[index];
        return former === undefined ? row.ref : grow(former, row.ref);
      });
      for (const cache of caches) await kit.submit(cache);
    }
    for (const cache of caches.slice(1)) cache.dispose();
    return caches[0]!;
  });
};

/** The caches have room for every step, and what is not written yet is masked: a step is compiled once. */
const decode: JaxProgram = async (kit, { inputs, values }) => {
  const { numpy, nn } = kit.jax;
  const [steps, context, width, heads] = ["steps", "context", "width", "heads"].map((name) =>
    valueOf(values, name),
  ) as [number, number, number, number];
  const [total, part] = [context + steps, width / heads];
  const places = (): JaxArray => numpy.arange(total);
  const write = kit.compile((cache: JaxArray, row: JaxArray, position: JaxArray) =>
    numpy.where(numpy.equal(places(), position).reshape([total, 1]), row, cache),
  );
  const project = kit.compile((x: JaxArray, weights: JaxArray) => numpy.matmul(x, weights));
  const attend = kit.compile((q: JaxArray, k: JaxArray, v: JaxArray, position: JaxArray) => {
    const byHeads = (x: JaxArray, order: number[]): JaxArray =>
      x.reshape([x.shape[0]!, heads, part]).transpose(order);
    const scores = numpy.matmul(byHeads(q, [1, 0, 2]), byHeads(k, [1, 2, 0]));
    const isWritten = numpy.lessEqual(places(), position);
    const masked = numpy.where(isWritten, scores.mul(1 / Math.sqrt(part)), -1e30);
    return numpy.matmul(nn.softmax(masked, 2), byHeads(v, [1, 0, 2])).reshape([1, width]);
  });
  const positions: JaxArray[] = [];
  for (let step = 0; step < steps; step++) {
    positions.push(await kit.upload({ shape: [1], data: Int32Array.of(context + step) }));
  }
  const { xs, keys, values: cached, ...weights } = inputs;
  const given = { ...weights, keys: roomier(keys!, total), values: roomier(cached!, total) };
  const prepared = await inSteps(kit, given, xs, async (t, rows) => {
    const [wq, wk, wv, wo] = [t["wq"]!, t["wk"]!, t["wv"]!, t["wo"]!];
    let [k, v] = [t["keys"]!.ref, t["values"]!.ref];
    let out: JaxArray | undefined;
    for (const [step, row] of rows.entries()) {
      const position = positions[step]!;
      const x: JaxArray = out === undefined ? row.ref : row.ref.add(out);
      k = write(k, project(x.ref, wk.ref), position.ref);
      v = write(v, project(x.ref, wv.ref), position.ref);
      const mixed = attend(project(x, wq.ref), k.ref, v.ref, position.ref);
      out = project(mixed, wo.ref);
      await kit.submit(out);
    }
    k.dispose();
    v.dispose();
    return out!;
  });
  return {
    ...prepared,
    async dispose() {
      await prepared.dispose();
      for (const position of positions) position.dispose();
    },
  };
};

/** The same rows, and zeros up to `rows` of them. */
function roomier({ shape, data }: HostTensor, rows: number): HostTensor {
  const [, width = 0] = shape;
  const wider = new Float32Array(rows * width);
  wider.set(data);
  return { shape: [rows, width], data: wider };
}

export const jaxStepwise: Readonly<Record<string, JaxProgram>> = {
  "dependent small kernels": dependentKernels,
  "peak of a varying batch": varyingBatch,
  "peak of growing key-value tensors": growingCaches,
  "key-value decoding": decode,
};
