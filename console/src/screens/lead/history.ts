// Reads the log and the deliveries of a lead, up to a number of pages.
import { deliveries, leads } from "../../api/clients";
import type { Delivery } from "../../gen/leadline/v1/delivery_pb";
import { type Lead, type LeadLogEntry, LeadLogKind } from "../../gen/leadline/v1/lead_pb";
import { whole } from "../../whole";

export const PAGE_SIZE = 500;

export interface History {
  /** The oldest first. */
  readonly log: readonly LeadLogEntry[];
  /** The entries of the log about events. */
  readonly events: readonly LeadLogEntry[];
  readonly deliveries: readonly Delivery[];
  /** Whether the log or the list of deliveries has more pages. */
  readonly hasMore: boolean;
}

/** Reads at most `maxPages` pages of each. */
export async function historyOf(lead: Lead, maxPages: number, signal: AbortSignal): Promise<History> {
  const { accountId, leadId } = lead;
  const [log, found] = await Promise.all([
    whole(maxPages, async (pageToken) => {
      const page = await leads.getLeadLog({ accountId, leadId, pageToken, pageSize: PAGE_SIZE }, { signal });
      return { items: page.entries, next: page.nextPageToken };
    }),
    whole(maxPages, async (pageToken) => {
      const request = { filter: { accountId, leadId }, pageToken, pageSize: PAGE_SIZE };
      const page = await deliveries.listDeliveries(request, { signal });
      return { items: page.deliveries, next: page.nextPageToken };
    }),
  ]);
  const events = log.items.filter(({ kind }) => kind === LeadLogKind.RECEIVED);
  return { log: log.items, events, deliveries: found.items, hasMore: log.hasMore || found.hasMore };
}
