// The deliveries that match a filter: listed page by page, and kept up to date by a watch.
import { useCallback, useEffect, useState } from "preact/hooks";
import { deliveries } from "./api/clients";
import { type Loaded, useLoad } from "./api/load";
import { trouble } from "./api/trouble";
import { type Filter, matches, toApi } from "./filters";
import type { Delivery, ListDeliveriesResponse } from "./gen/leadline/v1/delivery_pb";
import { type DeliveryRow, row } from "./live/row";
import { append, empty, merge, refresh, rows, show, type Table, waiting } from "./live/table";
import { useWatch, type Watching } from "./live/watch";
import { say } from "./ui/toast";

const PAGE_SIZE = 50;

export interface List {
  readonly first: Loaded<ListDeliveriesResponse>;
  readonly rows: readonly DeliveryRow[];
  /** How many deliveries match and are not shown yet. */
  readonly waiting: number;
  readonly hasMore: boolean;
  readonly watching: Watching;
  showNew(): void;
  more(): Promise<void>;
  /** Updates the list with the delivery that an action returned. */
  changed(delivery: Delivery | undefined): void;
}

interface State {
  readonly key: string;
  readonly table: Table<DeliveryRow>;
  readonly nextPage: string;
  /** Whether the first page was listed. */
  readonly isListed: boolean;
}

/** `heard` is called after each change. */
export function useDeliveries(account: string, filter: Filter, heard?: () => void): List {
  const key = JSON.stringify([account, filter]);
  const fresh = (): State => ({ key, table: empty(), nextPage: "", isListed: false });
  const [kept, setState] = useState<State>(fresh);
  const state = kept.key === key ? kept : fresh();
  const update = useCallback(
    (change: (now: State) => State) => setState((now) => change(now.key === key ? now : fresh())),
    [key],
  );
  const list = (pageToken: string, signal?: AbortSignal) =>
    deliveries.listDeliveries({ filter: toApi(filter, account), pageSize: PAGE_SIZE, pageToken }, { signal });
  const first = useLoad(key, (signal) => list("", signal));
  const found = new Set(rows(state.table).map(({ delivery }) => delivery.leadId));
  for (const { leadId } of first.value?.deliveries ?? []) found.add(leadId);
  const isShown = ({ delivery }: DeliveryRow): boolean => matches(filter, delivery, found);
  useEffect(() => {
    if (first.value !== undefined) update((now) => listed(now, first.value as ListDeliveriesResponse, isShown));
  }, [first.value]);

  const merged = (changes: readonly Delivery[]): void =>
    update((now) => {
      const table = merge(now.table, changes.map(row));
      // In an empty list no row can move.
      return { ...now, table: now.isListed && table.shown.length === 0 ? show(table, isShown) : table };
    });
  const { destination: destinationId, lead: leadId } = filter.fields;
  const changed = (changes: readonly Delivery[]): void => {
    merged(changes);
    heard?.();
  };
  const watching = useWatch({ accountId: account, destinationId, leadId }, { changed, gap: first.reload });

  const more = async (): Promise<void> => {
    try {
      const page = await list(state.nextPage);
      update((now) => ({ ...now, table: appended(now.table, page), nextPage: page.nextPageToken }));
    } catch (error) {
      say(trouble(error).text, "bad");
    }
  };
  return {
    first,
    rows: rows(state.table),
    waiting: waiting(state.table, isShown).length,
    hasMore: state.nextPage !== "",
    watching,
    showNew: () => update((now) => ({ ...now, table: show(now.table, isShown) })),
    more,
    changed: (delivery) => delivery !== undefined && merged([delivery]),
  };
}

/** The first page fills the table. When it is read again it only counts new rows, so that no row moves. */
function listed(now: State, page: ListDeliveriesResponse, isShown: (row: DeliveryRow) => boolean): State {
  if (now.isListed && now.table.shown.length > 0) {
    return { ...now, table: refresh(now.table, page.deliveries.map(row)) };
  }
  const table = show(appended(now.table, page), isShown);
  return { ...now, table, nextPage: page.nextPageToken, isListed: true };
}

const appended = (table: Table<DeliveryRow>, page: ListDeliveriesResponse): Table<DeliveryRow> =>
  append(table, page.deliveries.map(row), page.nextPageToken !== "");
