/** Decodes and encodes PNGs off the page's thread, so that the page stays live meanwhile. */

import { decodePng, encodeGrayPng, PictureError } from "../png.ts";
import type { Picture } from "../png.ts";

export type PngRequest =
  | { readonly id: number; readonly decode: Uint8Array }
  | {
      readonly id: number;
      readonly encode: Uint8Array;
      readonly width: number;
      readonly height: number;
    };

export type PngReply =
  | { readonly id: number; readonly picture: Picture }
  | { readonly id: number; readonly file: Uint8Array<ArrayBuffer> }
  | { readonly id: number; readonly problem: string; readonly isPictureError: boolean };

addEventListener("message", (event: MessageEvent<PngRequest>) => void answer(event.data));

async function answer(request: PngRequest): Promise<void> {
  const { id } = request;
  try {
    if ("decode" in request) {
      const picture = await decodePng(request.decode);
      reply({ id, picture }, picture.samples);
    } else {
      // A copy, because pngjs may give a part of a larger buffer.
      const file = new Uint8Array(encodeGrayPng(request.width, request.height, request.encode));
      reply({ id, file }, file);
    }
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    reply({ id, problem, isPictureError: error instanceof PictureError });
  }
}

function reply(message: PngReply, moved?: ArrayBufferView): void {
  postMessage(message, { transfer: moved === undefined ? [] : [moved.buffer as ArrayBuffer] });
}
