// The rows of a live list, as pure functions from changes to rows.
//
// A change may arrive twice, late, or before an older one. The newest version of each delivery counts, so the same
// changes give the same table in any order. A shown row keeps its place, so that nothing moves under the mouse. New
// rows wait until the person requests them.

export interface Row {
  readonly id: string;
  /** The time by which the list is sorted, in milliseconds; for deliveries, when they were requested. */
  readonly requested: number;
  /** Grows with each change. Versions are compared number by number, from left to right. */
  readonly version: readonly number[];
  /** If two changes have the same version, the one with the higher rank counts. */
  readonly rank: number;
}

export interface Table<R extends Row> {
  /** The newest known version of each delivery. */
  readonly known: ReadonlyMap<string, R>;
  /** The ids of the rows that are shown, in their order. */
  readonly shown: readonly string[];
  /** The last row that was listed; older rows are on the next page. `undefined` if there are no more pages. */
  readonly floor: R | undefined;
}

/** The maximum number of deliveries in memory. Above it, the oldest ones that are not shown are removed. */
export const MAX_KNOWN = 5_000;

export const empty = <R extends Row>(): Table<R> => ({ known: new Map(), shown: [], floor: undefined });

/** Adds changes. Shown rows keep their place. */
export function merge<R extends Row>(table: Table<R>, changes: readonly R[]): Table<R> {
  if (changes.length === 0) return table;
  const known = new Map(table.known);
  for (const change of changes) {
    const before = known.get(change.id);
    if (before === undefined || compare(change, before) > 0) known.set(change.id, change);
  }
  return { ...table, known: forgetting(known, table.shown) };
}

/** Adds rows of a list that was read again. They replace rows with the same version. */
export function refresh<R extends Row>(table: Table<R>, listed: readonly R[]): Table<R> {
  const known = new Map(table.known);
  for (const row of listed) {
    const before = known.get(row.id);
    if (before === undefined || compareVersions(row, before) >= 0) known.set(row.id, row);
  }
  return { ...table, known: forgetting(known, table.shown) };
}

/** Adds a page of the list at the end. */
export function append<R extends Row>(table: Table<R>, page: readonly R[], hasMore: boolean): Table<R> {
  const before = new Set(table.shown);
  const shown = [...table.shown, ...page.map((row) => row.id).filter((id) => !before.has(id))];
  return refresh({ ...table, shown, floor: hasMore ? page.at(-1) : undefined }, page);
}

/** The rows that match and are not shown yet. */
export function waiting<R extends Row>(table: Table<R>, matches: (row: R) => boolean): R[] {
  const shown = new Set(table.shown);
  return [...table.known.values()].filter((row) => !shown.has(row.id) && isListed(table, row) && matches(row));
}

/** Whether rows may be missing between the first page and the shown rows: no row of that page is shown. */
export function hasHole<R extends Row>(table: Table<R>, firstPage: readonly R[], hasMore: boolean): boolean {
  const shown = new Set(table.shown);
  return hasMore && !firstPage.some(({ id }) => shown.has(id));
}

/** Begins the list again with its first page. */
export function restart<R extends Row>(table: Table<R>, page: readonly R[], hasMore: boolean): Table<R> {
  return append({ ...table, shown: [] }, page, hasMore);
}

/** Shows all rows that match, the newest first, and removes those that no longer match. */
export function show<R extends Row>(table: Table<R>, matches: (row: R) => boolean): Table<R> {
  const rows = [...table.known.values()].filter((row) => isListed(table, row) && matches(row)).sort(inOrder);
  return { ...table, shown: rows.map((row) => row.id) };
}

export function rows<R extends Row>(table: Table<R>): R[] {
  return table.shown.flatMap((id) => table.known.get(id) ?? []);
}

const isListed = <R extends Row>({ floor }: Table<R>, row: R): boolean =>
  floor === undefined || inOrder(row, floor) <= 0;

/** The newest first, as the server lists them. */
export function inOrder(a: Row, b: Row): number {
  if (a.requested !== b.requested) return b.requested - a.requested;
  return a.id === b.id ? 0 : a.id < b.id ? 1 : -1;
}

const compare = (a: Row, b: Row): number => compareVersions(a, b) || a.rank - b.rank;

function compareVersions(a: Row, b: Row): number {
  const parts = a.version.map((part, at) => part - (b.version[at] ?? 0));
  return parts.find((difference) => difference !== 0) ?? 0;
}

function forgetting<R extends Row>(known: Map<string, R>, shown: readonly string[]): Map<string, R> {
  if (known.size <= MAX_KNOWN) return known;
  const kept = new Set(shown);
  const rest = [...known.values()].filter((row) => !kept.has(row.id)).sort(inOrder);
  for (const row of rest.slice(Math.max(0, MAX_KNOWN - kept.size))) known.delete(row.id);
  return known;
}
