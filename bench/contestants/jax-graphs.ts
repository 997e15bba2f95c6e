/** Each case as a user of jax-js would write it; the same functions eagerly and compiled. */

import { layerNormEpsilon, rmsNormEpsilon } from "../cases/rows.ts";
import { channelsFirst, channelsLast, filtersFirst } from "./channels.ts";
import type { JaxGraph } from "./jax-kit.ts";
import { edgeMap, jaxNetworks } from "./jax-networks.ts";

type Run = JaxGraph["run"];

const reductions: Readonly<Record<string, Run>> = {
  sum: ({ numpy }, { x }) => numpy.sum(x!),
  max: ({ numpy }, { x }) => numpy.max(x!),
  argmax: ({ numpy }, { x }) => numpy.argmax(x!),
  "sum along an axis": ({ numpy }, { x }, { axis = 0 }) => numpy.sum(x!, axis),
  "max along an axis": ({ numpy }, { x }, { axis = 0 }) => numpy.max(x!, axis),
  "argmax along an axis": ({ numpy }, { x }, { axis = 0 }) => numpy.argmax(x!, axis),
};

const rows: Readonly<Record<string, Run>> = {
  softmax: ({ nn }, { x }) => nn.softmax(x!, 1),
  "layer norm": ({ nn }, { x, gamma, beta }) =>
    nn.standardize(x!, 1, { epsilon: layerNormEpsilon }).mul(gamma!).add(beta!),
  "rms norm"({ numpy }, { x, gamma }) {
    const mean = numpy.square(x!.ref).mean(1, { keepdims: true });
    const scale = numpy.reciprocal(numpy.sqrt(mean.add(rmsNormEpsilon)));
    return x!.mul(scale).mul(gamma!);
  },
};

const products: Readonly<Record<string, Run>> = {
  matmul: ({ numpy }, { a, b }) => numpy.matmul(a!, b!),
  "batched matmul": ({ numpy }, { a, b }) => numpy.matmul(a!, b!),
  "matmul of a transposed operand": ({ numpy }, { a, b }) => numpy.matmul(a!, b!.transpose()),
  "matmul of a sliced operand": ({ numpy }, { a, b }, { k = 0 }) =>
    numpy.matmul(a!.slice([], [k, 2 * k]), b!),
  "matmul with bias and activation": ({ numpy, nn }, { a, b, bias }) =>
    nn.relu(numpy.matmul(a!, b!).add(bias!)),
};

const movements: Readonly<Record<string, Run>> = {
  transpose: (_, { x }) => x!.transpose(),
  permute: (_, { x }) => x!.transpose([2, 0, 3, 1]),
  slice: (_, { x }, { rows: height = 0, columns: width = 0 }) =>
    x!.slice([height / 4, (3 * height) / 4], [width / 4, (3 * width) / 4]),
  gather: ({ numpy }, { table, indices }) => numpy.take(table!, indices!, 0),
  concat: ({ numpy }, { a, b }) => numpy.concatenate([a!, b!], 1),
};

const chains: Readonly<Record<string, Run>> = {
  "element-wise chain"(_, { a, b }, { count = 0 }) {
    let x = a!.ref;
    for (let step = 0; step < count; step++) x = step % 2 === 0 ? x.mul(b!.ref) : x.add(a!.ref);
    a!.dispose();
    b!.dispose();
    return x;
  },
  cast: ({ numpy }, { x }) => x!.astype(numpy.int32),
};

/** The library convolves [batch, channels, height, width] only. */
const conv2d: JaxGraph = {
  inputs: ({ x, weights }) => ({ x: channelsFirst(x!), weights: filtersFirst(weights!) }),
  run: ({ lax }, { x, weights }) => lax.conv(x!, weights!, [1, 1], "SAME"),
  output: (data, { filters = 0 }) => channelsLast(data, filters),
};

const withoutHost = (runs: Readonly<Record<string, Run>>): Record<string, JaxGraph> =>
  Object.fromEntries(Object.entries(runs).map(([name, run]) => [name, { run }]));

export const jaxGraphs: Readonly<Record<string, JaxGraph>> = {
  ...withoutHost({ ...chains, ...reductions, ...rows, ...products, ...movements, ...jaxNetworks }),
  conv2d,
  "edge map": edgeMap,
};
