/** The contract, once for each region, on no device but a simulated one. */

import { arenaSubject } from "../regions/arena-subject.ts";
import { conformance } from "../regions/conformance.ts";
import {
  arenaSubject as deviceArenaSubject,
  heapSubject,
  partsOf,
  quartered,
} from "../regions/device-subject.ts";
import { generalSubject } from "../regions/general-subject.ts";
import { plainPinnedSubject } from "../regions/pinned-subject.ts";
import { openSimulated } from "../simulated/open-simulated.ts";

const programs = 2;

conformance("HotArena", async () => arenaSubject(), programs);
conformance("PinnedHeap", async () => plainPinnedSubject(), programs);
conformance("GeneralHeap", async () => generalSubject(), programs);
conformance(
  "DeviceHeap",
  async () => heapSubject(partsOf((await openSimulated(quartered)).runtime)),
  programs,
);
conformance(
  "DeviceArena",
  async () => deviceArenaSubject(partsOf((await openSimulated(quartered)).runtime)),
  programs,
);
