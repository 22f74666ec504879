// Converts times and durations between the API and JavaScript, and formats them for people.
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";

export function millis(at: Timestamp | undefined): number | undefined {
  return at === undefined ? undefined : Number(at.seconds) * 1_000 + at.nanos / 1_000_000;
}

export function stamp(at: number): { seconds: bigint; nanos: number } {
  const seconds = Math.floor(at / 1_000);
  return { seconds: BigInt(seconds), nanos: Math.round((at - seconds * 1_000) * 1_000_000) };
}

export function lasting(duration: Duration | undefined): number | undefined {
  return duration === undefined ? undefined : Number(duration.seconds) * 1_000 + duration.nanos / 1_000_000;
}

export function duration(ms: number): { seconds: bigint; nanos: number } {
  return stamp(ms);
}

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const WHOLE = new Intl.DateTimeFormat(undefined, {
  dateStyle: "full",
  timeStyle: "long",
  hourCycle: "h23",
});

/** A time with its day, or without the day if that is today. */
export function short(ms: number, now = Date.now()): string {
  const at = new Date(ms);
  const isToday = at.toDateString() === new Date(now).toDateString();
  return isToday ? CLOCK.format(at) : `${DAY.format(at)}, ${CLOCK.format(at)}`;
}

export function whole(ms: number): string {
  return WHOLE.format(new Date(ms));
}

const UNITS = [
  [86_400_000, "day", "days"],
  [3_600_000, "hour", "hours"],
  [60_000, "minute", "minutes"],
  [1_000, "second", "seconds"],
] as const;

/** A duration in its two largest units, such as "2 minutes 5 seconds"; below ten seconds in tenths or milliseconds. */
export function span(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(Math.floor(ms / 100) / 10).toString()} s`;
  const parts: string[] = [];
  let rest = ms;
  for (const [size, one, many] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${count === 1 ? one : many}`);
    if (parts.length === 2 || (parts.length === 1 && count === 0)) break;
  }
  return parts.join(" ");
}

/** A time in the format of `<input type="datetime-local">`. */
export function local(ms: number): string {
  const at = new Date(ms);
  const two = (n: number): string => String(n).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day}T${two(at.getHours())}:${two(at.getMinutes())}`;
}
