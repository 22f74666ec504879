// The clients of an account: its customers.
import { registry } from "../../api/clients";
import type { Client } from "../../gen/leadline/v1/account_pb";
import { RegistryService } from "../../gen/leadline/v1/registry_pb";
import { to } from "../../router";
import { Belongings, type Kind } from "./belongings";

const { createClient, updateClient, deleteClient } = RegistryService.method;

const CLIENTS: Kind<Client> = {
  title: "Clients",
  one: "client",
  many: "clients",
  about:
    "A client is a customer of this account. Lead events may name it, destinations may be for its leads only, and a portal shows it its own leads and deliveries.",
  first: "leadline clients create north --name 'Acme North'",
  methods: { create: createClient, update: updateClient, remove: deleteClient },
  removing: "Its leads stay. Destinations that are only for it have to be deleted first.",
  id: ({ clientId }) => clientId,
  name: ({ clientId, name }) => name || clientId,
  fields: [
    { name: "id", label: "Id", required: true, fixed: true, hint: "Letters, digits, _ and -, at most 64" },
    { name: "name", label: "Name" },
  ],
  values: (item) => ({ id: item?.clientId ?? "", name: item?.name ?? "" }),
  columns: [
    {
      title: "Client",
      cell: ({ clientId, name }) => (
        <a class="row-link" href={to(["leads"], { client: clientId })}>
          {name || clientId}
        </a>
      ),
    },
    { title: "Id", cell: ({ clientId }) => <code>{clientId}</code> },
  ],
  list: async (accountId, pageToken, signal) => {
    const page = await registry.listClients({ accountId, pageToken, pageSize: 200 }, { signal });
    return { items: page.clients, next: page.nextPageToken };
  },
  create: (accountId, { id: clientId = "", name = "" }) =>
    registry.createClient({ client: { accountId, clientId, name } }),
  update: ({ accountId, clientId }, { name = "" }) =>
    registry.updateClient({ client: { accountId, clientId, name }, updateMask: { paths: ["name"] } }),
  remove: ({ accountId, clientId }) => registry.deleteClient({ accountId, clientId }),
};

export const ClientsScreen = () => <Belongings kind={CLIENTS} />;
