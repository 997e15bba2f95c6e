/**
 * How a picture is cut so that the job fits into a budget. A strip is computed from a window: its own
 * rows and a halo on both sides, as many rows as blur and Sobel look across. Every window and every
 * strip has the same size, so that all of them use the same buffers; the last one moves up instead of
 * shrinking, and windows at the top and bottom edge have their whole halo on one side.
 *
 *     window ┌────────────┐        what a convolution repeats at the window's edge reaches only
 *       halo │░░░░░░░░░░░░│        into the halo, which is cut off; at the picture's edge there is
 *      strip │████████████│        nothing to cut off, and repeating is what the job asks for
 *       halo │░░░░░░░░░░░░│
 *            └────────────┘
 */

import { formatBytes, InvalidArgumentError, KiB, MiB, OutOfMemoryError } from "moorage";
import type { Budget } from "moorage";

import { blurRadius, maximumSigma } from "./kernels.ts";
import type { Picture } from "./png.ts";

/** The window of one strip, and where in it the strip lies. */
export interface Strip {
  /** First row of the window in the picture. */
  readonly windowStart: number;
  /** First row of the strip in the picture. */
  readonly start: number;
}

export interface StripPlan {
  readonly strips: readonly Strip[];
  readonly windowRows: number;
  readonly stripRows: number;
  /** Device memory that the worst moment takes. */
  readonly deviceBytes: number;
  readonly pinnedBytes: number;
}

type Size = Pick<Picture, "width" | "height">;

/** Every device binds at least this much; a tensor, or a slab, is no larger. */
const bindingBytes = 128 * MiB;
/** The parameter ring, the one buffer that is neither slab nor staging. */
const ringBytes = 128 * KiB;
/** Blocks of up to half a page are bumped out of arena pages, whose memory waits for the scope's end. */
const pageBytes = 256 * KiB;
/** The largest float32 plane of that kind. */
const bumpedPixels = pageBytes / 2 / 4;

/** Bytes of a decoded pixel, as it is uploaded. */
export function pixelBytes({ samples }: Picture): number {
  return 4 * samples.BYTES_PER_ELEMENT;
}

/** Throws `INVALID_ARGUMENT` unless `sigma` is a number above 0 that a blur can be made of. */
export function requireSigma(sigma: number, { width, height }: Size): void {
  if (sigma > 0 && sigma <= maximumSigma) return;
  throw new InvalidArgumentError(
    "INVALID_ARGUMENT",
    `sigma is ${sigma}, which is no blur for a picture of ${width}×${height}; it must be above 0 and at most ${Math.floor(maximumSigma)} (2 is usual)`,
  );
}

/** Cuts a picture. Throws where no strip fits into the budget, and says which budget would do. */
export function planStrips(
  picture: Picture,
  sigma: number,
  budgetBytes: number | undefined,
): StripPlan {
  requireSigma(sigma, picture);
  const { width, height } = picture;
  const halo = blurRadius(sigma) + 1;
  // Smaller planes than these would take more memory, not less.
  const smallest = Math.min(height, Math.max(2 * halo + 1, Math.floor(bumpedPixels / width) + 1));
  if (budgetBytes !== undefined && !(Number.isFinite(budgetBytes) && budgetBytes > 0)) {
    throw new InvalidArgumentError(
      "INVALID_ARGUMENT",
      `the budget is ${budgetBytes} bytes; it must be a number above 0`,
    );
  }
  const fits = (rows: number): boolean =>
    rows * width * pixelBytes(picture) <= bindingBytes &&
    (budgetBytes === undefined ||
      (totalBytes(picture, rows, halo) <= budgetBytes &&
        deviceBytes(picture, rows) <= bindingBytes));
  if (!fits(smallest) && !fits(height)) throw tooSmall(picture, smallest, halo, sigma, budgetBytes);
  // The largest window that fits. A window smaller than the picture takes more with every row.
  let low = fits(height) ? height : smallest;
  let high = fits(height) ? height : height - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  const stripRows = stripRowsOf(low, height, halo);
  const strips = Array.from({ length: Math.ceil(height / stripRows) }, (_, index) => {
    const start = Math.min(index * stripRows, height - stripRows);
    return { start, windowStart: Math.min(Math.max(0, start - halo), height - low) };
  });
  return {
    strips,
    windowRows: low,
    stripRows,
    deviceBytes: deviceBytes(picture, low),
    pinnedBytes: pinnedBytes(picture, low, halo),
  };
}

