// Log-in at an identity provider on another site. The browser applies the rules for cookies of other sites.
import { freePort, Leadline } from "./support/leadline";
import { Provider } from "./support/provider";
import { expect, newWorld, test } from "./support/test";

test("a person logs in at the identity provider of another site, and what they do names them", async ({
  page,
  receiver,
}) => {
  test.setTimeout(120_000);
  const provider = await Provider.start();
  const port = await freePort();
  const site = `http://localhost:${port}`;
  const traces = ["--trace-url", "https://traces.example/trace/{trace_id}"];
  const own = [...traces, "--http", `127.0.0.1:${port}`, "--public-url", site];
  // Attempts have traces only if traces are exported. The collector need not answer.
  process.env.OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:9";
  const leadline = await Leadline.start(...own, ...provider.args("support=operate@acme"));
  delete process.env.OTEL_EXPORTER_OTLP_ENDPOINT;
  try {
    const world = await newWorld(leadline, "acme");
    receiver.status = 500;
    await world.destination("CRM", receiver.url);
    await world.publish("ada");
    const [failed] = await world.have(1, "failed");
    // The browser sees "localhost", and the provider at "127.0.0.1" is another site.
    await page.goto(`${site}/console/deliveries/${failed?.deliveryId}`);
    await page.getByRole("link", { name: "Log in with Acme" }).click();
    await page.getByRole("link", { name: "Agree" }).click();
    await expect(page.getByRole("heading", { name: "Delivery of ada" })).toBeVisible();
    // The account is added to the address once it is known.
    expect(new URL(page.url()).pathname).toBe(`/console/deliveries/${failed?.deliveryId}`);
    await expect(page.getByText("ada@acme.example")).toBeVisible();
    const trace = page.getByRole("link", { name: "Trace of attempt 1" });
    await expect(trace).toHaveAttribute("href", /^https:\/\/traces\.example\/trace\/[0-9a-f]{32}$/);
    const cookies = await page.context().cookies(site);
    expect(cookies.map(({ name, httpOnly, sameSite }) => [name, httpOnly, sameSite])).toEqual([
      ["leadline_session", true, "Strict"],
    ]);
    await page.reload();
    receiver.status = 200;
    await page.getByRole("button", { name: "Retry", exact: true }).click();
    await world.have(1, "succeeded");
    await page.goto(`${site}/console/leads/ada`);
    await expect(page.getByText("person 8a1f (ada@acme.example)").first()).toBeVisible();
    await expect(page.getByRole("link", { name: "API keys" })).toHaveCount(0);

    provider.person = { sub: "9b", email: "eve@acme.example", groups: ["others"] };
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByRole("link", { name: "Log in with Acme" }).click();
    await page.getByRole("link", { name: "Agree" }).click();
    await expect(page.getByText("none of your groups may use Leadline")).toBeVisible();
    await provider.stop();
    await page.getByRole("link", { name: "Log in with Acme" }).click();
    // Leadline still has the provider's configuration, so it sends the browser there, and no page answers.
    await page.goto(`${site}/console/login#refused=provider`);
    await expect(page.getByText("The identity provider does not answer as it should.")).toBeVisible();
  } finally {
    await leadline.stop();
  }
});
