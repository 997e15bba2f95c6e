/** What all kernels share that work row by row on [rows, columns]. */

/** A kernel over [rows, columns], all of it in vec4; its uniform `size` holds the rows and the vec4 of one. */
export interface RowKernel {
  readonly variant: string;
  /** How many rows a workgroup does. */
  readonly rows: number;
  readonly code: string;
}

export function head(bindings: readonly string[], size: number): string {
  const named = bindings.map(
    (name, at) => `@group(0) @binding(${at}) var<storage, read> ${name}: array<vec4f>;\n`,
  );
  return `
${named.join("")}@group(0) @binding(${bindings.length}) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(${bindings.length + 1}) var<uniform> size: vec2u;
fn highest(v: vec4f) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }
fn total(v: vec4f) -> f32 { return dot(v, vec4f(1.0)); }
@compute @workgroup_size(${size})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let quads = size.y;`;
}

/** Sums `own` over a workgroup through shared memory, or folds it another way. */
export function foldOfWorkgroup(size: number, fold: (a: string, b: string) => string): string {
  return `
    shared_values[lane] = own;
    workgroupBarrier();
    for (var half = ${size / 2}u; half > 0u; half >>= 1u) {
      if (lane < half) {
        shared_values[lane] = ${fold("shared_values[lane]", "shared_values[lane + half]")};
      }
      workgroupBarrier();
    }
    let folded = workgroupUniformLoad(&shared_values[0]);`;
}

/** A power of two, at most a vec4 to an invocation. */
export function sizeFor(columns: number): number {
  let size = 1;
  while (size * 2 <= columns / 4 && size < 256) size *= 2;
  return size;
}
