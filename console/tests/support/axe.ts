// Checks a screen with axe.
import AxeBuilder from "@axe-core/playwright";
import { expect, type Page } from "@playwright/test";

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/**
 * Legacy mode runs axe in the page only, which takes half of the time. The console has no frames, so nothing is missed.
 * Only violations are described in full: a selector for each element that passes takes longer than the rules.
 */
const axe = (page: Page): AxeBuilder =>
  new AxeBuilder({ page }).setLegacyMode().options({ resultTypes: ["violations"] });

/** Runs all rules with light colours, and the rules about colours with dark ones: only the colours differ. */
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
