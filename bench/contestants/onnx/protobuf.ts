/**
 * Writes protocol-buffer messages, as far as a model in the ONNX format needs them. Each field is a
 * key (its number, and how its value is written) and the value; the order of the fields is free.
 */

const varintType = 0;
const bytesType = 2;
const fixed32Type = 5;

export class Message {
  readonly #parts: Uint8Array[] = [];

  /** A whole number; a negative one is written as 64 bits in two's complement. */
  int(field: number, value: number): this {
    return this.#add(varint(field * 8 + varintType), varint(value));
  }

  float(field: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    return this.#add(varint(field * 8 + fixed32Type), bytes);
  }

  text(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  bytes(field: number, value: Uint8Array): this {
    return this.#add(varint(field * 8 + bytesType), varint(value.length), value);
  }

  message(field: number, value: Message): this {
    return this.bytes(field, value.encode());
  }

  encode(): Uint8Array<ArrayBuffer> {
    const length = this.#parts.reduce((sum, part) => sum + part.length, 0);
    const result = new Uint8Array(length);
    let at = 0;
    for (const part of this.#parts) {
      result.set(part, at);
      at += part.length;
    }
    return result;
  }

  #add(...parts: readonly Uint8Array[]): this {
    this.#parts.push(...parts);
    return this;
  }
}

/** Seven bits to a byte, the lowest first; the highest bit says that more follow. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 0x80);
  } while (rest !== 0n);
  return Uint8Array.from(bytes);
}
