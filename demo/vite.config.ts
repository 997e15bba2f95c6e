import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

export default defineConfig({
  root: path("."),
  cacheDir: path("../node_modules/.cache/vite"),
  resolve: { alias: { moorage: path("../src/index.ts") } },
  server: { host: "127.0.0.1" },
  build: { target: "es2022", outDir: path(".out/page"), emptyOutDir: true },
});
