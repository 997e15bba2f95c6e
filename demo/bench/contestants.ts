/** Who can be chosen on the page, and how each is loaded. */

import { createBuffer } from "../../bench/contestants/create-buffer.ts";
import { moorage } from "../../bench/contestants/moorage/index.ts";
import { loadPeer, peers } from "../../bench/contestants/peers.ts";
import { raw } from "../../bench/contestants/raw/index.ts";
import type { Contestant, ContestantName } from "../../bench/core/contract.ts";

export interface Choice {
  readonly name: ContestantName;
  readonly title: string;
  /** A library of somebody else, loaded when it is chosen. */
  readonly isPeer: boolean;
  readonly load: () => Promise<Contestant>;
}

/** In the order of the rows. */
export const choices: readonly Choice[] = [
  ...[moorage, raw, createBuffer].map((contestant) => ({
    name: contestant.name,
    title: contestant.title,
    isPeer: false,
    load: () => Promise.resolve(contestant),
  })),
  ...peers.map((peer) => ({
    name: peer.name,
    title: peer.title,
    isPeer: true,
    load: () => loadPeer(peer),
  })),
];
