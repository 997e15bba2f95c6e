import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

export default defineConfig({
  root: path("."),
  cacheDir: path("../node_modules/.cache/vite"),
  resolve: {
    alias: [
      { find: /^moorage$/, replacement: path("../src/index.ts") },
      // pngjs's main file wants Node's zlib; this one brings its own.
      { find: /^pngjs$/, replacement: path("../node_modules/pngjs/browser.js") },
    ],
  },
  // Found late, it would make the page load twice.
  optimizeDeps: { include: ["pngjs"] },
  worker: { format: "es" },
  // The page and its tests import from all over the repository.
  server: { host: "127.0.0.1", fs: { allow: [path("..")] } },
  build: { target: "es2022", outDir: path(".out/page"), emptyOutDir: true },
});
