// The state of the installation.
import { useEffect } from "preact/hooks";
import { status } from "../api/clients";
import { useLoad } from "../api/load";
import type { GetStatusResponse } from "../gen/leadline/v1/status_pb";
import { to } from "../router";
import { millis } from "../time";
import { Facts, Notice, Time } from "../ui/basics";
import { Rows } from "../ui/list";
import { Shown } from "../ui/states";

const INTERVAL_MS = 5_000;

export function StatusScreen() {
  const loaded = useLoad("status", (signal) => status.getStatus({}, { signal }));
  useEffect(() => {
    const timer = setInterval(() => document.hidden || loaded.reload(), INTERVAL_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <>
      <h1>Status</h1>
      <Shown of={loaded} what="the status">
        {(now) => <Now of={now} />}
      </Shown>
    </>
  );
}

function Now({ of }: { of: GetStatusResponse }) {
  const healed = of.healedRequests + of.healedDeliveries;
  return (
    <>
      <Troubles of={of} />
      {healed > 0n ? (
        <Notice kind="bad">
          {healed.toLocaleString()} deliveries were missing and were repaired: a disk lost writes, or there is a bug.
        </Notice>
      ) : null}
      <Facts
        of={[
          ["Measured", <Time ms={millis(of.at)} />],
          [
            "Destinations",
            `${of.destinations}, ${of.destinationsDeactivated} deactivated, ${of.destinationsDisabled} disabled`,
          ],
          ["Failing destinations", of.destinationsFailing.toLocaleString()],
          ["Deliveries that ended in the last hour", ended(of.succeeded, of.failed)],
          ["Attempts in the last hour", ended(of.attempts - of.failedAttempts, of.failedAttempts)],
          ["The oldest delivery that has not ended", <Time ms={millis(of.oldestWaitingAt)} never="none" />],
          ["Parked deliveries", `${of.parked.toLocaleString()} at ${of.parkedDestinations} destinations`],
          ["Scheduled retries", of.timersPending.toLocaleString()],
          ["Ordered deliveries that have not ended", of.inOrder.toLocaleString()],
          ["Unreadable messages", of.poisoned.toLocaleString()],
          ["Database", `${size(of.databaseBytes)}, ${size(of.databaseFreeBytes)} of it free`],
        ]}
      />
      <Failing of={of} />
      <h2>Waiting work</h2>
      <Rows
        items={of.lags}
        caption="Consumers"
        id={({ name }) => name}
        columns={[
          { title: "Consumer", cell: ({ name }) => name },
          { title: "Stream", cell: ({ stream }) => stream },
          { title: "Waiting", number: true, cell: ({ waiting }) => waiting.toLocaleString() },
          { title: "Unacknowledged", number: true, cell: ({ inHand }) => inHand.toLocaleString() },
        ]}
      />
      {of.mostParked.length === 0 ? null : (
        <>
          <h2>Destinations with the most parked deliveries</h2>
          <Rows
            items={of.mostParked}
            caption="Destinations with the most parked deliveries"
            id={({ destinationId }) => destinationId}
            columns={[
              {
                title: "Destination",
                cell: (one) => (
                  <a class="row-link" href={to(["destinations", one.destinationId], { account: one.accountId })}>
                    {one.name || one.destinationId}
                  </a>
                ),
              },
              { title: "Account", cell: ({ accountId }) => accountId },
              { title: "State", cell: ({ state }) => state },
              { title: "Parked", number: true, cell: ({ parked }) => parked.toLocaleString() },
            ]}
          />
        </>
      )}
      <Stored of={of} />
    </>
  );
}

const ended = (succeeded: bigint, failed: bigint): string =>
  `${succeeded.toLocaleString()} succeeded, ${failed.toLocaleString()} failed`;

function Failing({ of: { mostFailing } }: { of: GetStatusResponse }) {
  if (mostFailing.length === 0) return null;
  const title = "Destinations with the latest failures";
  return (
    <>
      <h2>{title}</h2>
      <Rows
        items={mostFailing}
        caption={title}
        id={({ destinationId }) => destinationId}
        columns={[
          {
            title: "Destination",
            cell: (one) => (
              <a class="row-link" href={to(["destinations", one.destinationId], { account: one.accountId })}>
                {one.destinationName || one.destinationId}
              </a>
            ),
          },
          { title: "Account", cell: ({ accountId }) => accountId },
          { title: "Health", cell: ({ summary }) => summary },
          { title: "Failures in a row", number: true, cell: (one) => one.failuresInARow.toLocaleString() },
          { title: "Last success", cell: (one) => <Time ms={millis(one.lastSuccessAt)} never="none" /> },
        ]}
      />
    </>
  );
}

function Troubles({ of }: { of: GetStatusResponse }) {
  if (of.troubles.length === 0) return <Notice kind="good">Everything works.</Notice>;
  return (
    <>
      {of.troubles.map(({ part, text }) => (
        <Notice key={part} kind="bad">
          <b>{part}</b>: {text}
        </Notice>
      ))}
    </>
  );
}

function Stored({ of }: { of: GetStatusResponse }) {
  return (
    <>
      <h2>Storage</h2>
      <Rows
        items={[
          ...of.streams.map((one) => ({ ...one, kind: "stream" })),
          ...of.tables.map((one) => ({ ...one, kind: "table" })),
        ]}
        caption="Streams and tables"
        id={({ kind, name }) => `${kind} ${name}`}
        columns={[
          { title: "Name", cell: ({ kind, name }) => `${kind} ${name}` },
          { title: "Size", number: true, cell: ({ bytes }) => size(bytes) },
          { title: "Messages or rows", number: true, cell: ({ rows }) => rows.toLocaleString() },
          { title: "Oldest", cell: ({ oldest }) => <Time ms={millis(oldest)} /> },
          { title: "Growth a day", number: true, cell: ({ bytesPerDay }) => size(bytesPerDay) },
        ]}
      />
    </>
  );
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

function size(bytes: bigint): string {
  let [value, unit] = [Number(bytes), 0];
  while (value >= 1_024 && unit < UNITS.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${value.toLocaleString(undefined, { maximumFractionDigits: 1 })} ${UNITS[unit]}`;
}
