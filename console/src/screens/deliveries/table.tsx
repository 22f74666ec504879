// The table of deliveries. A row that no longer matches the filter keeps its place and is marked.
import { may } from "../../api/access";
import { type Filter, matches } from "../../filters";
import { JobService } from "../../gen/leadline/v1/job_pb";
import type { DeliveryRow } from "../../live/row";
import { to } from "../../router";
import { millis } from "../../time";
import { Answer, Button, Status, Time } from "../../ui/basics";
import { ofRow } from "../../ui/list";
import { statusWord } from "../../words";
import { mayRetry } from "../retry";

/** The id of the delivery whose row has the focus. */
export function focusedRow(): string | undefined {
  return document.activeElement?.closest<HTMLElement>("[data-row]")?.dataset.row;
}

interface Props {
  rows: readonly DeliveryRow[];
  filter: Filter;
  selected: ReadonlySet<string>;
  /** Absent if rows cannot be selected. */
  toggle?: (id: string) => void;
  retry: (id: string) => void;
}

export function DeliveryTable({ rows, filter, selected, toggle, retry }: Props) {
  const found = new Set(rows.map(({ delivery }) => delivery.leadId));
  const isSelectable = toggle !== undefined && may(JobService.method.retryDeliveries);
  return (
    <div class="scroll">
      <table class="rows">
        <caption class="hidden">Deliveries, the newest first</caption>
        <thead>
          <tr>
            {isSelectable ? (
              <th scope="col">
                <span class="hidden">Selected</span>
              </th>
            ) : null}
            <th scope="col">Status</th>
            <th scope="col">Lead</th>
            <th scope="col">Event type</th>
            <th scope="col">Destination</th>
            <th scope="col">Last answer</th>
            <th scope="col" class="number">
              Attempts
            </th>
            <th scope="col">Next attempt</th>
            <th scope="col">Updated</th>
            <th scope="col">
              <span class="hidden">Action</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <Line
              key={row.id}
              row={row}
              stays={!matches(filter, row.delivery, found)}
              selected={isSelectable ? selected.has(row.id) : undefined}
              toggle={toggle}
              retry={retry}
            />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface LineProps {
  row: DeliveryRow;
  stays: boolean;
  selected: boolean | undefined;
  toggle: ((id: string) => void) | undefined;
  retry: (id: string) => void;
}

function Line({ row, stays, selected, toggle, retry }: LineProps) {
  const { delivery, id } = row;
  const about = `delivery of ${delivery.leadId} to ${delivery.destinationName || delivery.destinationId}`;
  return (
    <tr data-row={id} {...ofRow(stays)}>
      {selected === undefined ? null : (
        <td>
          <input type="checkbox" checked={selected} aria-label={`Select the ${about}`} onChange={() => toggle?.(id)} />
        </td>
      )}
      <td>
        <a class="row-link" href={to(["deliveries", id])} aria-label={`${statusWord(delivery.status).label}, ${about}`}>
          <Status status={delivery.status} />
        </a>
      </td>
      <td>
        <a href={to(["leads", delivery.leadId])}>{delivery.leadId}</a>
      </td>
      <td>{delivery.eventType}</td>
      <td>
        <a href={to(["destinations", delivery.destinationId])}>{delivery.destinationName || delivery.destinationId}</a>
      </td>
      <td>
        <Answer code={delivery.httpStatusCode} errorKind={delivery.errorKind} />
      </td>
      <td class="number">{delivery.attempts}</td>
      <td>
        <Time ms={millis(delivery.nextAttemptAt)} never="" />
      </td>
      <td>
        <Time ms={millis(delivery.updatedAt)} />
      </td>
      <td>
        {mayRetry(delivery) ? (
          <Button onClick={() => retry(id)} label={`Retry the ${about}`}>
            Retry
          </Button>
        ) : null}
      </td>
    </tr>
  );
}
