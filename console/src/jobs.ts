// Reads a job again and again until it has ended.
import { useEffect, useState } from "preact/hooks";
import { jobs } from "./api/clients";
import { trouble, type Trouble } from "./api/trouble";
import { type Job, JobStatus } from "./gen/leadline/v1/job_pb";

export interface Followed {
  readonly job: Job | undefined;
  readonly trouble: Trouble | undefined;
  cancel(): Promise<void>;
  /** Reads the job again after a failure. */
  again(): void;
}

const INTERVAL_MS = 500;
const AFTER_FAILURE_MS = 2_000;

export const hasEnded = ({ status }: Job): boolean => status !== JobStatus.RUNNING && status !== JobStatus.CANCELLING;

/** Waits for the end of a short job, such as a dry run. */
export async function finished(job: Job | undefined): Promise<Job | undefined> {
  let now = job;
  while (now !== undefined && !hasEnded(now)) {
    await new Promise((done) => setTimeout(done, INTERVAL_MS));
    now = await jobs.getJob({ jobId: now.jobId });
  }
  return now;
}

export function useJob(jobId: string): Followed {
  const [state, setState] = useState<{ job?: Job; trouble?: Trouble }>({});
  const [restarts, setRestarts] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const readIn = (ms: number): void => void (timer = setTimeout(() => void read(), ms));
    const read = async (): Promise<void> => {
      try {
        const job = await jobs.getJob({ jobId }, { signal: abort.signal });
        setState({ job });
        if (!hasEnded(job)) readIn(INTERVAL_MS);
      } catch (error) {
        if (abort.signal.aborted) return;
        const why = trouble(error);
        setState((now) => ({ ...now, trouble: why }));
        if (why.kind === "away") readIn(AFTER_FAILURE_MS);
      }
    };
    setState({});
    void read();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [jobId, restarts]);
  const cancel = async (): Promise<void> => {
    const { job } = await jobs.cancelJob({ jobId });
    if (job !== undefined) setState((now) => ({ ...now, job }));
  };
  return { job: state.job, trouble: state.trouble, cancel, again: () => setRestarts((n) => n + 1) };
}
