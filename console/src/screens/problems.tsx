// The first screen: problems, with their cause, what to do, and who acknowledged them.
import { useEffect, useState } from "preact/hooks";
import { useAccount, useThings } from "../account";
import { may } from "../api/access";
import { problems as api } from "../api/clients";
import { useLoad } from "../api/load";
import { sentence, trouble } from "../api/trouble";
import { failedToday } from "../counts";
import type { Filter } from "../filters";
import { JobService } from "../gen/leadline/v1/job_pb";
import {
  type DestinationHealth,
  HealthState,
  type Problem,
  ProblemService,
  ProblemState,
} from "../gen/leadline/v1/problem_pb";
import { type LivePages, useLivePages } from "../live/list";
import { change, to, usePlace } from "../router";
import { millis, span } from "../time";
import { Button, Chip, Time } from "../ui/basics";
import { List, New } from "../ui/list";
import { NothingMatches } from "../ui/states";
import { say } from "../ui/toast";
import { ERROR_KINDS, ofDeliveries, PROBLEM_STATES, REASONS } from "../words";
import { Live } from "./deliveries";
import { JobSheet, RetrySheet } from "./deliveries/retry-sheet";

const INTERVAL_MS = 5_000;

export function ProblemsScreen() {
  const accountId = useAccount();
  const { query } = usePlace();
  const includeClosed = query.has("closed");
  const destinationId = query.get("destination") ?? "";
  const list = useLivePages<Problem>({
    key: `problems ${accountId} ${destinationId} ${includeClosed}`,
    watched: { accountId, destinationId },
    load: async (pageToken, signal) => {
      const page = await api.listProblems({ accountId, destinationId, includeClosed, pageToken }, { signal });
      return { items: page.problems, next: page.nextPageToken };
    },
    id,
    at: ({ lastAt }) => millis(lastAt) ?? 0,
  });
  // A watch reports deliveries. It does not report that a problem was acknowledged or a destination was switched off.
  useLooksAgain(list.first.reload);
  return (
    <>
      <div class="title">
        <h1>Problems</h1>
        <Live watching={list.watching} />
      </div>
      <Figures />
      <div class="actions">
        <label>
          <input
            type="checkbox"
            checked={includeClosed}
            onChange={() => change({ closed: includeClosed ? undefined : "yes" })}
          />{" "}
          Show problems that are closed
        </label>
        <New list={list} />
      </div>
      <OneDestination id={destinationId} />
      <Problems list={list} isFiltered={destinationId !== ""} />
      <Sheets />
    </>
  );
}

export function useLooksAgain(reload: () => void): void {
  useEffect(() => {
    const timer = setInterval(() => document.hidden || reload(), INTERVAL_MS);
    return () => clearInterval(timer);
  }, []);
}

const allDestinations = (): void => change({ destination: undefined });

/** The chip for the filter that a link in a mail sets. */
function OneDestination({ id }: { id: string }) {
  const { nameOf } = useThings();
  if (id === "") return null;
  return (
    <ul class="chips" aria-label="Filters that are set">
      <Chip shown={`Destination: ${nameOf(id)}`} remove={allDestinations} />
    </ul>
  );
}

const id = ({ destinationId, cause }: Problem): string => `${destinationId}/${cause}`;

function Problems({ list, isFiltered }: { list: LivePages<Problem>; isFiltered: boolean }) {
  // If closed problems are not listed, a problem that no longer belongs to the list has closed.
  const isClosed = (one: Problem): boolean => one.closedAt !== undefined || list.stays.has(id(one));
  return (
    <List
      pages={list}
      what="problems"
      caption="Problems, the latest failure first"
      id={id}
      stays={list.stays}
      nothing={
        isFiltered ? (
          <NothingMatches what="problem" clear={allDestinations} />
        ) : (
          <p class="state">There is no problem: every delivery has succeeded or has not ended.</p>
        )
      }
      columns={[
        { title: "Destination", cell: (one) => <Destination of={one} /> },
        { title: "Cause", cell: ({ cause }) => causeInWords(cause) },
        { title: "What to do", cell: ({ suggestedAction }) => suggestedAction },
        { title: "Deliveries", number: true, cell: (one) => <Deliveries of={one} /> },
        { title: "Leads", number: true, cell: ({ leads }) => leads.toLocaleString() },
        { title: "Since", cell: ({ firstAt }) => <Time ms={millis(firstAt)} /> },
        { title: "State", cell: (one) => <State of={one} isClosed={isClosed(one)} /> },
        {
          title: "Action",
          hidden: true,
          cell: (one) => (isClosed(one) ? null : <Actions of={one} reload={list.first.reload} />),
        },
      ]}
    />
  );
}

function Destination({ of }: { of: Problem }) {
  return (
    <a class="row-link" href={to(["destinations", of.destinationId])}>
      {of.destinationName || of.destinationId}
    </a>
  );
}

