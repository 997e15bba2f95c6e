/** PNGs in and out through the worker. */

import { PictureError } from "../png.ts";
import type { Picture } from "../png.ts";
import type { PngReply, PngRequest } from "./png-worker.ts";

/** A request without the number that the client gives it. */
type Numberless<T> = T extends unknown ? Omit<T, "id"> : never;

interface Waiting {
  readonly resolve: (reply: PngReply) => void;
  readonly reject: (error: Error) => void;
}

export class PngClient {
  readonly #worker = new Worker(new URL("./png-worker.ts", import.meta.url), { type: "module" });
  readonly #waiting = new Map<number, Waiting>();
  #requestCount = 0;

  constructor() {
    this.#worker.addEventListener("message", (event: MessageEvent<PngReply>) => {
      const waiting = this.#waiting.get(event.data.id);
      this.#waiting.delete(event.data.id);
      waiting?.resolve(event.data);
    });
    this.#worker.addEventListener("error", (event) => {
      const error = new Error(`the decoder stopped: ${event.message || "it could not be loaded"}`);
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    });
  }

  /** Rejects with a `PictureError` where the bytes are no readable PNG. */
  async decode(bytes: Uint8Array): Promise<Picture> {
    const reply = await this.#ask({ decode: bytes });
    if ("picture" in reply) return reply.picture;
    throw new Error("the decoder gave no picture");
  }

  /** The file of an 8-bit gray picture. */
  async encode(
    width: number,
    height: number,
    pixels: Uint8Array,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const reply = await this.#ask({ encode: pixels, width, height });
    if ("file" in reply) return reply.file;
    throw new Error("the encoder gave no file");
  }

  async #ask(request: Numberless<PngRequest>): Promise<PngReply> {
    const id = this.#requestCount++;
    const reply = await new Promise<PngReply>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ ...request, id });
    });
    if (!("problem" in reply)) return reply;
    throw reply.isPictureError ? new PictureError(reply.problem) : new Error(reply.problem);
  }
}
