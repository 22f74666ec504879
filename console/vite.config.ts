import { defineConfig } from "vite";

export default defineConfig({
  base: "/console/",
  // The content security policy of the server allows files of its own origin only, so nothing is inlined.
  build: {
    outDir: "dist",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2023",
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  server: {
    // `npm run dev` beside `make up`: the page comes from Vite, sessions and the API from Leadline.
    proxy: {
      "/leadline.v1.": { target: process.env.LEADLINE_HTTP ?? "http://127.0.0.1:8080" },
      "/console/session": { target: process.env.LEADLINE_HTTP ?? "http://127.0.0.1:8080" },
      "/readyz": { target: process.env.LEADLINE_HTTP ?? "http://127.0.0.1:8080" },
    },
  },
});
