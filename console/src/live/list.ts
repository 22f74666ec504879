// A live list: read page by page, and kept up to date by a watch. Later changes move no row: new rows wait until they
// are requested, and a row that no longer belongs to the list keeps its place.
import { useCallback, useEffect, useState } from "preact/hooks";
import { type Loaded, useLoad } from "../api/load";
import { trouble } from "../api/trouble";
import type { Page, Pages } from "../pages";
import { say } from "../ui/toast";
import {
  append,
  empty,
  hasHole,
  inOrder,
  merge,
  refresh,
  restart,
  type Row,
  rows,
  show,
  type Table,
  waiting,
} from "./table";
import { useWatch, type Watched, type Watching } from "./watch";

export interface LiveTable<R extends Row> {
  readonly first: Loaded<Page<R>>;
  readonly rows: readonly R[];
  /** How many rows belong to the list and are not shown yet. */
  readonly waiting: number;
  /** The ids of shown rows that no longer belong to the list. */
  readonly stays: ReadonlySet<string>;
  readonly hasMore: boolean;
  showNew(): void;
  more(): Promise<void>;
  merge(changes: readonly R[]): void;
}

interface Source<R extends Row> {
  /** Identifies the list. A new key starts a new list. */
  readonly key: string;
  load(pageToken: string, signal?: AbortSignal): Promise<Page<R>>;
  /** Returns a test whether a row belongs to the list, given the first page and the shown rows. */
  belongs(first: Page<R> | undefined, shown: readonly R[]): (row: R) => boolean;
}

interface State<R extends Row> {
  readonly key: string;
  readonly table: Table<R>;
  readonly nextPage: string;
  /** Whether the first page was listed. */
  readonly isListed: boolean;
}

export function useTable<R extends Row>({ key, load, belongs }: Source<R>): LiveTable<R> {
  const fresh = (): State<R> => ({ key, table: empty(), nextPage: "", isListed: false });
  const [kept, setState] = useState<State<R>>(fresh);
  const state = kept.key === key ? kept : fresh();
  const update = useCallback(
    (change: (now: State<R>) => State<R>) => setState((now) => change(now.key === key ? now : fresh())),
    [key],
  );
  const first = useLoad(key, (signal) => load("", signal));
  const shown = rows(state.table);
  const isIn = belongs(first.value, shown);
  useEffect(() => {
    if (first.value !== undefined) update((now) => listed(now, first.value as Page<R>, isIn));
  }, [first.value]);
  const more = async (): Promise<void> => {
    try {
      const page = await load(state.nextPage);
      update((now) => ({ ...now, table: append(now.table, page.items, page.next !== ""), nextPage: page.next }));
    } catch (error) {
      say(trouble(error).text, "bad");
    }
  };
  return {
    first,
    rows: shown,
    waiting: waiting(state.table, isIn).length,
    stays: new Set(shown.filter((row) => !isIn(row)).map(({ id }) => id)),
    hasMore: state.nextPage !== "",
    showNew: () => update((now) => withNewRows(now, first.value, isIn)),
    more,
    merge: (changes) =>
      update((now) => {
        const table = merge(now.table, changes);
        // In an empty list no row can move.
        return { ...now, table: now.isListed && table.shown.length === 0 ? show(table, isIn) : table };
      }),
  };
}

/** Adds the first page to the table. If it is read again, no shown row moves, unless the list or the page is empty. */
function listed<R extends Row>(now: State<R>, page: Page<R>, isIn: (row: R) => boolean): State<R> {
  if (now.isListed && now.table.shown.length > 0 && page.items.length > 0) {
    return { ...now, table: refresh(now.table, page.items) };
  }
  const table = show(append(now.table, page.items, page.next !== ""), isIn);
  return { ...now, table, nextPage: page.next, isListed: true };
}

/** Shows the rows that wait. If rows between them and the shown ones may be missing, restarts with the first page. */
function withNewRows<R extends Row>(now: State<R>, page: Page<R> | undefined, isIn: (row: R) => boolean): State<R> {
  if (page === undefined || !hasHole(now.table, page.items, page.next !== "")) {
    return { ...now, table: show(now.table, isIn) };
  }
  return { ...now, table: show(restart(now.table, page.items, true), isIn), nextPage: page.next };
}

interface ItemRow<T> extends Row {
  readonly item: T;
}

interface LiveSource<T> {
  readonly key: string;
  readonly watched: Watched;
  load(pageToken: string, signal?: AbortSignal): Promise<Page<T>>;
  id(item: T): string;
  /** The time in milliseconds by which the server sorts the list, the newest first. */
  at(item: T): number;
  /** Called after each change. */
  heard?(): void;
}

export interface LivePages<T> extends Pages<T> {
  readonly waiting: number;
  readonly stays: ReadonlySet<string>;
  readonly watching: Watching;
  showNew(): void;
}

/** A list whose entries change when deliveries change. After such changes its first page is read again. */
export function useLivePages<T>({ key, watched, load, id, at, heard }: LiveSource<T>): LivePages<T> {
  // All rows have the same version, so the latest answer replaces earlier ones.
  const row = (item: T): ItemRow<T> => ({ id: id(item), requested: at(item), version: [], rank: 0, item });
  const table = useTable<ItemRow<T>>({
    key,
    load: async (pageToken, signal) => {
      const { items, next } = await load(pageToken, signal);
      return { items: items.map(row), next };
    },
    belongs: isListed,
  });
  const readAgain = useReadAgain(table.first);
  const changed = (): void => {
    readAgain();
    heard?.();
  };
  const watching = useWatch(watched, { changed, gap: table.first.reload });
  const { first, waiting, stays, hasMore, showNew, more } = table;
  return { first, items: table.rows.map(({ item }) => item), waiting, stays, hasMore, watching, showNew, more };
}

/** A row belongs to such a list if it is on the first page, or older than the rows of that page. */
function isListed<T>(first: Page<ItemRow<T>> | undefined): (row: ItemRow<T>) => boolean {
  if (first === undefined) return () => true;
  const ids = new Set(first.items.map((row) => row.id));
  const last = first.next === "" ? undefined : first.items.at(-1);
  return (row) => ids.has(row.id) || (last !== undefined && inOrder(last, row) < 0);
}

/** The pause between a change and the call that reads it, so that many changes cost one call. */
const READ_AGAIN_MS = 500;

/** Returns a function that reads again soon. It waits for a call that still runs, because a new call would abort it. */
export function useReadAgain({ loading, reload }: Loaded<unknown>): () => void {
  const [isDue, setDue] = useState(false);
  useEffect(() => {
    if (!isDue || loading) return;
    const timer = setTimeout(() => {
      setDue(false);
      reload();
    }, READ_AGAIN_MS);
    return () => clearTimeout(timer);
  }, [isDue, loading]);
  return () => setDue(true);
}