/** The filter for the deliveries of a problem. It may match others, too: a filter cannot express every cause. */
function filterOf({ destinationId, cause }: Problem): Filter {
  const answer = /^[0-9]+$/.test(cause) ? cause : cause in ERROR_KINDS ? "none" : undefined;
  const reason = answer === undefined && cause in REASONS ? cause : undefined;
  return { statuses: [], fields: { destination: destinationId, answer, reason }, where: {} };
}

export function causeInWords(cause: string): string {
  if (/^[0-9]+$/.test(cause)) return `answers ${cause}`;
  return ERROR_KINDS[cause] ?? REASONS[cause] ?? cause;
}

function Deliveries({ of }: { of: Problem }) {
  const { fields } = filterOf(of);
  return (
    <a href={to(["deliveries"], { ...fields, status: ["failed", "retrying", "held"] })}>
      {of.deliveries.toLocaleString()}
      <span class="hidden"> deliveries</span>
    </a>
  );
}

function State({ of, isClosed }: { of: Problem; isClosed: boolean }) {
  const { label, kind } = PROBLEM_STATES[isClosed ? ProblemState.CLOSED : of.state];
  return (
    <>
      <span class={`status ${kind}`}>{label}</span>
      {of.held ? <span class="status held">Held</span> : null}
      {of.acknowledgedBy === "" ? null : <div class="hint">{of.acknowledgedBy}</div>}
    </>
  );
}

function Actions({ of, reload }: { of: Problem; reload: () => void }) {
  const { accountId, destinationId, cause } = of;
  const name = `${of.destinationName || destinationId}: ${causeInWords(cause)}`;
  const [busy, setBusy] = useState(false);
  const acknowledge = async (): Promise<void> => {
    setBusy(true);
    try {
      await api.acknowledgeProblem({ accountId, destinationId, cause });
      say("Acknowledged: others see that you work on it.");
    } catch (error) {
      say(`Not acknowledged. ${sentence(trouble(error).text)}`, "bad");
    }
    setBusy(false);
    reload();
  };
  return (
    <div class="row">
      {may(ProblemService.method.acknowledgeProblem) && of.acknowledgedBy === "" ? (
        <Button busy={busy} onClick={() => void acknowledge()} label={`Acknowledge ${name}`}>
          Acknowledge
        </Button>
      ) : null}
      {may(JobService.method.retryDeliveries) ? (
        <Button onClick={() => change({ retry: `${destinationId} ${cause}` })} label={`Retry all of ${name}`}>
          Retry all …
        </Button>
      ) : null}
    </div>
  );
}

/** The dialog that the address names: for the retry of a problem, or for its job. */
function Sheets() {
  const { query } = usePlace();
  const close = (): void => change({ retry: undefined, job: undefined, of: undefined }, { replace: true });
  const job = query.get("job");
  const [destinationId, cause] = (query.get("retry") ?? "").split(" ");
  if (job !== null) return <JobSheet id={job} close={close} />;
  if (destinationId === undefined || cause === undefined) return null;
  return <RetrySheet what={{ filter: filterOf({ destinationId, cause } as Problem) }} close={close} />;
}

/** Figures about the health of all destinations of the account together. */
function Figures() {
  const accountId = useAccount();
  const loaded = useLoad(`figures ${accountId}`, (signal) =>
    Promise.all([allHealth(accountId, signal), failedToday(accountId, signal)]),
  );
  useLooksAgain(loaded.reload);
  if (loaded.value === undefined) return null;
  const [all, failed] = loaded.value;
  const sum = (of: (one: DestinationHealth) => bigint): bigint => all.reduce((total, one) => total + of(one), 0n);
  const oldest = Math.min(...all.map(({ oldestWaitingAt }) => millis(oldestWaitingAt) ?? Infinity));
  const off = all.filter(({ state }) => state === HealthState.DISABLED || state === HealthState.DEACTIVATED);
  const figures: (readonly [string, string])[] = [
    ["failing destinations", String(all.filter(({ state }) => state === HealthState.FAILING).length)],
    ["destinations switched off", String(off.length)],
    ["succeeded in the last hour", sum(({ succeeded }) => succeeded).toLocaleString()],
    ["failed today", failed],
    ["held", ofDeliveries(sum(({ held }) => held))],
    ["age of the oldest waiting", oldest === Infinity ? "–" : span(Math.max(0, Date.now() - oldest))],
  ];
  return (
    <dl class="figures">
      {figures.map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** The maximum number of pages of destination health that are read. */
const MAX_PAGES = 4;

export async function allHealth(accountId: string, signal?: AbortSignal): Promise<DestinationHealth[]> {
  const all: DestinationHealth[] = [];
  let pageToken = "";
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { health, nextPageToken } = await api.listDestinationHealth(
      { accountId, pageSize: 500, pageToken },
      { signal },
    );
    all.push(...health);
    pageToken = nextPageToken;
    if (pageToken === "") break;
  }
  return all;
}
