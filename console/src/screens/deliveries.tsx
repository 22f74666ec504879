// The deliveries of an account: a live list with filters, where people retry one, several or all deliveries.
import { useState } from "preact/hooks";
import { useAccount } from "../account";
import { may } from "../api/access";
import { type List, useDeliveries } from "../deliveries";
import { type Filter, fromQuery, isEmpty, toQuery } from "../filters";
import { JobService } from "../gen/leadline/v1/job_pb";
import { useKeys } from "../keys";
import type { Watching } from "../live/watch";
import { change, usePlace } from "../router";
import { Button } from "../ui/basics";
import { New } from "../ui/list";
import { Failed, Loading, Nothing, NothingMatches } from "../ui/states";
import { ofDeliveries } from "../words";
import { DeliveryTable, focusedRow } from "./deliveries/table";
import { FilterBar } from "./deliveries/filter-bar";
import { JobSheet, RetrySheet, type What } from "./deliveries/retry-sheet";
import { mayRetry, useRetryOne } from "./retry";

const FIRST = `leadline publish --interface contact-form --lead ada --payload '{"name": "Ada"}'`;

export function DeliveriesScreen() {
  const account = useAccount();
  const { query, search } = usePlace();
  const filter = fromQuery(query, search);
  const list = useDeliveries(account, filter);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const toggle = (id: string): void => setSelected(toggled(selected, id));
  const { retry, retryOne } = useRetry(list, selected, () =>
    change({ retry: "selected", delivery: selected.size > MAX_IN_ADDRESS ? [] : [...selected] }),
  );
  useKeys({
    "/": () => document.getElementById("filter-value")?.focus(),
    x: () => {
      const id = focusedRow();
      if (id !== undefined) toggle(id);
    },
    r: retry,
  });
  const what = whatToRetry(query, filter, selected);
  const job = query.get("job");
  const close = (): void => {
    if (job !== null) setSelected(new Set());
    change({ retry: undefined, delivery: undefined, job: undefined, of: undefined }, { replace: true });
  };
  return (
    <>
      <div class="title">
        <h1>Deliveries</h1>
        <Live watching={list.watching} />
      </div>
      <FilterBar filter={filter} />
      <Actions list={list} selected={selected} retrySelected={retry} clear={() => setSelected(new Set())} />
      <Listed list={list} filter={filter} selected={selected} toggle={toggle} retry={retryOne} />
      {what === undefined ? null : <RetrySheet what={what} close={close} />}
      {job === null ? null : <JobSheet id={job} close={close} />}
    </>
  );
}

/** The address has a selection of at most this many deliveries, because proxies cut long addresses. */
const MAX_IN_ADDRESS = 100;

/** What the retry sheet is about, if the address opens it; `undefined` if it does not. */
function whatToRetry(query: URLSearchParams, filter: Filter, selected: ReadonlySet<string>): What | undefined {
  if (!query.has("retry")) return undefined;
  if (query.get("retry") !== "selected") return { filter };
  const named = query.getAll("delivery");
  const ids = named.length > 0 ? named : [...selected];
  return ids.length === 0 ? undefined : { ids };
}

function toggled(selected: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const next = new Set(selected);
  if (!next.delete(id)) next.add(id);
  return next;
}

/** Retries the selection, or else the delivery of the row that has the focus. */
function useRetry(list: List, selected: ReadonlySet<string>, retrySelected: () => void) {
  const retryOne = useRetryOne(list.changed);
  const retry = (): void => {
    const focused = focusedRow();
    const row = list.rows.find(({ id }) => id === focused);
    if (selected.size > 0 && may(JobService.method.retryDeliveries)) retrySelected();
    else if (row !== undefined && mayRetry(row.delivery)) retryOne(row.id);
  };
  return { retry, retryOne };
}

export function Live({ watching }: { watching: Watching }) {
  return (
    <span class={watching.live ? "live" : "live off"} title={watching.why || undefined}>
      {watching.live ? "Live" : watching.why === "" ? "Connecting …" : `Not live: ${watching.why}`}
    </span>
  );
}

interface ActionsProps {
  list: List;
  selected: ReadonlySet<string>;
  retrySelected: () => void;
  clear: () => void;
}

function Actions({ list, selected, retrySelected, clear }: ActionsProps) {
  const mayRetryMany = may(JobService.method.retryDeliveries);
  const hasRows = list.rows.length > 0;
  return (
    <div class="actions">
      {mayRetryMany && selected.size > 0 ? (
        <>
          <Button kind="primary" onClick={retrySelected} shortcut="r">
            Retry {selected.size} selected
          </Button>
          <Button onClick={clear}>Clear selection</Button>
        </>
      ) : null}
      {mayRetryMany && hasRows ? (
        <Button onClick={() => change({ retry: "matching" })}>Retry all that match …</Button>
      ) : null}
      <New list={list} />
    </div>
  );
}

interface ListedProps {
  list: List;
  filter: Filter;
  selected: ReadonlySet<string>;
  toggle: (id: string) => void;
  retry: (id: string) => void;
}

function Listed({ list, filter, selected, toggle, retry }: ListedProps) {
  const { first, rows } = list;
  const clear = (): void => change(toQuery({ statuses: [], fields: {}, where: {} }), { search: {} });
  if (rows.length === 0) {
    if (first.value === undefined && first.trouble === undefined) return <Loading what="deliveries" />;
    if (first.trouble !== undefined) return <Failed trouble={first.trouble} reload={first.reload} />;
    if (!isEmpty(filter)) return <NothingMatches what="delivery" clear={clear} />;
    return (
      <Nothing
        text="There is no delivery yet. A published lead creates the first, if a destination wants it:"
        command={FIRST}
      />
    );
  }
  return (
    <>
      <DeliveryTable rows={rows} filter={filter} selected={selected} toggle={toggle} retry={retry} />
      <More list={list} />
    </>
  );
}

function More({ list }: { list: List }) {
  const [busy, setBusy] = useState(false);
  const more = async (): Promise<void> => {
    setBusy(true);
    await list.more();
    setBusy(false);
  };
  return (
    <p class="more">
      {ofDeliveries(list.rows.length)} shown.{" "}
      {list.hasMore ? (
        <Button busy={busy} onClick={() => void more()}>
          Show more
        </Button>
      ) : null}
    </p>
  );
}
