// Bulk retries and recoveries.
import { useEffect } from "preact/hooks";
import { useAccount, useThings } from "../account";
import { may } from "../api/access";
import { jobs } from "../api/clients";
import { type Job, type JobRefusal, JobService, JobStatus } from "../gen/leadline/v1/job_pb";
import { hasEnded, useJob } from "../jobs";
import { type Pages, usePages } from "../pages";
import { to } from "../router";
import { millis } from "../time";
import { Facts, Time } from "../ui/basics";
import { List } from "../ui/list";
import { Loading, Failed, Nothing } from "../ui/states";
import { JOB_STATUSES } from "../words";
import { JobProgress, summary } from "./job-progress";

const FIRST = "leadline retry --all --dry-run";
const WHILE_RUNNING_MS = 1_000;

export function JobsScreen() {
  const accountId = useAccount();
  const pages = usePages<Job>(`jobs ${accountId}`, async (pageToken, signal) => {
    const page = await jobs.listJobs({ accountId, pageToken }, { signal });
    return { items: page.jobs, next: page.nextPageToken };
  });
  useReloads(pages);
  return (
    <>
      <h1>Jobs</h1>
      <List
        pages={pages}
        what="jobs"
        caption="Jobs, the newest first"
        id={({ jobId }) => jobId}
        nothing={
          <Nothing
            text="There is no job yet. A retry of many deliveries is a job, and a recovery of a destination, too."
            command={FIRST}
          />
        }
        columns={[
          {
            title: "Started",
            cell: (job) => (
              <a class="row-link" href={to(["jobs", job.jobId])}>
                <Time ms={millis(job.startedAt)} />
              </a>
            ),
          },
          { title: "Job", cell: (job) => <Kind job={job} /> },
          { title: "Status", cell: (job) => <JobState job={job} /> },
          { title: "Result", cell: summary },
          { title: "Who", cell: ({ requestedBy }) => requestedBy },
        ]}
      />
    </>
  );
}

/** Reloads while a job runs. */
function useReloads(pages: Pages<Job>): void {
  const isRunning = pages.items.some((job) => !hasEnded(job));
  useEffect(() => {
    if (!isRunning) return;
    const timer = setInterval(() => document.hidden || pages.first.reload(), WHILE_RUNNING_MS);
    return () => clearInterval(timer);
  }, [isRunning]);
}

function Kind({ job }: { job: Job }) {
  const { nameOf } = useThings();
  const dry = job.dryRun ? " (dry run)" : "";
  if (job.plan.case === "recovery") return <>{`Recovery of ${nameOf(job.plan.value.destinationId)}${dry}`}</>;
  return <>{`Bulk retry${dry}`}</>;
}

function JobState({ job: { status } }: { job: Job }) {
  const kind =
    status === JobStatus.COMPLETED
      ? "good"
      : status === JobStatus.FAILED
        ? "bad"
        : status === JobStatus.CANCELLED
          ? "warn"
          : "processing";
  return <span class={`status ${kind}`}>{JOB_STATUSES[status]}</span>;
}

export function JobScreen({ id }: { id: string }) {
  const followed = useJob(id);
  const { job } = followed;
  if (job === undefined) {
    return followed.trouble === undefined ? (
      <Loading what="the job" />
    ) : (
      <Failed trouble={followed.trouble} reload={followed.again} />
    );
  }
  return (
    <>
      <div class="title">
        <h1>
          <Kind job={job} />
        </h1>
        <JobState job={job} />
      </div>
      <JobProgress followed={followed} />
      <Facts
        of={[
          ["Started", <Time ms={millis(job.startedAt)} />],
          job.finishedAt !== undefined && ["Finished", <Time ms={millis(job.finishedAt)} />],
          ["Requested by", job.requestedBy],
          job.reason !== "" && ["Reason", job.reason],
          job.cancelledBy !== "" && ["Cancelled by", job.cancelledBy],
          ["Pace", `${job.pace} a second`],
          ["Examined", job.counts?.examined.toLocaleString()],
          job.plan.case === "recovery" && ["Since", <Time ms={millis(job.plan.value.since)} />],
          ["Job", job.jobId],
        ]}
      />
      {(job.counts?.refused ?? 0n) > 0n && may(JobService.method.listJobRefusals) ? <RefusedOnes job={job} /> : null}
    </>
  );
}

function RefusedOnes({ job }: { job: Job }) {
  const { jobId, counts } = job;
  const pages = usePages<JobRefusal>(`refusals ${jobId} ${counts?.refused}`, async (pageToken, signal) => {
    const page = await jobs.listJobRefusals({ jobId, pageToken }, { signal });
    return { items: page.refusals, next: page.nextPageToken };
  });
  return (
    <>
      <h2>Refused deliveries</h2>
      <List
        pages={pages}
        what="refusals"
        caption="Deliveries that the job could not retry"
        id={({ deliveryId, reason }) => `${deliveryId} ${reason}`}
        nothing={<Nothing text="Nothing was refused." />}
        columns={[
          {
            title: "Delivery",
            cell: ({ deliveryId }) => (
              <a class="row-link" href={to(["deliveries", deliveryId])}>
                {deliveryId}
              </a>
            ),
          },
          { title: "Reason", cell: ({ message, reason }) => message || reason },
        ]}
      />
    </>
  );
}
