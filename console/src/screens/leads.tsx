// The leads of an account.
import { useRef, useState } from "preact/hooks";
import { useAccount, useFreshThings } from "../account";
import { may } from "../api/access";
import { leads } from "../api/clients";
import { save } from "../file";
import { type Where, whereOf } from "../filters";
import { type Lead, LeadService } from "../gen/leadline/v1/lead_pb";
import { useKeys } from "../keys";
import { type LivePages, useLivePages } from "../live/list";
import { change, go, to, usePlace } from "../router";
import { millis, stamp } from "../time";
import { label, useSearchable } from "../search";
import { Answer, Button, Chip, Time } from "../ui/basics";
import { useAction } from "../ui/action";
import { List, New } from "../ui/list";
import { Nothing, NothingMatches } from "../ui/states";
import { Live } from "./deliveries";
import { useLooksAgain } from "./problems";

const FIRST = `leadline publish --interface contact-form --lead ada --payload '{"name": "Ada"}'`;
const FILTERS = ["interface", "client", "failed", "from", "before"] as const;

export function LeadsScreen() {
  const accountId = useAccount();
  const { query, search } = usePlace();
  const filter = filterOf(query, search);
  const isFiltered = FILTERS.some((name) => query.has(name)) || Object.keys(filter.where).length > 0;
  const list = useLivePages<Lead>({
    key: `leads ${accountId} ${query} ${search}`,
    watched: { accountId },
    load: async (pageToken, signal) => {
      const page = await leads.listLeads({ accountId, ...filter, pageToken }, { signal });
      return { items: page.leads, next: page.nextPageToken };
    },
    id,
    at: ({ createdAt }) => millis(createdAt) ?? 0,
  });
  // A watch reports deliveries, and so no lead that no destination wants.
  useLooksAgain(list.first.reload);
  useKeys({ "/": () => document.getElementById("lead-id")?.focus() });
  const clear = (): void => change(Object.fromEntries(FILTERS.map((name) => [name, undefined])), { search: {} });
  return (
    <>
      <div class="title">
        <h1>Leads</h1>
        <Live watching={list.watching} />
        {may(LeadService.method.exportLeads) ? <Export /> : null}
      </div>
      <Find />
      <Filters list={list} />
      <List
        pages={list}
        what="leads"
        caption="Leads, the newest first"
        id={id}
        stays={list.stays}
        nothing={
          isFiltered ? (
            <NothingMatches what="lead" clear={clear} />
          ) : (
            <Nothing text="There is no lead yet. This command publishes the first:" command={FIRST} />
          )
        }
        columns={[
          {
            title: "Lead",
            cell: ({ leadId }) => (
              <a class="row-link" href={to(["leads", leadId])}>
                {leadId}
              </a>
            ),
          },
          { title: "Interface", cell: ({ interfaceId }) => interfaceId },
          { title: "Client", cell: ({ clientId }) => clientId },
          { title: "Events", number: true, cell: ({ events }) => events },
          { title: "Deliveries", number: true, cell: ({ deliveries }) => deliveries },
          { title: "Failed", cell: (lead) => <Failures lead={lead} /> },
          { title: "Last answer", cell: ({ httpStatusCode }) => <Answer code={httpStatusCode} /> },
          { title: "Created", cell: ({ createdAt }) => <Time ms={millis(createdAt)} /> },
          { title: "Updated", cell: ({ updatedAt }) => <Time ms={millis(updatedAt)} /> },
        ]}
      />
    </>
  );
}

const id = ({ leadId }: Lead): string => leadId;

export function Failures({ lead }: { lead: Lead }) {
  if (lead.anonymised) return <span class="status">Anonymised</span>;
  return lead.failed ? <span class="status failed">{lead.failedDeliveries} failed</span> : null;
}

