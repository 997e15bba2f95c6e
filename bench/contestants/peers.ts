/** The peers, each loaded only where it is chosen: their packages are large, and may not be installed. */

import type { Contestant, ContestantName } from "../core/contract.ts";

export type PeerName = Extract<ContestantName, "tensorflow" | "onnx" | "jax-eager" | "jax-jit">;

export interface Peer {
  readonly name: PeerName;
  /** Before it is loaded; the contestant's own title has the version. */
  readonly title: string;
  /** Rejects where its packages are not installed, or do not load here. */
  readonly load: () => Promise<Contestant>;
}

export const peers: readonly Peer[] = [
  {
    name: "tensorflow",
    title: "TensorFlow.js",
    load: async () => (await import("./tensorflow.ts")).tensorflow,
  },
  {
    name: "onnx",
    title: "ONNX Runtime Web",
    load: async () => (await import("./onnx/index.ts")).onnx,
  },
  {
    name: "jax-eager",
    title: "jax-js, eager",
    load: async () => (await import("./jax.ts")).jaxEager,
  },
  {
    name: "jax-jit",
    title: "jax-js, jit",
    load: async () => (await import("./jax.ts")).jaxJit,
  },
];

/** The peer, or in its place a contestant that says in each of its rows why it could not be loaded. */
export async function loadPeer({ name, title, load }: Peer): Promise<Contestant> {
  try {
    return await load();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const failure = new Error(`${title} could not be loaded: ${reason}`);
    return { name, kind: "peer", title, open: () => Promise.reject(failure) };
  }
}
