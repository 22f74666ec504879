// Each event of a lead at each destination: the delivery, or why there is none.
import { useEffect, useRef } from "preact/hooks";
import { useFreshThings } from "../../account";
import { may } from "../../api/access";
import { useLoad } from "../../api/load";
import type { Delivery } from "../../gen/leadline/v1/delivery_pb";
import type { Lead } from "../../gen/leadline/v1/lead_pb";
import type { Destination } from "../../gen/leadline/v1/registry_pb";
import { RoutingService } from "../../gen/leadline/v1/routing_pb";
import type { DeliveryRow } from "../../live/row";
import { change, to } from "../../router";
import { millis } from "../../time";
import { Button, Status, Time } from "../../ui/basics";
import { Nothing, Shown } from "../../ui/states";
import { count } from "../../words";
import { type History, historyOf } from "./history";

/** The maximum number of pages of the log, and of the deliveries, that are read for the table. */
const MAX_PAGES = 4;
/** The maximum number of columns. A table with more is not readable. */
const MAX_DESTINATIONS = 30;

/** The table of events and destinations. `rows` are deliveries of the lead in their latest state. */
export function Matrix({ lead, rows }: { lead: Lead; rows: readonly DeliveryRow[] }) {
  const { accountId, leadId, events, failedDeliveries, updatedAt } = lead;
  const loaded = useLoad(`matrix ${accountId} ${leadId}`, (signal) => historyOf(lead, MAX_PAGES, signal));
  // The table is read again after each event and attempt. Meanwhile the old one stays.
  const state = [events, lead.deliveries, failedDeliveries, millis(updatedAt)].join(" ");
  const before = useRef(state);
  useEffect(() => {
    if (before.current !== state) loaded.reload();
    before.current = state;
  }, [state]);
  return (
    <Shown of={loaded} what="the events">
      {(value) => <Table lead={lead} of={value} rows={rows} />}
    </Shown>
  );
}

interface Column {
  readonly id: string;
  readonly name: string;
}

function Table({ lead, of, rows }: { lead: Lead; of: History; rows: readonly DeliveryRow[] }) {
  const { destinations } = useFreshThings();
  const known = new Map(of.deliveries.map((one) => [one.deliveryId, one]));
  for (const { delivery } of rows) known.set(delivery.deliveryId, delivery);
  const cells = new Map([...known.values()].map((one) => [`${one.eventId} ${one.destinationId}`, one]));
  const columns = columnsOf(lead, [...known.values()], destinations);
  const shown = columns.slice(0, MAX_DESTINATIONS);
  if (columns.length === 0) return <Nothing text="The account has no destination for this lead." />;
  return (
    <>
      <div class="scroll">
        <table class="rows">
          <caption class="hidden">Each event of the lead, the newest first, at each destination</caption>
          <thead>
            <tr>
              <th scope="col">Event</th>
              {shown.map(({ id, name }) => (
                <th key={id} scope="col">
                  <a href={to(["destinations", id])}>{name}</a>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {[...of.events].reverse().map(({ eventId, detail, at }) => (
              <tr key={eventId}>
                <th scope="row">
                  {detail} <span class="dim">{eventId}</span> <Time ms={millis(at)} />
                </th>
                {shown.map((column) => (
                  <td key={column.id}>
                    <Cell eventId={eventId} column={column} delivery={cells.get(`${eventId} ${column.id}`)} />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Rest events={lead.events - of.events.length} destinations={columns.length - shown.length} />
    </>
  );
}

/** First the destinations that got an event, then the others whose scope includes the lead. */
function columnsOf(lead: Lead, found: readonly Delivery[], destinations: readonly Destination[]): Column[] {
  const columns = new Map(found.map((one) => [one.destinationId, one.destinationName || one.destinationId]));
  const isOf = (wanted: string, is: string): boolean => wanted === "" || wanted === is;
  for (const { destinationId, name, clientId, interfaceId } of destinations) {
    if (isOf(clientId, lead.clientId) && isOf(interfaceId, lead.interfaceId)) columns.set(destinationId, name);
  }
  const got = new Set(found.map(({ destinationId }) => destinationId));
  return [...columns]
    .map(([id, name]) => ({ id, name: name || id }))
    .sort((a, b) => Number(got.has(b.id)) - Number(got.has(a.id)) || a.name.localeCompare(b.name));
}

function Cell({ eventId, column, delivery }: { eventId: string; column: Column; delivery: Delivery | undefined }) {
  if (delivery !== undefined) {
    return (
      <a class="row-link" href={to(["deliveries", delivery.deliveryId])}>
        <Status status={delivery.status} />
      </a>
    );
  }
  if (!may(RoutingService.method.explainRouting)) return <span class="dim">none</span>;
  return (
    <Button
      onClick={() => change({ why: column.id, about: eventId })}
      label={`Why not? Event ${eventId}, destination ${column.name}`}
    >
      Why not?
    </Button>
  );
}

/** The number of events and destinations that are not in the table. */
function Rest({ events, destinations }: { events: number; destinations: number }) {
  const left = [events > 0 && count(events, "event"), destinations > 0 && count(destinations, "destination")];
  const text = left.filter((one) => one !== false).join(" and ");
  return text === "" ? null : <p class="hint">Not in this table: {text}.</p>;
}