function filterOf(query: URLSearchParams, search: URLSearchParams) {
  const at = (name: string) => {
    const ms = Date.parse(query.get(name) ?? "");
    return Number.isNaN(ms) ? undefined : stamp(ms);
  };
  return {
    interfaceId: query.get("interface") ?? "",
    clientId: query.get("client") ?? "",
    failed: query.get("failed") === "yes" ? true : query.get("failed") === "no" ? false : undefined,
    createdFrom: at("from"),
    createdBefore: at("before"),
    where: { ...whereOf(search) },
  };
}

/** Finds leads by id, or by a value inside their payloads. Searches are shown as chips. */
function Find() {
  const { search } = usePlace();
  const searchable = useSearchable();
  const [by, setBy] = useState("");
  const input = useRef<HTMLInputElement>(null);
  const where = whereOf(search);
  const set = (values: Where): void => change({}, { search: values });
  const find = (event: Event): void => {
    event.preventDefault();
    const value = input.current?.value.trim() ?? "";
    if (value === "" || input.current === null) return;
    if (by === "") return go(to(["leads", value]));
    set({ ...where, [by]: value });
    input.current.value = "";
  };
  const remove = (name: string): void => {
    const { [name]: _, ...others } = where;
    set(others);
  };
  return (
    <>
      <form class="row" onSubmit={find} role="search">
        {searchable.length === 0 ? null : (
          <>
            <label for="find-by">Find by</label>
            <select id="find-by" value={by} onChange={(event) => setBy(event.currentTarget.value)}>
              <option value="">id</option>
              {searchable.map((name) => (
                <option key={name} value={name}>
                  {label(name)}
                </option>
              ))}
            </select>
          </>
        )}
        <label for="lead-id">{by === "" ? "Open the lead with the id" : label(by)}</label>
        <input id="lead-id" ref={input} autoComplete="off" aria-keyshortcuts="/" />
        <Button type="submit">{by === "" ? "Open" : "Find"}</Button>
      </form>
      {Object.keys(where).length === 0 ? null : (
        <ul class="chips" aria-label="What is searched for">
          {Object.entries(where).map(([name, value]) => (
            <Chip key={name} shown={`${label(name)}: ${value}`} remove={() => remove(name)} />
          ))}
        </ul>
      )}
    </>
  );
}

function Filters({ list }: { list: LivePages<Lead> }) {
  const { query } = usePlace();
  const { interfaces, clients } = useFreshThings();
  const choice = (name: string, label: string, options: readonly (readonly [string, string])[]) => (
    <label>
      {label}{" "}
      <select value={query.get(name) ?? ""} onChange={(event) => change({ [name]: event.currentTarget.value })}>
        <option value="">all</option>
        {options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
  return (
    <section class="actions" aria-label="Filters">
      {choice("failed", "Failed", [
        ["yes", "with a failed delivery"],
        ["no", "without"],
      ])}
      {choice(
        "interface",
        "Interface",
        interfaces.map(({ interfaceId, name }) => [interfaceId, name || interfaceId]),
      )}
      {clients.length === 0
        ? null
        : choice(
            "client",
            "Client",
            clients.map(({ clientId, name }) => [clientId, name || clientId]),
          )}
      <New list={list} />
    </section>
  );
}

/** Reads the CSV with the session and gives it to the browser as a file. */
function Export() {
  const accountId = useAccount();
  const { query, search } = usePlace();
  const { busy, wrong, act } = useAction("", "Not exported.");
  const read = async (): Promise<void> => {
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    const request = { accountId, ...filterOf(query, search), byteOrderMark: true, idsAsText: true };
    for await (const { csv } of leads.exportLeads(request, { timeoutMs: 0 })) pieces.push(new Uint8Array(csv));
    save(`leads-${accountId}.csv`, "text/csv", pieces);
  };
  return (
    <>
      <Button busy={busy} onClick={() => void act(read)} title="For spreadsheets: ids stay text">
        Export as CSV
      </Button>
      {wrong === "" ? null : (
        <span class="wrong" role="alert">
          {wrong}
        </span>
      )}
    </>
  );
}
