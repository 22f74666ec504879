// The API users of an account, who get mails about its destinations.
import { registry } from "../../api/clients";
import type { ApiUser } from "../../gen/leadline/v1/account_pb";
import { RegistryService } from "../../gen/leadline/v1/registry_pb";
import { Belongings, type Kind } from "./belongings";
import { Unconfirmed } from "./parts";

const { createApiUser, updateApiUser, deleteApiUser } = RegistryService.method;

const ROLES: readonly (readonly [string, string])[] = [
  ["viewer", "viewer: gets no mail about deactivations"],
  ["operator", "operator: is mailed when a destination is deactivated"],
  ["admin", "admin: is mailed when a destination is deactivated"],
];

const PEOPLE: Kind<ApiUser> = {
  title: "API users",
  one: "API user",
  many: "API users",
  about:
    "An API user is a person or program that uses the API of this account. Their role decides which mails they get.",
  first: "leadline api-users create ada --email ada@acme.example --role operator",
  methods: { create: createApiUser, update: updateApiUser, remove: deleteApiUser },
  removing: "They get no further mail as an API user. Their API keys stay valid; revoke them separately.",
  id: ({ apiUserId }) => apiUserId,
  name: ({ apiUserId, name }) => name || apiUserId,
  fields: [
    { name: "id", label: "Id", required: true, fixed: true, hint: "Letters, digits, _ and -, at most 64" },
    { name: "name", label: "Name" },
    { name: "email", label: "Mail address", kind: "email", required: true },
    { name: "role", label: "Role", kind: "choice", options: ROLES },
  ],
  values: (item) => ({
    id: item?.apiUserId ?? "",
    name: item?.name ?? "",
    email: item?.email ?? "",
    role: item?.role ?? "viewer",
  }),
  columns: [
    { title: "API user", cell: ({ apiUserId, name }) => name || apiUserId },
    { title: "Id", cell: ({ apiUserId }) => <code>{apiUserId}</code> },
    {
      title: "Mail address",
      cell: ({ email, unconfirmedEmails }) => <Unconfirmed emails={[email]} unconfirmed={unconfirmedEmails} />,
    },
    { title: "Role", cell: ({ role }) => role },
  ],
  list: async (accountId, pageToken, signal) => {
    const page = await registry.listApiUsers({ accountId, pageToken, pageSize: 200 }, { signal });
    return { items: page.apiUsers, next: page.nextPageToken };
  },
  create: (accountId, { id: apiUserId = "", name = "", email = "", role = "" }) =>
    registry.createApiUser({ apiUser: { accountId, apiUserId, name, email, role } }),
  update: ({ accountId, apiUserId }, { name = "", email = "", role = "" }, changed) =>
    registry.updateApiUser({
      apiUser: { accountId, apiUserId, name, email, role },
      updateMask: { paths: [...changed] },
    }),
  remove: ({ accountId, apiUserId }) => registry.deleteApiUser({ accountId, apiUserId }),
};

export const PeopleScreen = () => <Belongings kind={PEOPLE} />;
