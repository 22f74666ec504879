// The tests of the console: `make test` runs them through tests/e2e/console.rs, `npm test` alone.
//
// LEADLINE_PROGRAM and LEADLINE_NATS_SERVER name the real programs, LEADLINE_CHROMIUM the browser (tools/bring-browser).
import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: "tests",
  outputDir: "../target/console/failed",
  // Each test has an account of its own.
  fullyParallel: true,
  workers: 2,
  // A flaky test is a failed test.
  retries: 0,
  forbidOnly: true,
  timeout: 60_000,
  // Three minutes on two cores that do nothing else, and three times as long beside other tests.
  globalTimeout: 9 * 60_000,
  expect: { timeout: 15_000 },
  reporter: [["list"]],
  use: {
    viewport: { width: 1280, height: 800 },
    locale: "en-GB",
    timezoneId: "Europe/Berlin",
    // axe measures the contrast of a colour in the middle of its transition, too.
    contextOptions: { reducedMotion: "reduce" },
    launchOptions: {
      executablePath: process.env.LEADLINE_CHROMIUM ?? "/usr/bin/chromium",
      // Containers have no user namespaces, and little of /dev/shm.
      args: ["--no-sandbox", "--disable-dev-shm-usage"],
    },
    actionTimeout: 20_000,
    navigationTimeout: 20_000,
    // A trace of DOM snapshots; the screencast of every test would cost more than the test.
    trace: { mode: "retain-on-failure", screenshots: false, sources: false },
    screenshot: "only-on-failure",
  },
});
