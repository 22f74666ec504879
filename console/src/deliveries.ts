// The deliveries that match a filter: listed page by page, and kept up to date by a watch.
import { deliveries } from "./api/clients";
import { type Filter, matches, toApi } from "./filters";
import type { Delivery } from "./gen/leadline/v1/delivery_pb";
import { type LiveTable, useTable } from "./live/list";
import { type DeliveryRow, row } from "./live/row";
import { useWatch, type Watching } from "./live/watch";

const PAGE_SIZE = 50;

export interface List extends LiveTable<DeliveryRow> {
  readonly watching: Watching;
  /** Updates the list with the delivery that an action returned. */
  changed(delivery: Delivery | undefined): void;
}

/** Lists the deliveries. `heard` is called after each change that the watch reports. */
export function useDeliveries(account: string, filter: Filter, heard?: () => void): List {
  const table = useTable<DeliveryRow>({
    key: JSON.stringify([account, filter]),
    load: async (pageToken, signal) => {
      const request = { filter: toApi(filter, account), pageSize: PAGE_SIZE, pageToken };
      const page = await deliveries.listDeliveries(request, { signal });
      return { items: page.deliveries.map(row), next: page.nextPageToken };
    },
    belongs: (first, shown) => {
      const found = new Set([...shown, ...(first?.items ?? [])].map(({ delivery }) => delivery.leadId));
      return ({ delivery }) => matches(filter, delivery, found);
    },
  });
  const changed = (changes: readonly Delivery[]): void => {
    table.merge(changes.map(row));
    heard?.();
  };
  const { destination: destinationId, lead: leadId } = filter.fields;
  const watching = useWatch({ accountId: account, destinationId, leadId }, { changed, gap: table.first.reload });
  return { ...table, watching, changed: (delivery) => delivery !== undefined && table.merge([row(delivery)]) };
}
