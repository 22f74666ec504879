// Compares the settings of a thing at an earlier time with its current ones, using the entries of the audit log.
import type { AuditEntry } from "./gen/leadline/v1/audit_pb";
import { millis } from "./time";

export interface Difference {
  readonly field: string;
  readonly then: string;
  readonly now: string;
  /** Whether a secret changed. Its values are never shown. */
  readonly secret: boolean;
}

/** The audit log cuts values at this length, in characters, and ends them with "…". */
const MAX_VALUE = 2_000;

/** The settings that differ between a time and now. In `entries` the newest entry comes first. */
export function differences(entries: readonly AuditEntry[], since: number): Difference[] {
  const found = new Map<string, Difference>();
  for (const { at, changes } of entries) {
    // This does not end the loop: entries are in the order of the changes, and the clocks that stamped them may differ.
    if ((millis(at) ?? 0) <= since) continue;
    for (const { field, oldValue, newValue, secret } of changes) {
      // This is a decision of the person who enabled the destination, not a setting.
      if (field === "skip_held") continue;
      const later = found.get(field);
      found.set(field, {
        field,
        then: oldValue,
        now: later?.now ?? newValue,
        secret: secret || (later?.secret ?? false),
      });
    }
  }
  // Two values that the log cut may differ in the part that is missing.
  const differs = ({ then, now, secret }: Difference): boolean => secret || then !== now || then.length > MAX_VALUE;
  return [...found.values()].filter(differs).sort((a, b) => (a.field < b.field ? -1 : 1));
}
