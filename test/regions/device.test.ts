import { openRuntime } from "../harness.ts";
import { conformance } from "./conformance.ts";
import { arenaSubject, heapSubject, partsOf, quartered } from "./device-subject.ts";

conformance("DeviceHeap", async () => heapSubject(partsOf(await openRuntime(quartered))));

conformance("DeviceArena", async () => arenaSubject(partsOf(await openRuntime(quartered))));
