// The progress and the result of a job.
import { useState } from "preact/hooks";
import { may } from "../api/access";
import { sentence, trouble } from "../api/trouble";
import { type Job, JobService, JobStatus } from "../gen/leadline/v1/job_pb";
import { type Followed, hasEnded } from "../jobs";
import { usePlace } from "../router";
import { millis, span } from "../time";
import { Button, Notice } from "../ui/basics";
import { Failed, Loading } from "../ui/states";
import { say } from "../ui/toast";
import { count, JOB_STATUSES, ofDeliveries } from "../words";

export function JobProgress({ followed }: { followed: Followed }) {
  const { job } = followed;
  const { query } = usePlace();
  if (job === undefined) {
    return followed.trouble === undefined ? (
      <Loading what="the job" />
    ) : (
      <Failed trouble={followed.trouble} reload={followed.again} />
    );
  }
  const total = Number(query.get("of") ?? 0);
  const done = Number(job.counts?.examined ?? 0n);
  const ended = hasEnded(job);
  return (
    <>
      <p role="status">
        <b>{JOB_STATUSES[job.status]}.</b> {summary(job)}
      </p>
      {ended ? null : (
        <progress aria-label="Progress" {...(total > 0 ? { max: total, value: Math.min(done, total) } : {})} />
      )}
      {ended || followed.trouble === undefined ? null : (
        <p class="wrong">{sentence(followed.trouble.text)} Trying again …</p>
      )}
      <Refusals job={job} />
      {ended ? null : <Cancel followed={followed} job={job} />}
    </>
  );
}

function Cancel({ followed, job }: { followed: Followed; job: Job }) {
  const [busy, setBusy] = useState(false);
  if (!may(JobService.method.cancelJob)) return null;
  const cancel = async (): Promise<void> => {
    setBusy(true);
    try {
      await followed.cancel();
    } catch (error) {
      say(`Not cancelled. ${sentence(trouble(error).text)}`, "bad");
    }
    setBusy(false);
  };
  return (
    <Button kind="danger" busy={busy || job.status === JobStatus.CANCELLING} onClick={() => void cancel()}>
      Cancel the job
    </Button>
  );
}

/** What the job did, or what a dry run would do, in one sentence. */
export function summary(job: Job): string {
  const { retried = 0n, requested = 0n, had = 0n, refused = 0n } = job.counts ?? {};
  const verb = job.dryRun ? "would be" : retried + requested === 1n ? "was" : "were";
  const parts = [`${ofDeliveries(retried)} ${verb} retried`];
  if (job.plan.case === "recovery") {
    parts.push(
      `${count(requested, "missed event")} ${verb} delivered`,
      `${had.toLocaleString()} ${job.dryRun ? "are" : "were"} already there`,
    );
  }
  const { succeeded = 0n, failed = 0n, waiting = 0n } = job.counts ?? {};
  if (succeeded + failed + waiting > 0n) {
    parts.push(
      `${succeeded.toLocaleString()} succeeded, ${failed.toLocaleString()} failed again, ${waiting.toLocaleString()} wait`,
    );
  }
  if (refused > 0n) parts.push(`${refused.toLocaleString()} refused`);
  const [began, finished] = [millis(job.startedAt), millis(job.finishedAt)];
  const took = began !== undefined && finished !== undefined ? ` It took ${span(finished - began)}.` : "";
  return `${parts.join(", ")}.${took}`;
}

export function Refusals({ job }: { job: Job }) {
  const { refused = 0n, refusals = [] } = job.counts ?? {};
  if (refused === 0n) return null;
  return (
    <Notice kind="warn">
      {ofDeliveries(refused)} cannot be retried:
      <ul>
        {refusals.map(({ reason, message, count }) => (
          <li key={reason}>
            {count.toLocaleString()}: {message || reason}
          </li>
        ))}
      </ul>
    </Notice>
  );
}
