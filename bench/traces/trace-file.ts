/** Traces in files, in Node: read and written as streams. */

import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import { TraceReader, traceLines } from "./trace-text.ts";
import type { Trace } from "./trace.ts";

/** Throws a `TraceError` with the line for a file that is none; the platform's error where it cannot be read. */
export async function readTrace(path: string): Promise<Trace> {
  const reader = new TraceReader();
  const input = createReadStream(path, { encoding: "utf8" });
  // Opened before it is read: a missing file is an error here, and not an event of its own.
  await once(input, "open");
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY }))
    reader.line(line);
  return reader.end();
}

export async function writeTrace(path: string, trace: Trace): Promise<void> {
  await pipeline(Readable.from(blocks(trace)), createWriteStream(path));
}

/** Lines by the block: a write for each would be slow. */
function* blocks(trace: Trace): Generator<string, void> {
  let block = "";
  for (const line of traceLines(trace)) {
    block += `${line}\n`;
    if (block.length < 65_536) continue;
    yield block;
    block = "";
  }
  yield block;
}
