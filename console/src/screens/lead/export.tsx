// Saves everything about a lead in one JSON file, in the JSON format of the API over HTTP.
import { toJson } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { useEffect, useRef, useState } from "preact/hooks";
import { leads } from "../../api/clients";
import { save } from "../../file";
import { DeliverySchema } from "../../gen/leadline/v1/delivery_pb";
import { EventSchema, type Lead, LeadLogEntrySchema, LeadSchema } from "../../gen/leadline/v1/lead_pb";
import { Ask } from "../../ui/action";
import { maySeePayloads } from "../event";
import { historyOf, PAGE_SIZE } from "./history";

/** With pages of 500, the file has at most 10,000 log entries and 10,000 deliveries: a browser holds it in memory. */
const MAX_PAGES = 20;

export function Export({ lead, close }: { lead: Lead; close: () => void }) {
  const [withPayloads, setWithPayloads] = useState(false);
  const abort = useRef(new AbortController());
  useEffect(() => () => abort.current.abort(), []);
  const act = async (): Promise<void> => {
    const file = await exported(lead, withPayloads, abort.current.signal);
    save(`lead-${lead.leadId}.json`, "application/json", [JSON.stringify(file, null, 2)]);
  };
  return (
    <Ask
      title={`Export ${lead.leadId}`}
      verb="Export as JSON"
      did={`The lead ${lead.leadId} is exported.`}
      undone="Not exported."
      act={act}
      close={close}
    >
      <p>The file has the lead, its log, its events and its deliveries.</p>
      {maySeePayloads() ? (
        <label>
          <input
            type="checkbox"
            checked={withPayloads}
            onChange={(event) => setWithPayloads(event.currentTarget.checked)}
          />{" "}
          With the payloads. Each is an entry of the audit log, with your key.
        </label>
      ) : (
        <p class="hint">Payloads are not in it: this key does not permit them.</p>
      )}
    </Ask>
  );
}

async function exported(before: Lead, withPayloads: boolean, signal: AbortSignal): Promise<object> {
  const { accountId, leadId } = before;
  const [lead, history] = await Promise.all([
    leads.getLead({ accountId, leadId }, { signal }),
    historyOf(before, MAX_PAGES, signal),
  ]);
  if (history.hasMore) {
    throw new Error(`the lead has more than ${(MAX_PAGES * PAGE_SIZE).toLocaleString()} entries; read them by the API`);
  }
  const events: unknown[] = [];
  for (const { eventId, at } of history.events) {
    events.push(
      withPayloads
        ? toJson(EventSchema, await leads.getEvent({ accountId, eventId }, { signal }))
        : { eventId, receivedAt: at && toJson(TimestampSchema, at) },
    );
  }
  return {
    exportedAt: new Date().toISOString(),
    lead: toJson(LeadSchema, lead),
    log: history.log.map((entry) => toJson(LeadLogEntrySchema, entry)),
    events,
    deliveries: history.deliveries.map((delivery) => toJson(DeliverySchema, delivery)),
  };
}
