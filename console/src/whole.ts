// Reads the pages of a list one after another.
import type { Page } from "./pages";

/** The items of all pages, but of at most `max` pages. `hasMore` is true if there are more pages. */
export async function whole<T>(
  max: number,
  load: (pageToken: string) => Promise<Page<T>>,
): Promise<{ items: T[]; hasMore: boolean }> {
  const items: T[] = [];
  let pageToken = "";
  for (let page = 0; page < max; page += 1) {
    const read = await load(pageToken);
    items.push(...read.items);
    pageToken = read.next;
    if (pageToken === "") return { items, hasMore: false };
  }
  return { items, hasMore: true };
}
