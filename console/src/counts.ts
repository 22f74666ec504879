// Deliveries that ended, in buckets of an hour.
import { problems } from "./api/clients";
import { CountBucket, type DeliveryCounts } from "./gen/leadline/v1/problem_pb";
import { millis, stamp } from "./time";
import type { Bar } from "./ui/chart";

export const HOURS = 24;
const HOUR_MS = 3_600_000;
const MAX_PAGES = 6;

/** Counts of the last 24 hours, for one destination or for all. */
export async function countsOfToday(
  accountId: string,
  destinationId: string,
  signal?: AbortSignal,
): Promise<DeliveryCounts[]> {
  const from = stamp(firstHour());
  const all: DeliveryCounts[] = [];
  let pageToken = "";
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const request = { accountId, destinationId, bucket: CountBucket.HOUR, from, pageSize: 500, pageToken };
    const { counts, nextPageToken } = await problems.queryDeliveryCounts(request, { signal });
    all.push(...counts);
    pageToken = nextPageToken;
    if (pageToken === "") break;
  }
  return all;
}

const firstHour = (): number => (Math.floor(Date.now() / HOUR_MS) - HOURS + 1) * HOUR_MS;

/** One bar for each hour, including empty ones. */
export function barsOf(counts: readonly DeliveryCounts[]): Bar[] {
  const first = firstHour();
  const bars = Array.from({ length: HOURS }, (_, hour) => ({ at: first + hour * HOUR_MS, succeeded: 0, failed: 0 }));
  for (const { start, succeeded, failed } of counts) {
    const bar = bars[Math.floor(((millis(start) ?? 0) - first) / HOUR_MS)];
    if (bar === undefined) continue;
    bar.succeeded += Number(succeeded);
    bar.failed += Number(failed);
  }
  return bars;
}
