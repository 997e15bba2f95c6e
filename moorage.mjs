#!/usr/bin/env node
// The command `moorage`. In a checkout it sets the project up first, like `npm start` does: npx links
// a package's own command once, and would remember for ever that a built file was not there yet.
import { existsSync } from "node:fs";

const setup = new URL("./setup.mjs", import.meta.url);
if (existsSync(setup)) {
  const { ensureBuilt, ensureInstalled } = await import(setup.href);
  await ensureInstalled();
  await ensureBuilt();
}
await import("./dist/cli.js");
