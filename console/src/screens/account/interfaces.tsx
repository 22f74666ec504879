// The interfaces of an account: the forms, pages and campaigns that its leads come from.
import { registry } from "../../api/clients";
import { type Interface, type SearchableField, SearchableKind } from "../../gen/leadline/v1/account_pb";
import { RegistryService } from "../../gen/leadline/v1/registry_pb";
import { to } from "../../router";
import { linesOf, type Values } from "../../ui/edit";
import { count } from "../../words";
import { Belongings, type Kind } from "./belongings";
import { daysOf, durationOf, Unconfirmed } from "./parts";

const { createInterface, updateInterface, deleteInterface } = RegistryService.method;

/** The names of the form's fields in an update mask. */
const MASKS: Record<string, string> = {
  name: "name",
  retention: "retention",
  emails: "lead_notification_emails",
  searchable: "searchable_fields",
};

const KINDS: Readonly<Record<string, SearchableKind>> = {
  text: SearchableKind.TEXT,
  email: SearchableKind.EMAIL,
  phone: SearchableKind.PHONE,
};

/** Searchable fields in the notation of the form, one in each line: "email payload.email email". */
const written = (fields: readonly SearchableField[]): string =>
  fields.map(({ name, path, kind }) => [name, path, kindOf(kind)].join(" ")).join("\n");

const kindOf = (kind: SearchableKind): string => Object.keys(KINDS).find((word) => KINDS[word] === kind) ?? "text";

function searchable(text: string | undefined) {
  const lines = (text ?? "")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  return lines.map((line) => {
    const [name = "", path = "", kind = name in KINDS ? name : "text", ...more] = line.split(/\s+/);
    const known = KINDS[kind];
    if (path === "" || known === undefined || more.length > 0)
      throw new Error(`“${line}” is not a name, a path such as payload.email, and text, email or phone`);
    return { name, path, kind: known };
  });
}

const settings = (values: Values) => ({
  name: values.name ?? "",
  retention: durationOf(values.retention),
  leadNotificationEmails: linesOf(values.emails),
  searchableFields: searchable(values.searchable),
});

const INTERFACES: Kind<Interface> = {
  title: "Interfaces",
  one: "interface",
  many: "interfaces",
  about: "An interface is a form, page or campaign that leads come from. Publishers name its id with each lead event.",
  first: "leadline interfaces create contact-form --name 'Contact form'",
  methods: { create: createInterface, update: updateInterface, remove: deleteInterface },
  removing:
    "Its leads stay. Events that still name it are refused. Destinations that are only for it have to be deleted first.",
  id: ({ interfaceId }) => interfaceId,
  name: ({ interfaceId, name }) => name || interfaceId,
  fields: [
    { name: "id", label: "Id", required: true, fixed: true, hint: "Letters, digits, _ and -, at most 64" },
    { name: "name", label: "Name" },
    {
      name: "retention",
      label: "Anonymise its leads after days",
      kind: "number",
      hint: "1 to 3,650. Never if empty",
    },
    {
      name: "emails",
      label: "Addresses for mails about new leads",
      kind: "lines",
      hint: "One address in each line, at most 20. Each has to agree first.",
    },
    {
      name: "searchable",
      label: "Fields by which its leads are found",
      kind: "lines",
      hint: "One in each line, at most 8: a name, its path, and text, email or phone, such as: email payload.email email. They hold for leads that are published later; only hashes of the values are stored.",
    },
  ],
  values: (item) => ({
    id: item?.interfaceId ?? "",
    name: item?.name ?? "",
    retention: daysOf(item?.retention),
    emails: item?.leadNotificationEmails.join("\n") ?? "",
    searchable: written(item?.searchableFields ?? []),
  }),
  columns: [
    {
      title: "Interface",
      cell: ({ interfaceId, name }) => (
        <a class="row-link" href={to(["leads"], { interface: interfaceId })}>
          {name || interfaceId}
        </a>
      ),
    },
    { title: "Id", cell: ({ interfaceId }) => <code>{interfaceId}</code> },
    {
      title: "Leads are anonymised",
      cell: ({ retention }) => (retention === undefined ? "never" : `after ${count(Number(daysOf(retention)), "day")}`),
    },
    {
      title: "Mails about new leads",
      cell: ({ leadNotificationEmails: emails, unconfirmedEmails }) => (
        <Unconfirmed emails={emails} unconfirmed={unconfirmedEmails} />
      ),
    },
    {
      title: "Leads are found by",
      cell: ({ searchableFields }) => searchableFields.map(({ name }) => name).join(", "),
    },
  ],
  list: async (accountId, pageToken, signal) => {
    const page = await registry.listInterfaces({ accountId, pageToken, pageSize: 200 }, { signal });
    return { items: page.interfaces, next: page.nextPageToken };
  },
  create: (accountId, values) =>
    registry.createInterface({ interface: { accountId, interfaceId: values.id ?? "", ...settings(values) } }),
  update: ({ accountId, interfaceId }, values, changed) =>
    registry.updateInterface({
      interface: { accountId, interfaceId, ...settings(values) },
      updateMask: { paths: changed.map((name) => MASKS[name] ?? name) },
    }),
  remove: ({ accountId, interfaceId }) => registry.deleteInterface({ accountId, interfaceId }),
};

export const InterfacesScreen = () => <Belongings kind={INTERFACES} />;
