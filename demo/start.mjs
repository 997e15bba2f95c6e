// `npm start`: sets the project up, then does the main job. Its arguments are passed on.
import { ensureBuilt, ensureInstalled } from "../setup.mjs";

await ensureInstalled();
await ensureBuilt();
await import("./.out/main.js");
