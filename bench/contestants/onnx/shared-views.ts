/**
 * Dawn in Node takes no views of shared memory in `writeBuffer`, and the runtime's WebAssembly memory
 * is shared. Browsers take them. In Node, such views are copied to ordinary memory on the way; other
 * calls are passed on as they are.
 */

type WriteBuffer = (
  this: GPUQueue,
  buffer: GPUBuffer,
  offset: number,
  data: ArrayBufferView | ArrayBufferLike,
  dataOffset?: number,
  size?: number,
) => void;

let isInstalled = false;

/** Harmless twice. */
export function copySharedViews(): void {
  if (isInstalled) return;
  isInstalled = true;
  const original = Object.getOwnPropertyDescriptor(GPUQueue.prototype, "writeBuffer")!;
  const write = original.value as (this: GPUQueue, ...given: unknown[]) => void;
  const copying: WriteBuffer = function copying(buffer, offset, data, dataOffset, size) {
    if (!isShared(data)) return write.apply(this, given(buffer, offset, data, dataOffset, size));
    const elementBytes = "BYTES_PER_ELEMENT" in data ? Number(data.BYTES_PER_ELEMENT) : 1;
    const { memory, first, length } = ArrayBuffer.isView(data)
      ? { memory: data.buffer, first: data.byteOffset, length: data.byteLength }
      : { memory: data, first: 0, length: data.byteLength };
    const start = (dataOffset ?? 0) * elementBytes;
    const bytes = size === undefined ? length - start : size * elementBytes;
    write.call(this, buffer, offset, new Uint8Array(memory, first + start, bytes).slice());
  };
  Object.defineProperty(GPUQueue.prototype, "writeBuffer", { ...original, value: copying });
}

function isShared(data: ArrayBufferView | ArrayBufferLike): boolean {
  return (ArrayBuffer.isView(data) ? data.buffer : data) instanceof SharedArrayBuffer;
}

/** Without the arguments at the end that were left out: the binding would take them for zero. */
function given(...all: readonly unknown[]): unknown[] {
  const last = all.findLastIndex((value) => value !== undefined);
  return all.slice(0, last + 1);
}
