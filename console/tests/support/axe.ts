// Checks a screen with axe.
import AxeBuilder from "@axe-core/playwright";
import { expect, type Page } from "@playwright/test";

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/**
 * Runs in the page alone, which takes half of the time: the console has no frames whose results would have to be put together.
 * Only violations are described in full, because a selector for each element that passes takes longer than the rules.
 */
const axe = (page: Page): AxeBuilder =>
  new AxeBuilder({ page }).setLegacyMode().options({ resultTypes: ["violations"] });

/** Runs all rules on the light screen. The dark one differs only in its colours. */
export async function check(page: Page, name: string): Promise<void> {
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await axe(page).withRules(["color-contrast", "link-in-text-block"]).analyze();
  await page.emulateMedia({ colorScheme: "light" });
  const light = await axe(page).withTags(TAGS).analyze();
  for (const [theme, { violations }] of [["dark", dark] as const, ["light", light] as const]) {
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
    expect(found, `${name}, ${theme}`).toEqual([]);
  }
}
