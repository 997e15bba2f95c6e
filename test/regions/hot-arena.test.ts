import { arenaSubject } from "./arena-subject.ts";
import { conformance } from "./conformance.ts";

conformance("HotArena", async () => arenaSubject());
