// The destinations of an account.
import { useAccount } from "../account";
import { may } from "../api/access";
import { registry } from "../api/clients";
import { useLoad } from "../api/load";
import { barsOf, countsOfToday } from "../counts";
import { scopeOf, stateOf, typesOf } from "../destination";
import { type Destination, RegistryService } from "../gen/leadline/v1/registry_pb";
import { type DestinationHealth, ProblemService } from "../gen/leadline/v1/problem_pb";
import { usePages } from "../pages";
import { host } from "../palette";
import { to } from "../router";
import { lasting, millis, span } from "../time";
import { Time } from "../ui/basics";
import { Bars } from "../ui/chart";
import { List } from "../ui/list";
import { Nothing } from "../ui/states";
import { actionsOf } from "./destination/actions";
import { allHealth, useLooksAgain } from "./problems";

const FIRST = "leadline destinations create --name CRM --url https://crm.example/leads";

export function DestinationsScreen() {
  const accountId = useAccount();
  const pages = usePages<Destination>(`destinations ${accountId}`, async (pageToken, signal) => {
    const page = await registry.listDestinations({ accountId, pageToken, pageSize: 200 }, { signal });
    return { items: page.destinations, next: page.nextPageToken };
  });
  const { healthOf, barsOf } = useHealth(accountId);
  const mayCreate = may(RegistryService.method.createDestination);
  return (
    <>
      <div class="title">
        <h1>Destinations</h1>
        {mayCreate ? (
          <a class="button primary" href={to(["destinations", "new"])}>
            New destination
          </a>
        ) : null}
      </div>
      <List
        pages={pages}
        what="destinations"
        caption="Destinations"
        id={({ destinationId }) => destinationId}
        nothing={
          <Nothing
            text={
              mayCreate
                ? "There is no destination yet. Use “New destination”, or this command:"
                : "There is no destination yet. This command creates the first:"
            }
            command={FIRST}
          />
        }
        columns={[
          {
            title: "Name",
            cell: (one) => (
              <a class="row-link" href={to(["destinations", one.destinationId])}>
                {one.name || one.destinationId}
              </a>
            ),
          },
          { title: "State", cell: (one) => <DestinationState of={one} /> },
          { title: "Health", cell: ({ destinationId }) => healthOf(destinationId)?.summary },
          { title: "Last 24 hours", cell: ({ destinationId }) => barsOf(destinationId) },
          { title: "p95", cell: ({ destinationId }) => p95Of(healthOf(destinationId)) },
          {
            title: "Waiting",
            number: true,
            cell: ({ destinationId }) => healthOf(destinationId)?.waiting.toLocaleString(),
          },
          { title: "Held", number: true, cell: ({ destinationId }) => healthOf(destinationId)?.held.toLocaleString() },
          {
            title: "Last success",
            cell: ({ destinationId }) => <Time ms={millis(healthOf(destinationId)?.lastSuccessAt)} never="" />,
          },
          { title: "Host", cell: ({ url }) => host(url) },
          { title: "For", cell: scopeOf },
          { title: "Event types", cell: typesOf },
          { title: "Actions", hidden: true, cell: (one) => <Actions of={one} /> },
        ]}
      />
    </>
  );
}

/** Links to the dialogs of the destination. */
function Actions({ of }: { of: Destination }) {
  const name = of.name || of.destinationId;
  return (
    <span class="row">
      {actionsOf(of).map(({ verb, action }) => (
        <a key={action} aria-label={`${verb} ${name}`} href={to(["destinations", of.destinationId], { do: action })}>
          {verb}
        </a>
      ))}
    </span>
  );
}

export function DestinationState({ of }: { of: Destination }) {
  const { label, kind } = stateOf(of);
  return <span class={`status ${kind}`}>{label}</span>;
}

const p95Of = (health: DestinationHealth | undefined): string => {
  const ms = lasting(health?.p95);
  return ms === undefined ? "" : span(ms);
};

/** The health and the counts of each destination. They load beside the list, which does not wait for them. */
function useHealth(accountId: string) {
  const health = useLoad(`health of all ${accountId}`, async (signal) => {
    const all = may(ProblemService.method.listDestinationHealth) ? await allHealth(accountId, signal) : [];
    return new Map(all.map((one) => [one.destinationId, one]));
  });
  const counts = useLoad(`counts of all ${accountId}`, async (signal) => {
    const all = may(ProblemService.method.queryDeliveryCounts) ? await countsOfToday(accountId, "", signal) : [];
    return Map.groupBy(all, ({ destinationId }) => destinationId);
  });
  useLooksAgain(() => {
    health.reload();
    counts.reload();
  });
  return {
    healthOf: (destinationId: string) => health.value?.get(destinationId),
    barsOf: (destinationId: string) => {
      const own = counts.value?.get(destinationId);
      return own === undefined ? null : <Bars bars={barsOf(own)} title="Last 24 hours" small />;
    },
  };
}
