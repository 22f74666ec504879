// Opens lists of the console in Chromium and prints how long each takes, in milliseconds; `make bench` runs it.
//
//   node open.mjs ORIGIN ROUNDS NAME=PATH …    with the API key in LEADLINE_API_KEY, and LEADLINE_CHROMIUM
//
// A list is open when its first row is visible. The page is loaded anew each time: files come from the browser's cache,
// answers do not. The first time is that of a browser that has logged in and seen nothing else.
import { chromium } from "@playwright/test";

const [origin, rounds, ...lists] = process.argv.slice(2);
const browser = await chromium.launch({
    executablePath: process.env.LEADLINE_CHROMIUM,
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });

async function open(path) {
    const began = performance.now();
    await page.goto(`${origin}/console/${path}`, { waitUntil: "commit" });
    await page.locator("a.row-link").first().waitFor();
    return performance.now() - began;
}

await page.goto(`${origin}/console/login`);
await page.getByLabel("API key").fill(process.env.LEADLINE_API_KEY);
await page.getByRole("button", { name: "Log in" }).click();
await page.getByRole("navigation", { name: "Screens" }).waitFor();
const times = {};
for (const list of lists) {
    const [name, path] = list.split(/=(.*)/s);
    times[name] = [];
    for (let round = 0; round <= Number(rounds); round += 1) times[name].push(await open(path));
}
await browser.close();
console.log(JSON.stringify(times));
