// Words for names of the API. One thing has one word on every screen: docs/glossary.md.
import { DeliveryStatus } from "./gen/leadline/v1/delivery_pb";
import { JobStatus } from "./gen/leadline/v1/job_pb";
import { ProblemState } from "./gen/leadline/v1/problem_pb";

export interface StatusWord {
  /** The word in addresses. */
  readonly name: string;
  readonly label: string;
  readonly means: string;
}

export const STATUSES: ReadonlyMap<DeliveryStatus, StatusWord> = new Map([
  [
    DeliveryStatus.FAILED,
    { name: "failed", label: "Failed", means: "no further attempt is made unless it is retried" },
  ],
  [
    DeliveryStatus.RETRYING,
    { name: "retrying", label: "Retrying", means: "an attempt failed and the next one is scheduled" },
  ],
  [DeliveryStatus.HELD, { name: "held", label: "Held", means: "it waits because the destination is switched off" }],
  [DeliveryStatus.PENDING, { name: "pending", label: "Pending", means: "it waits for its first attempt" }],
  [DeliveryStatus.PROCESSING, { name: "processing", label: "Processing", means: "an attempt is in flight" }],
  [DeliveryStatus.SUCCEEDED, { name: "succeeded", label: "Succeeded", means: "the receiver accepted it" }],
]);

export function statusWord(status: DeliveryStatus): StatusWord {
  return STATUSES.get(status) ?? { name: "unknown", label: "Unknown", means: "this console does not know the status" };
}

export function statusOf(name: string): DeliveryStatus | undefined {
  return [...STATUSES].find(([, word]) => word.name === name)?.[0];
}

/** The reasons why deliveries fail. */
export const REASONS: Record<string, string> = {
  exhausted: "all attempts were used",
  too_old: "it became too old to be sent",
  destination_deleted: "its destination was deleted",
  payload_gone: "its payload is no longer stored",
  anonymised: "its lead was anonymised",
  skipped: "it was held, and skipped when its destination was enabled",
  loop: "the destination sends leads back to Leadline",
  render: "no request could be rendered with the settings of the destination",
  crashed: "Leadline crashed while it worked on the delivery",
};

/** The reasons why no HTTP answer came. */
export const ERROR_KINDS: Record<string, string> = {
  dns: "the host name did not resolve",
  connect: "nothing accepted the connection",
  tls: "the TLS handshake failed",
  timeout: "no answer came in time",
  reset: "the connection ended before the answer did",
  blocked: "Leadline is not allowed to call this address",
  protocol: "the answer was not HTTP",
  render: "no request could be rendered",
  proxy: "the destination's proxy gave no connection",
  oauth: "the token server gave no access token",
};

/** The status that means that no HTTP answer came. */
export const NO_ANSWER = 999;

/** The latest answer in a few words. */
export function answer(status: number, errorKind: string): string {
  if (status === 0) return "no attempt yet";
  if (status !== NO_ANSWER) return String(status);
  return errorKind === "" ? "no answer" : (ERROR_KINDS[errorKind] ?? errorKind);
}

export const JOB_STATUSES: Record<JobStatus, string> = {
  [JobStatus.UNSPECIFIED]: "Unknown",
  [JobStatus.RUNNING]: "Running",
  [JobStatus.CANCELLING]: "Cancelling",
  [JobStatus.COMPLETED]: "Completed",
  [JobStatus.CANCELLED]: "Cancelled",
  [JobStatus.FAILED]: "Failed",
};

export const PROBLEM_STATES: Record<ProblemState, { readonly label: string; readonly kind: string }> = {
  [ProblemState.UNSPECIFIED]: { label: "Unknown", kind: "" },
  [ProblemState.OPEN]: { label: "Open", kind: "bad" },
  [ProblemState.ACKNOWLEDGED]: { label: "Acknowledged", kind: "warn" },
  [ProblemState.RECOVERING]: { label: "Recovering", kind: "processing" },
  [ProblemState.CLOSED]: { label: "Closed", kind: "good" },
};

export function count(n: number | bigint, one: string, many = `${one}s`): string {
  return `${n.toLocaleString()} ${Number(n) === 1 ? one : many}`;
}

export const ofDeliveries = (n: number | bigint): string => count(n, "delivery", "deliveries");
