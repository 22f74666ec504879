// One lead: its deliveries, its log, and its payloads.
import { useAccount } from "../account";
import { may } from "../api/access";
import { leads } from "../api/clients";
import { type Loaded, useLoad } from "../api/load";
import { useDeliveries } from "../deliveries";
import type { Filter } from "../filters";
import { JobService } from "../gen/leadline/v1/job_pb";
import { type Lead, type LeadLogEntry, LeadService } from "../gen/leadline/v1/lead_pb";
import { useKeys } from "../keys";
import { usePages } from "../pages";
import { change, to, usePlace } from "../router";
import { millis } from "../time";
import { Ask } from "../ui/action";
import { Answer, Button, Facts, Time } from "../ui/basics";
import { List, New } from "../ui/list";
import { Nothing, Shown } from "../ui/states";
import { Live } from "./deliveries";
import { JobSheet, RetrySheet } from "./deliveries/retry-sheet";
import { DeliveryTable } from "./deliveries/table";
import { EventDialog, maySeePayloads, ShowPayload } from "./event";
import { Failures } from "./leads";
import { Export } from "./lead/export";
import { Matrix } from "./lead/matrix";
import { WhyNot, WhyNotDialog } from "./lead/why-not";
import { useRetryOne } from "./retry";

export function LeadScreen({ id }: { id: string }) {
  const accountId = useAccount();
  const loaded = useLoad(`lead ${accountId} ${id}`, (signal) => leads.getLead({ accountId, leadId: id }, { signal }));
  return (
    <Shown of={loaded} what="the lead">
      {(lead) => <Known lead={lead} loaded={loaded} />}
    </Shown>
  );
}

function Known({ lead, loaded }: { lead: Lead; loaded: Loaded<Lead> }) {
  const { accountId, leadId } = lead;
  const { query } = usePlace();
  const filter: Filter = { statuses: [], fields: { lead: leadId }, where: {} };
  const list = useDeliveries(accountId, filter, loaded.reload);
  const retryOne = useRetryOne(list.changed);
  const mayRetryFailed = lead.failed && may(JobService.method.retryDeliveries);
  const mayAnonymise = may(LeadService.method.anonymizeLeads) && !lead.anonymised;
  const retryFailed = (): void => change({ retry: "matching" });
  useKeys({ r: () => mayRetryFailed && retryFailed() });
  const close = (): void =>
    change({ retry: undefined, job: undefined, of: undefined, do: undefined }, { replace: true });
  const job = query.get("job");
  return (
    <>
      <div class="title">
        <h1>Lead {leadId}</h1>
        <Failures lead={lead} />
        <Live watching={list.watching} />
      </div>
      <div class="actions">
        {mayRetryFailed ? (
          <Button kind="primary" onClick={retryFailed} shortcut="r">
            Retry failed deliveries …
          </Button>
        ) : null}
        <Button onClick={() => change({ do: "export" })}>Export …</Button>
        {mayAnonymise ? (
          <Button kind="danger" onClick={() => change({ do: "anonymise" })}>
            Anonymise …
          </Button>
        ) : null}
      </div>
      <About lead={lead} />
      <h2>Deliveries</h2>
      {list.rows.length === 0 ? (
        <Nothing text="No destination got an event of this lead. The table below explains it." />
      ) : (
        <DeliveryTable rows={list.rows} filter={filter} selected={new Set()} retry={retryOne} />
      )}
      <New list={list} />
      <h2>Events at destinations</h2>
      <Matrix lead={lead} rows={list.rows} />
      <WhyNot lead={lead} />
      <Log lead={lead} />
      <EventDialog />
      <WhyNotDialog lead={lead} />
      {query.get("do") === "export" ? (
        <Export lead={lead} close={() => change({ do: undefined }, { replace: true })} />
      ) : null}
      {query.has("retry") ? <RetrySheet what={{ filter }} close={close} /> : null}
      {job === null ? null : <JobSheet id={job} close={close} />}
      {mayAnonymise && query.get("do") === "anonymise" ? (
        <Anonymise lead={lead} reload={loaded.reload} close={close} />
      ) : null}
    </>
  );
}

function About({ lead }: { lead: Lead }) {
  return (
    <Facts
      of={[
        ["Interface", lead.interfaceId],
        lead.clientId !== "" && ["Client", lead.clientId],
        ["Events", lead.events],
        ["Deliveries", `${lead.deliveries}, ${lead.failedDeliveries} of them failed`],
        ["Last answer", <Answer code={lead.httpStatusCode} />],
        ["Created", <Time ms={millis(lead.createdAt)} />],
        ["Updated", <Time ms={millis(lead.updatedAt)} />],
        lead.anonymised && ["Anonymised", <Time ms={millis(lead.anonymisedAt)} />],
      ]}
    />
  );
}

function Log({ lead }: { lead: Lead }) {
  const { accountId, leadId } = lead;
  // Each change of the lead adds an entry.
  const key = `log ${accountId} ${leadId} ${millis(lead.updatedAt)}`;
  const pages = usePages<LeadLogEntry>(key, async (pageToken, signal) => {
    const page = await leads.getLeadLog({ accountId, leadId, pageToken, pageSize: 100 }, { signal });
    return { items: page.entries, next: page.nextPageToken };
  });
  return (
    <>
      <h2>Log</h2>
      <List
        pages={pages}
        what="the log"
        caption="What happened to the lead, the oldest first"
        id={(entry) => `${millis(entry.at)} ${entry.entry} ${entry.deliveryId} ${entry.eventId} ${entry.detail}`}
        nothing={<Nothing text="The log is empty." />}
        columns={[
          { title: "Time", cell: ({ at }) => <Time ms={millis(at)} /> },
          {
            title: "Entry",
            cell: ({ entry, deliveryId }) =>
              deliveryId === "" ? (
                entry
              ) : (
                <a class="row-link" href={to(["deliveries", deliveryId])}>
                  {entry}
                </a>
              ),
          },
          { title: "What happened", cell: ({ detail }) => detail },
          maySeePayloads() && {
            title: "Payload",
            hidden: true,
            cell: ({ entry, eventId }: LeadLogEntry) =>
              entry === "received" ? <ShowPayload eventId={eventId} /> : null,
          },
        ]}
      />
    </>
  );
}

function Anonymise({ lead, reload, close }: { lead: Lead; reload: () => void; close: () => void }) {
  const act = async (): Promise<void> => {
    await leads.anonymizeLeads({ accountId: lead.accountId, leadIds: [lead.leadId] });
    reload();
  };
  return (
    <Ask
      title="Anonymise this lead"
      verb="Anonymise"
      danger
      did={`The lead ${lead.leadId} is anonymised.`}
      undone="Not anonymised."
      act={act}
      close={close}
    >
      <p>
        The payloads of <b>{lead.leadId}</b>, and the answers of receivers, are erased. Deliveries that have not ended
        fail and cannot be retried. <b>This cannot be undone.</b>
      </p>
    </Ask>
  );
}
