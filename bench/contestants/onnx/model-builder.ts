/** Builds a model in the ONNX format, operator by operator: values are named, and each has one origin. */

import type { HostTensor } from "../../core/contract.ts";
import { Message } from "./protobuf.ts";

/** A number, or a name for an extent that differs from run to run. */
export type Extent = number | string;

export type ElementType = "float32" | "int32" | "int64";

/** An attribute of an operator: whole numbers are written as such, others as float32. */
export type Attribute = number | string | readonly number[] | { readonly float: number };

/** The numbers of the format's element types. */
const elementTypes: Readonly<Record<ElementType, number>> = { float32: 1, int32: 6, int64: 7 };

const irVersion = 10;
const operatorSet = 18;
/** Where the runtime keeps the operators that it adds to the format's own. */
export const extended = "com.microsoft";

interface Operator {
  readonly type: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
  readonly domain: string;
}

export class ModelBuilder {
  readonly #graph = new Message().text(2, "bench");
  readonly #operators: Operator[] = [];
  readonly #outputNames = new Map<string, string>();
  #count = 0;

  /** Something that is given at each run. */
  input(name: string, shape: readonly Extent[], type: ElementType = "float32"): string {
    this.#graph.message(11, valueInfo(name, type, shape));
    return name;
  }

  /** Gives a value to the outside, under a name; its shape is inferred. */
  output(name: string, value: string, type: ElementType = "float32"): void {
    this.#graph.message(12, valueInfo(name, type));
    this.#outputNames.set(value, name);
  }

  /** Numbers that are part of the model. */
  constant({ shape, data }: HostTensor): string {
    const type = data instanceof Float32Array ? "float32" : "int32";
    return this.#initializer(shape, type, bytesOf(data));
  }

  /** A list of whole numbers, as operators take axes and extents. */
  list(...values: readonly number[]): string {
    const data = BigInt64Array.from(values, BigInt);
    return this.#initializer([values.length], "int64", bytesOf(data));
  }

  /** Adds an operator; gives its output. */
  op(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    domain = "",
  ): string {
    return this.ops(type, inputs, attributes, 1, domain)[0]!;
  }

  /** The same with several outputs. An input that is left out is `""`. */
  ops(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>>,
    outputCount: number,
    domain = "",
  ): string[] {
    const outputs = Array.from({ length: outputCount }, () => this.#name());
    this.#operators.push({ type, inputs, outputs, attributes, domain });
    return outputs;
  }

  build(): Uint8Array<ArrayBuffer> {
    for (const operator of this.#operators) this.#graph.message(1, this.#node(operator));
    const own = new Message().text(1, "").int(2, operatorSet);
    const additional = new Message().text(1, extended).int(2, 1);
    return new Message()
      .int(1, irVersion)
      .message(7, this.#graph)
      .message(8, own)
      .message(8, additional)
      .encode();
  }

  #node({ type, inputs, outputs, attributes, domain }: Operator): Message {
    const node = new Message();
    const named = (value: string): string => this.#outputNames.get(value) ?? value;
    for (const input of inputs) node.text(1, named(input));
    for (const output of outputs) node.text(2, named(output));
    node.text(4, type);
    for (const [name, value] of Object.entries(attributes)) node.message(5, attribute(name, value));
    return domain === "" ? node : node.text(7, domain);
  }

  #initializer(shape: readonly number[], type: ElementType, bytes: Uint8Array): string {
    const name = this.#name();
    const tensor = new Message();
    for (const extent of shape) tensor.int(1, extent);
    this.#graph.message(5, tensor.int(2, elementTypes[type]).text(8, name).bytes(9, bytes));
    return name;
  }

  #name(): string {
    return `v${this.#count++}`;
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function valueInfo(name: string, type: ElementType, shape?: readonly Extent[]): Message {
  const tensor = new Message().int(1, elementTypes[type]);
  if (shape !== undefined) {
    const extents = new Message();
    for (const extent of shape) {
      const dimension = new Message();
      extents.message(
        1,
        typeof extent === "number" ? dimension.int(1, extent) : dimension.text(2, extent),
      );
    }
    tensor.message(2, extents);
  }
  return new Message().text(1, name).message(2, new Message().message(1, tensor));
}

function attribute(name: string, value: Attribute): Message {
  const message = new Message().text(1, name);
  if (typeof value === "number") return message.int(3, value).int(20, 2);
  if (typeof value === "string") return message.text(4, value).int(20, 3);
  if ("float" in value) return message.float(2, value.float).int(20, 1);
  for (const each of value) message.int(8, each);
  return message.int(20, 7);
}