/** How a runtime must be opened to keep a budget; throws like {@link planStrips}. */
export function runtimeOptionsFor(
  budgetBytes: number | undefined,
  picture: Picture,
  sigma: number,
): { readonly budget?: Partial<Budget>; readonly slabBytes?: number } {
  if (budgetBytes === undefined) return {};
  const plan = planStrips(picture, sigma, budgetBytes);
  // All device memory is one slab: there is nothing left for a second one.
  return {
    budget: {
      deviceBytes: plan.deviceBytes,
      pinnedBytes: plan.pinnedBytes,
      totalBytes: Math.floor(budgetBytes),
    },
    slabBytes: plan.deviceBytes,
  };
}

function stripRowsOf(windowRows: number, height: number, halo: number): number {
  return windowRows === height ? height : windowRows - 2 * halo;
}

function totalBytes(picture: Picture, windowRows: number, halo: number): number {
  return deviceBytes(picture, windowRows) + pinnedBytes(picture, windowRows, halo) + ringBytes;
}

/**
 * At most three float32 planes live at a time, or one and the upload, which may be larger; and pages:
 * one for the weights, one for the maximum and what else is small, one for its intermediates. Planes
 * that are small themselves come back late, and take up to three pages more.
 */
function deviceBytes(picture: Picture, windowRows: number): number {
  const pixels = windowRows * picture.width;
  const planes = pixels * Math.max(3 * 4, 4 + pixelBytes(picture));
  const inPages = pixels * (6 * 4 + pixelBytes(picture));
  const pages = pixels > bumpedPixels ? 3 : 3 + Math.min(3, Math.floor((2 * inPages) / pageBytes));
  return Math.ceil(planes / KiB) * KiB + 4 * KiB + pages * pageBytes;
}

/** One buffer for uploads, and one for each size that is read back. */
function pinnedBytes(picture: Picture, windowRows: number, halo: number): number {
  const { width, height } = picture;
  const upload = windowRows * width * pixelBytes(picture);
  const stripBytes = stripRowsOf(windowRows, height, halo) * width * 4;
  const sizes = [upload, windowRows === height ? 0 : stripBytes, Math.ceil(upload / 4), 4];
  // A pinned buffer is at most a quarter larger than asked, and at least 256 bytes.
  return sizes.reduce((sum, bytes) => sum + Math.ceil((bytes * 5) / 4) + 256, 0);
}

function tooSmall(
  picture: Picture,
  windowRows: number,
  halo: number,
  sigma: number,
  budgetBytes: number | undefined,
): Error {
  const { width, height } = picture;
  const rows = `a picture ${width} pixels wide, blurred with sigma ${sigma}, is computed from at least ${windowRows} of its ${height} rows at a time`;
  const slab = Math.max(
    windowRows * width * pixelBytes(picture),
    budgetBytes === undefined ? 0 : deviceBytes(picture, windowRows),
  );
  if (slab > bindingBytes) {
    return new InvalidArgumentError(
      "LIMIT_EXCEEDED",
      `${rows}, which takes ${formatBytes(slab)} of device memory, and not every device binds more than ${formatBytes(bindingBytes)}; use a smaller sigma or a narrower picture`,
    );
  }
  // Without strips, there are none to read back: that may take less.
  const needed = Math.min(totalBytes(picture, windowRows, halo), totalBytes(picture, height, halo));
  return new OutOfMemoryError(
    `a budget of ${formatBytes(budgetBytes!)} is too small: ${rows}; the smallest budget that works is ${Math.ceil(needed / MiB)} MiB`,
    { requestedBytes: needed, availableBytes: budgetBytes! },
  );
}
