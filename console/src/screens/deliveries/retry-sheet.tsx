// Retries many deliveries: first shows the result of a dry run, then the progress of the job.
import { useEffect, useState } from "preact/hooks";
import { useAccount } from "../../account";
import { jobs } from "../../api/clients";
import { sentence, trouble } from "../../api/trouble";
import { type Filter, toApi } from "../../filters";
import { type Job, JobStatus } from "../../gen/leadline/v1/job_pb";
import { type Followed, useJob } from "../../jobs";
import { change, to } from "../../router";
import { Button } from "../../ui/basics";
import { Dialog } from "../../ui/dialog";
import { Failed } from "../../ui/states";
import { say } from "../../ui/toast";
import { ofDeliveries } from "../../words";
import { JobProgress, Refusals } from "../job-progress";

/** Which deliveries to retry: those with these ids, or the failed ones that match the filter. */
export type What = { readonly ids: readonly string[] } | { readonly filter: Filter };

const DEFAULT_PACE = 20;
const MAX_PACE = 1_000;

function request(what: What, accountId: string) {
  if ("ids" in what) return { accountId, deliveryIds: [...what.ids] };
  return { accountId, filter: { ...toApi(what.filter, accountId), statuses: [] } };
}

export function RetrySheet({ what, close }: { what: What; close: () => void }) {
  const account = useAccount();
  const [jobId, setJobId] = useState("");
  const [refused, setRefused] = useState<unknown>();
  const [repeats, setRepeats] = useState(0);
  useEffect(() => {
    setRefused(undefined);
    const plan = { ...request(what, account), dryRun: true, requestId: crypto.randomUUID() };
    jobs.retryDeliveries(plan).then(({ job }) => setJobId(job?.jobId ?? ""), setRefused);
  }, [repeats]);
  return (
    <Dialog title={"ids" in what ? "Retry the selected deliveries" : "Retry all that match"} close={close} wide>
      {refused !== undefined ? (
        <Failed trouble={trouble(refused)} reload={() => setRepeats(repeats + 1)} />
      ) : jobId === "" ? (
        <p role="status">Counting deliveries …</p>
      ) : (
        <Counted what={what} id={jobId} close={close} />
      )}
    </Dialog>
  );
}

/** The result of the dry run, and the button that starts the job. */
function Counted({ what, id, close }: { what: What; id: string; close: () => void }) {
  const { job } = useJob(id);
  const account = useAccount();
  const [pace, setPace] = useState(DEFAULT_PACE);
  const [busy, setBusy] = useState(false);
  if (job === undefined || job.status === JobStatus.RUNNING) {
    return <p role="status">Counting: {ofDeliveries(job?.counts?.examined ?? 0n)} examined so far …</p>;
  }
  const would = job.counts?.retried ?? 0n;
  const start = async (): Promise<void> => {
    setBusy(true);
    try {
      const made = await jobs.retryDeliveries({ ...request(what, account), pace, requestId: crypto.randomUUID() });
      const job = { job: made.job?.jobId, of: String(would) };
      change({ retry: undefined, delivery: undefined, ...job }, { replace: true });
    } catch (error) {
      say(`Not started. ${sentence(trouble(error).text)}`, "bad");
      setBusy(false);
    }
  };
  return (
    <>
      <p role="status">
        {would === 0n ? "Nothing would be retried." : <b>{ofDeliveries(would)} would be retried.</b>}{" "}
        {"filter" in what ? "Only failed deliveries are retried, the oldest first." : ""}
      </p>
      <Refusals job={job} />
      <Examples job={job} />
      <form class="row" onSubmit={(event) => (event.preventDefault(), void start())}>
        <label>
          Retries a second{" "}
          <input
            type="number"
            min={1}
            max={MAX_PACE}
            required
            value={pace}
            onInput={(event) => setPace(event.currentTarget.valueAsNumber)}
          />
        </label>
        <Button type="submit" kind="primary" disabled={would === 0n} busy={busy}>
          Retry {ofDeliveries(would)}
        </Button>
        <Button onClick={close}>Cancel</Button>
      </form>
    </>
  );
}

function Examples({ job }: { job: Job }) {
  if (job.sample.length === 0) return null;
  return (
    <details open>
      <summary>{job.sample.length === 1 ? "This one" : `The first ${job.sample.length}`}</summary>
      <ul class="examples">
        {job.sample.map(({ deliveryId, eventId }) => (
          <li key={deliveryId}>
            <a href={to(["deliveries", deliveryId])}>{eventId}</a>
          </li>
        ))}
      </ul>
    </details>
  );
}

/** The progress of a job that this list started, in a dialog above the list. */
export function JobSheet({ id, close }: { id: string; close: () => void }) {
  const followed: Followed = useJob(id);
  return (
    <Dialog title="Retrying deliveries" close={close} wide>
      <JobProgress followed={followed} />
      <p class="row">
        <a href={to(["jobs", id])}>Open the job</a>
        <Button onClick={close}>Back to the list</Button>
      </p>
    </Dialog>
  );
}
