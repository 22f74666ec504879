// Deliveries that ended and attempts that were made, in buckets of an hour.
import { problems } from "./api/clients";
import { CountBucket, type DeliveryCounts } from "./gen/leadline/v1/problem_pb";
import { lasting, millis, stamp } from "./time";

export const HOURS = 24;
const HOUR_MS = 3_600_000;
const MAX_PAGES = 6;

/** Counts of the last 24 hours, for one destination or for all. */
export async function countsOfToday(
  accountId: string,
  destinationId: string,
  signal?: AbortSignal,
): Promise<DeliveryCounts[]> {
  return (await countsSince(firstHour(), accountId, destinationId, signal)).counts;
}

/** How many deliveries of the account failed since midnight, in words. */
export async function failedToday(accountId: string, signal?: AbortSignal): Promise<string> {
  // Buckets begin at full hours of UTC. If local midnight is within a bucket, the whole bucket counts.
  const midnight = Math.floor(new Date().setHours(0, 0, 0, 0) / HOUR_MS) * HOUR_MS;
  const { counts, isWhole } = await countsSince(midnight, accountId, "", signal);
  const failed = counts.reduce((sum, one) => sum + one.failed, 0n).toLocaleString();
  return isWhole ? failed : `${failed} or more`;
}

/** Counts since a time, the newest first, from at most `MAX_PAGES` pages. If there are more, `isWhole` is false. */
async function countsSince(
  start: number,
  accountId: string,
  destinationId: string,
  signal?: AbortSignal,
): Promise<{ counts: DeliveryCounts[]; isWhole: boolean }> {
  const from = stamp(start);
  const all: DeliveryCounts[] = [];
  let pageToken = "";
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const request = { accountId, destinationId, bucket: CountBucket.HOUR, from, pageSize: 500, pageToken };
    const { counts, nextPageToken } = await problems.queryDeliveryCounts(request, { signal });
    all.push(...counts);
    pageToken = nextPageToken;
    if (pageToken === "") break;
  }
  return { counts: all, isWhole: pageToken === "" };
}

const firstHour = (): number => (Math.floor(Date.now() / HOUR_MS) - HOURS + 1) * HOUR_MS;

/** What happened at a destination in one hour. */
export interface Hour {
  readonly at: number;
  succeeded: number;
  failed: number;
  /** Attempts by the class of their answer, in the order of ANSWERS. */
  answers: number[];
  /** The time within which half of the answers came, and 95 of 100, in milliseconds. */
  p50?: number;
  p95?: number;
}

export const ANSWERS = ["2xx", "3xx", "4xx", "5xx", "no answer"] as const;

/** Each of the last 24 hours, including those without counts. `counts` has to be of one destination. */
export function barsOf(counts: readonly DeliveryCounts[]): Hour[] {
  const first = firstHour();
  const hours: Hour[] = Array.from({ length: HOURS }, (_, hour) => ({
    at: first + hour * HOUR_MS,
    succeeded: 0,
    failed: 0,
    answers: ANSWERS.map(() => 0),
  }));
  for (const { start, succeeded, failed, answers, p50, p95 } of counts) {
    const hour = hours[Math.floor(((millis(start) ?? 0) - first) / HOUR_MS)];
    if (hour === undefined) continue;
    hour.succeeded = Number(succeeded);
    hour.failed = Number(failed);
    if (answers !== undefined) {
      const { http2xx, http3xx, http4xx, http5xx, none } = answers;
      hour.answers = [http2xx, http3xx, http4xx, http5xx, none].map(Number);
    }
    [hour.p50, hour.p95] = [lasting(p50), lasting(p95)];
  }
  return hours;
}
