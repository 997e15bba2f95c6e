/**
 * What the machine can do at best, measured in the run that is judged by it: copying on the host,
 * copying on the device, and fused multiply-adds. Each is the best of several kernels and rounds: a
 * limit is what was reached once, not what is usual.
 */

import type { BenchHost } from "./contract.ts";
import type { MachineLimits } from "./results.ts";

const MiB = 2 ** 20;

export async function measureLimits(host: BenchHost, rounds = 3): Promise<MachineLimits> {
  const device = await host.requestDevice("limits");
  const [copies, multiplyAdds] = [await copyKernels(device), await fmaKernels(device)];
  try {
    return {
      hostCopyBytesPerSecond: hostCopy(host, rounds),
      deviceCopyBytesPerSecond: await best(copies, host, device, rounds),
      fmaFlopsPerSecond: await best(multiplyAdds, host, device, rounds),
    };
  } finally {
    for (const { dispose } of [...copies, ...multiplyAdds]) dispose();
    device.destroy();
  }
}

/** The best of two measurements of one run, before and after the cases. */
export function bestLimits(a: MachineLimits, b: MachineLimits): MachineLimits {
  return {
    hostCopyBytesPerSecond: Math.max(a.hostCopyBytesPerSecond, b.hostCopyBytesPerSecond),
    deviceCopyBytesPerSecond: Math.max(a.deviceCopyBytesPerSecond, b.deviceCopyBytesPerSecond),
    fmaFlopsPerSecond: Math.max(a.fmaFlopsPerSecond, b.fmaFlopsPerSecond),
  };
}

function hostCopy(host: BenchHost, rounds: number): number {
  const source = new Uint8Array(64 * MiB).fill(1);
  const target = new Uint8Array(64 * MiB);
  let fastest = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds + 1; round++) {
    const started = host.now();
    target.set(source);
    if (round > 0) fastest = Math.min(fastest, host.now() - started);
  }
  return (2 * source.byteLength) / (fastest / 1000);
}

/** A kernel that is ready, and what one dispatch of it does: bytes or operations. */
export interface LimitKernel {
  readonly amount: number;
  run(iterations: number): Promise<void>;
  /** Destroys its buffers; kernels of one kind share them. */
  readonly dispose: () => void;
}

async function best(
  kernels: readonly LimitKernel[],
  host: BenchHost,
  device: GPUDevice,
  rounds: number,
): Promise<number> {
  let rate = 0;
  for (const kernel of kernels) {
    await kernel.run(1);
    await host.wait(device);
    for (let round = 0; round < rounds; round++) {
      const started = host.now();
      await kernel.run(4);
      await host.wait(device);
      rate = Math.max(rate, (4 * kernel.amount) / ((host.now() - started) / 1000));
    }
  }
  return rate;
}

/** Copies 16 MiB by vec4, one or four to an invocation. */
export async function copyKernels(device: GPUDevice): Promise<LimitKernel[]> {
  const bytes = 16 * MiB;
  const usage = GPUBufferUsage.STORAGE;
  const buffers = ["source", "target"].map((label) =>
    device.createBuffer({ label: `limits: copy ${label}`, size: bytes, usage }),
  );
  const vectors = bytes / 16;
  const simple = `
@group(0) @binding(0) var<storage, read> source: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> copied: array<vec4f>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  copied[id.x] = source[id.x];
}`;
  const four = `
@group(0) @binding(0) var<storage, read> source: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> copied: array<vec4f>;
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) at: u32) {
  let first = group.x * 256u + at;
  let a = source[first]; let b = source[first + 64u];
  let c = source[first + 128u]; let d = source[first + 192u];
  copied[first] = a; copied[first + 64u] = b;
  copied[first + 128u] = c; copied[first + 192u] = d;
}`;
  return [
    await limitKernel(device, "copy", simple, buffers, vectors / 64, 2 * bytes),
    await limitKernel(device, "copy by four", four, buffers, vectors / 256, 2 * bytes),
  ];
}

/** Copies 16 MiB by one command. */
export function copyCommand(device: GPUDevice): LimitKernel {
  const bytes = 16 * MiB;
  const label = "limits: copy command";
  const [source, target] = [GPUBufferUsage.COPY_SRC, GPUBufferUsage.COPY_DST].map((usage) =>
    device.createBuffer({ label, size: bytes, usage }),
  ) as [GPUBuffer, GPUBuffer];
  return {
    amount: 2 * bytes,
    dispose() {
      source.destroy();
      target.destroy();
    },
    run(iterations) {
      const encoder = device.createCommandEncoder({ label });
      for (let index = 0; index < iterations; index++) {
        encoder.copyBufferToBuffer(source, 0, target, 0, bytes);
      }
      device.queue.submit([encoder.finish()]);
      return Promise.resolve();
    },
  };
}

/** Chains of multiply-adds in registers, over 4 or 8 independent vec4; the loop's length is not a constant. */
export async function fmaKernels(device: GPUDevice): Promise<LimitKernel[]> {
  const steps = 256;
  const groups = 128;
  const seeds = device.createBuffer({
    label: "limits: multiply-add seeds",
    size: 16,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
  });
  device.queue.writeBuffer(seeds, 0, new Float32Array([0.5, 0.25, steps, 0]));
  const results = device.createBuffer({
    label: "limits: multiply-add results",
    size: groups * 64 * 16,
    usage: GPUBufferUsage.STORAGE,
  });
  const kernels: LimitKernel[] = [];
  for (const chains of [4, 8, 16]) {
    const names = Array.from({ length: chains }, (_, index) => `x${index}`);
    const code = `
@group(0) @binding(0) var<storage, read> seeds: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> results: array<vec4f>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  let m = vec4f(seeds[0].x); let a = vec4f(seeds[0].y); let steps = u32(seeds[0].z);
  ${names.map((name, index) => `var ${name} = vec4f(f32(id.x + ${index}u));`).join("\n  ")}
  for (var step = 0u; step < steps; step++) {
    ${names.map((name) => `${name} = fma(${name}, m, a);`).join("\n    ")}
  }
  results[id.x] = ${names.join(" + ")};
}`;
    const flops = groups * 64 * steps * chains * 4 * 2;
    kernels.push(
      await limitKernel(device, `multiply-add ${chains}`, code, [seeds, results], groups, flops),
    );
  }
  return kernels;
}

async function limitKernel(
  device: GPUDevice,
  label: string,
  code: string,
  buffers: readonly GPUBuffer[],
  groups: number,
  amount: number,
): Promise<LimitKernel> {
  const module = device.createShaderModule({ label: `limits: ${label}`, code });
  const pipeline = await device.createComputePipelineAsync({
    label: `limits: ${label}`,
    layout: "auto",
    compute: { module },
  });
  const group = device.createBindGroup({
    label: `limits: ${label}`,
    layout: pipeline.getBindGroupLayout(0),
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  return {
    amount,
    dispose: () => {
      for (const buffer of buffers) buffer.destroy();
    },
    run(iterations) {
      const encoder = device.createCommandEncoder({ label: `limits: ${label}` });
      const pass = encoder.beginComputePass({ label: `limits: ${label}` });
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      for (let index = 0; index < iterations; index++) pass.dispatchWorkgroups(groups);
      pass.end();
      device.queue.submit([encoder.finish()]);
      return Promise.resolve();
    },
  };
}
