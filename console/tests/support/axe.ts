// Checks a screen with axe.
import { expect, type Page } from "@playwright/test";
import axe, { type AxeResults, type RunOptions } from "axe-core";

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/**
 * Runs axe in the page, which has no frames. axe is sent once for each document: it has 1.3 MB.
 * Only violations are described in full, because a selector for each element that passes takes longer than the rules.
 */
async function violations(page: Page, runOnly: RunOptions["runOnly"]): Promise<string[]> {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe.source);
  const { violations } = await page.evaluate(
    (options) => (window as unknown as { axe: { run(options: RunOptions): Promise<AxeResults> } }).axe.run(options),
    { runOnly, resultTypes: ["violations"] } as RunOptions,
  );
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}

/** The violations of these rules of axe. */
export function violationsOf(page: Page, ...rules: string[]): Promise<string[]> {
  return violations(page, { type: "rule", values: rules });
}

/** Runs all rules on the light screen. The dark one differs only in its colours. */
export async function check(page: Page, name: string): Promise<void> {
  await page.emulateMedia({ colorScheme: "dark" });
  expect(await violationsOf(page, "color-contrast", "link-in-text-block"), `${name}, dark`).toEqual([]);
  await page.emulateMedia({ colorScheme: "light" });
  expect(await violations(page, { type: "tag", values: TAGS }), `${name}, light`).toEqual([]);
}
