/** The job in the browser, on every PNG type and on real pictures, against the float64 reference. */

import { expect, test } from "@playwright/test";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import type { edgeMap } from "../../demo/edge-map.ts";
import { decodePng } from "../../demo/png.ts";
import type { createRuntime } from "../../src/index.ts";
import { openEmptyPage } from "../support/demo-page.ts";
import {
  decodedInput,
  edgeReference,
  maxDifference,
  referenceInput,
} from "../support/edge-reference.ts";
import type { ReferenceInput } from "../support/edge-reference.ts";
import {
  everyPngType,
  flatPictures,
  pictureFile,
  transparentPictures,
} from "../support/pictures.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const shared = fileURLToPath(new URL("../../../shared/data/images/", import.meta.url));

interface Case {
  readonly name: string;
  readonly file: Uint8Array;
  readonly input: ReferenceInput;
}

function madeUp(): Case[] {
  return [...everyPngType(), ...transparentPictures(), ...flatPictures()].map((picture) => ({
    name: picture.name,
    file: pictureFile(picture),
    input: referenceInput(picture.spec),
  }));
}

async function real(): Promise<Case[]> {
  if (!existsSync(shared)) return [];
  const files = ["astronaut.png", "camera.png", "palette_color.png"].map((name) => ({
    name,
    file: readFileSync(shared + name),
  }));
  return await Promise.all(
    files.map(async ({ name, file }) => ({
      name,
      file,
      input: decodedInput(await decodePng(file)),
    })),
  );
}

test("every PNG type and the real pictures come out right in the browser", async ({ page }) => {
  test.setTimeout(180_000);
  await openEmptyPage(page);
  const pictures = await real();
  if (pictures.length === 0) {
    test
      .info()
      .annotations.push({ type: "not run", description: `${shared} is not on this machine` });
  }
  const cases = [...madeUp(), ...pictures];
  const results = await page.evaluate(
    async ({ folder, files }) => {
      const [moorage, job, png] = await Promise.all([
        import(`/@fs${folder}src/index.ts`) as Promise<{ createRuntime: typeof createRuntime }>,
        import(`/@fs${folder}demo/edge-map.ts`) as Promise<{ edgeMap: typeof edgeMap }>,
        import(`/@fs${folder}demo/png.ts`) as Promise<{ decodePng: typeof decodePng }>,
      ]);
      const text = (bytes: Uint8Array): string => {
        let letters = "";
        for (let at = 0; at < bytes.length; at += 8192)
          letters += String.fromCharCode(...bytes.subarray(at, at + 8192));
        return btoa(letters);
      };
      const errors: string[] = [];
      const runtime = await moorage.createRuntime({
        onError: ({ message }) => errors.push(message),
      });
      const pixels: string[] = [];
      for (const file of files) {
        const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
        const map = await job.edgeMap(runtime, await png.decodePng(bytes));
        pixels.push(text(map.pixels));
      }
      const left = runtime.live().length;
      await runtime.dispose();
      return { pixels, errors, left };
    },
    { folder: root, files: cases.map(({ file }) => Buffer.from(file).toString("base64")) },
  );
  expect(results.errors).toEqual([]);
  expect(results.left).toBe(0);
  expect(results.pixels).toHaveLength(cases.length);
  const wrong = cases.flatMap(({ name, input }, index) => {
    const difference = maxDifference(
      Buffer.from(results.pixels[index]!, "base64"),
      edgeReference(input).pixels,
    );
    return difference <= 1 ? [] : [`${name}: off by ${difference} levels`];
  });
  expect(wrong).toEqual([]);
});
