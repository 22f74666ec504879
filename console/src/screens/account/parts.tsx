// Parts that several screens of an account use.
import type { Duration } from "@bufbuild/protobuf/wkt";
import { duration, lasting } from "../../time";

const DAY_MS = 86_400_000;

/** A duration as a number of days, which may be fractional; empty if there is no duration. */
export function daysOf(of: Duration | undefined): string {
  const ms = lasting(of);
  return ms === undefined ? "" : String(ms / DAY_MS);
}

export function durationOf(days: string | undefined): ReturnType<typeof duration> | undefined {
  return days === undefined || days.trim() === "" ? undefined : duration(Number(days) * DAY_MS);
}

/** Mail addresses. An address is marked if its owner has not agreed yet. */
export function Unconfirmed({ emails, unconfirmed }: { emails: readonly string[]; unconfirmed: readonly string[] }) {
  if (emails.length === 0) return <span class="dim">none</span>;
  return (
    <>
      {emails.map((email, index) => (
        <span key={email}>
          {index === 0 ? "" : ", "}
          {email}
          {unconfirmed.includes(email) ? <span class="dim"> (has not agreed yet)</span> : null}
        </span>
      ))}
    </>
  );
}
