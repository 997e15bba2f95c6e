/** Pictures on canvases: pixel for pixel while a browser can hold them, every n-th pixel beyond. */

import type { Picture } from "../png.ts";

/** What every browser shows without trouble. */
const maximumSide = 8192;
const maximumPixels = 32 * 1024 ** 2;

/** Writes one pixel of a picture (by its index) into RGBA bytes at `to`. */
type Paint = (pixel: number, rgba: Uint8ClampedArray, to: number) => void;

/** Shows a decoded picture without its alpha; returns how many pixels of a side one shown stands for. */
export function showPicture(canvas: HTMLCanvasElement, picture: Picture): number {
  const { samples, maximum } = picture;
  const factor = 255 / maximum;
  return show(canvas, picture, (pixel, rgba, to) => {
    const from = pixel * 4;
    rgba[to] = samples[from]! * factor;
    rgba[to + 1] = samples[from + 1]! * factor;
    rgba[to + 2] = samples[from + 2]! * factor;
  });
}

/** Shows an 8-bit gray picture; returns the same. */
export function showGray(
  canvas: HTMLCanvasElement,
  size: { readonly width: number; readonly height: number },
  pixels: Uint8Array,
): number {
  return show(canvas, size, (pixel, rgba, to) => {
    rgba.fill(pixels[pixel]!, to, to + 3);
  });
}

function show(
  canvas: HTMLCanvasElement,
  { width, height }: { readonly width: number; readonly height: number },
  paint: Paint,
): number {
  const every = Math.ceil(
    Math.max(
      1,
      width / maximumSide,
      height / maximumSide,
      Math.sqrt((width * height) / maximumPixels),
    ),
  );
  canvas.width = Math.ceil(width / every);
  canvas.height = Math.ceil(height / every);
  // In main memory: these pixels come from there, and the GPU's memory is the runtime's here.
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) throw new Error("the browser gave no canvas to draw on");
  const image = context.createImageData(canvas.width, canvas.height);
  let to = 0;
  for (let y = 0; y < height; y += every) {
    for (let x = 0; x < width; x += every) {
      paint(y * width + x, image.data, to);
      image.data[to + 3] = 255;
      to += 4;
    }
  }
  context.putImageData(image, 0, 0);
  fit(canvas, width, height);
  return every;
}

/** Gives the frame the picture's proportions, within reason, and small pictures visible pixels. */
function fit(canvas: HTMLCanvasElement, width: number, height: number): void {
  const ratio = Math.min(2.4, Math.max(0.8, width / height));
  canvas.parentElement?.style.setProperty("--ratio", String(ratio));
  canvas.classList.toggle("pixelated", Math.max(width, height) <= 160);
}
