/** Repeats a piece of a kernel's text: what a loop of the shader would cost is unrolled by hand here. */
export function times(count: number, piece: (index: number) => string, between = ""): string {
  return Array.from({ length: count }, (_, index) => piece(index)).join(between);
}
