/**
 * A trace as text, a line for each event, so that files diff well and can be read as a stream:
 *
 *   {"format":"moorage-trace","version":1,"generator":"uniform","seed":1, ... ,"eventCount":3}
 *   a 17 4096 0      allocate: id, bytes, index of the label
 *   f 17             free: id
 *   s                step
 *
 * The header is one line of JSON. `eventCount` and `peakLiveBytes` may be left out by hand; where
 * they are there, the file has to agree with them: a file that was cut short is noticed.
 */

import {
  checkLabels,
  eventKinds,
  TraceError,
  TraceEvents,
  traceFormat,
  TraceRules,
  traceVersion,
} from "./trace.ts";
import type { Trace, TraceOrigin } from "./trace.ts";

interface Header extends TraceOrigin {
  readonly labels: readonly string[];
  readonly eventCount: number | undefined;
  readonly peakLiveBytes: number | undefined;
}

/** The lines of a trace, without their ends. */
export function* traceLines(trace: Trace): Generator<string, void> {
  const { generator, seed, architecture, parameters, labels, peakLiveBytes, events } = trace;
  yield JSON.stringify({
    format: traceFormat,
    version: traceVersion,
    generator,
    seed,
    architecture,
    parameters,
    labels,
    peakLiveBytes,
    eventCount: events.count,
  });
  const { kinds, ids, bytes, labels: indices, count } = events;
  for (let index = 0; index < count; index++) {
    if (kinds[index] === eventKinds.allocate)
      yield `a ${ids[index]} ${bytes[index]} ${indices[index]}`;
    else if (kinds[index] === eventKinds.free) yield `f ${ids[index]}`;
    else yield "s";
  }
}

export function formatTrace(trace: Trace): string {
  return `${[...traceLines(trace)].join("\n")}\n`;
}

/** Throws a `TraceError` that names the first line that breaks a rule. */
export function parseTrace(text: string): Trace {
  const reader = new TraceReader();
  let start = 0;
  while (start < text.length) {
    const found = text.indexOf("\n", start);
    const end = found === -1 ? text.length : found;
    reader.line(text.slice(start, end));
    start = end + 1;
  }
  return reader.end();
}

const eventDue = '"a ID BYTES LABEL", "f ID" or "s" is due';

/** Takes a trace line by line. */
export class TraceReader {
  readonly #events = new TraceEvents();
  #header: Header | undefined;
  #rules = new TraceRules(0);
  #lineCount = 0;

  /** One line, without its end. */
  line(text: string): void {
    this.#lineCount++;
    // A file that went through an editor of another system.
    const line = text.endsWith("\r") ? text.slice(0, -1) : text;
    try {
      if (this.#header === undefined) this.#start(line);
      else this.#event(line);
    } catch (error) {
      if (error instanceof TraceError)
        throw new TraceError(`line ${this.#lineCount}: ${error.message}`);
      throw error;
    }
  }

  /** After the last line. */
  end(): Trace {
    const header = this.#header;
    if (header === undefined) {
      throw new TraceError("line 1: found nothing; the header, one line of JSON, is due");
    }
    const { eventCount = this.#events.count, peakLiveBytes = this.#rules.peakLiveBytes } = header;
    if (eventCount !== this.#events.count) {
      throw new TraceError(
        `line ${this.#lineCount + 1}: found the end after ${this.#events.count} events; the header promises ${eventCount}`,
      );
    }
    if (peakLiveBytes !== this.#rules.peakLiveBytes) {
      throw new TraceError(
        `line 1: found peakLiveBytes ${peakLiveBytes}; the events come to ${this.#rules.peakLiveBytes}`,
      );
    }
    const { generator, seed, architecture, parameters, labels } = header;
    const events = this.#events;
    return { generator, seed, architecture, parameters, labels, events, peakLiveBytes };
  }

  #start(line: string): void {
    const header = parseHeader(line);
    checkLabels(header.labels);
    this.#header = header;
    this.#rules = new TraceRules(header.labels.length);
  }

  #event(line: string): void {
    const words = line.split(" ");
    const [kind, first, second, third] = words;
    if (kind === "a" && words.length === 4) {
      const id = wholeNumber(first!, "an id");
      const bytes = wholeNumber(second!, "a size in bytes");
      const label = wholeNumber(third!, "the index of a label");
      this.#rules.allocate(id, bytes, label);
      this.#events.push(eventKinds.allocate, id, bytes, label);
    } else if (kind === "f" && words.length === 2) {
      const id = wholeNumber(first!, "an id");
      this.#rules.free(id);
      this.#events.push(eventKinds.free, id);
    } else if (kind === "s" && words.length === 1) {
      this.#events.push(eventKinds.step);
    } else throw new TraceError(`found ${quoted(line)}; ${eventDue}`);
  }
}

function wholeNumber(text: string, what: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw new TraceError(`found ${quoted(text)}; ${what}, a whole number, is due`);
}

function parseHeader(line: string): Header {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    throw new TraceError(`found ${quoted(line)}; the header, one line of JSON, is due`);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new TraceError(`found ${quoted(line)}; the header, a JSON object, is due`);
  }
  const fields = parsed as Readonly<Record<string, unknown>>;
  if (fields["format"] !== traceFormat) {
    throw new TraceError(`found format ${shown(fields["format"])}; "${traceFormat}" is due`);
  }
  if (fields["version"] !== traceVersion) {
    throw new TraceError(
      `found version ${shown(fields["version"])}; ${traceVersion} is due, which is what this bench reads`,
    );
  }
  return {
    generator: field(fields, "generator", "a string", isString),
    seed: field(fields, "seed", "a number", isNumber),
    architecture: field(fields, "architecture", "a string", isString),
    parameters: field(fields, "parameters", "an object of numbers", isNumbers),
    labels: field(fields, "labels", "an array of strings", isStrings),
    eventCount: field(fields, "eventCount", "a number", isNumberOrAbsent),
    peakLiveBytes: field(fields, "peakLiveBytes", "a number", isNumberOrAbsent),
  };
}

function field<T>(
  fields: Readonly<Record<string, unknown>>,
  name: string,
  due: string,
  isRight: (value: unknown) => value is T,
): T {
  const value = fields[name];
  if (isRight(value)) return value;
  throw new TraceError(`found ${shown(value)} as "${name}" of the header; ${due} is due`);
}

const isString = (value: unknown): value is string => typeof value === "string";
const isNumber = (value: unknown): value is number => typeof value === "number";
const isNumberOrAbsent = (value: unknown): value is number | undefined =>
  value === undefined || isNumber(value);
const isStrings = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every(isString);
const isNumbers = (value: unknown): value is Readonly<Record<string, number>> =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  Object.values(value).every(isNumber);

function shown(value: unknown): string {
  return value === undefined ? "nothing" : clipped(JSON.stringify(value));
}

function quoted(text: string): string {
  return JSON.stringify(clipped(text));
}

/** No longer than a line of a terminal takes. */
function clipped(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
