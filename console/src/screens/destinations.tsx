// The destinations of an account.
import { useAccount } from "../account";
import { may } from "../api/access";
import { registry } from "../api/clients";
import { scopeOf, stateOf, typesOf } from "../destination";
import { type Destination, RegistryService } from "../gen/leadline/v1/registry_pb";
import { usePages } from "../pages";
import { host } from "../palette";
import { to } from "../router";
import { List } from "../ui/list";
import { Nothing } from "../ui/states";

const FIRST = "leadline destinations create --name CRM --url https://crm.example/leads";

export function DestinationsScreen() {
  const accountId = useAccount();
  const pages = usePages<Destination>(`destinations ${accountId}`, async (pageToken, signal) => {
    const page = await registry.listDestinations({ accountId, pageToken, pageSize: 200 }, { signal });
    return { items: page.destinations, next: page.nextPageToken };
  });
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
          { title: "Host", cell: ({ url }) => host(url) },
          { title: "For", cell: scopeOf },
          { title: "Event types", cell: typesOf },
        ]}
      />
    </>
  );
}

export function DestinationState({ of }: { of: Destination }) {
  const { label, kind } = stateOf(of);
  return <span class={`status ${kind}`}>{label}</span>;
}
