// The settings of a thing at an earlier time against those of now, from the entries of its audit log.
import type { AuditEntry } from "./gen/leadline/v1/audit_pb";
import { millis } from "./time";

export interface Difference {
  readonly field: string;
  readonly then: string;
  readonly now: string;
  /** Whether a secret changed, which nothing shows. */
  readonly secret: boolean;
}

/** The audit log cuts values at this length, in characters, and ends them with "…". */
const MAX_VALUE = 2_000;

/** What differs between a time and now. The newest entry comes first. */
export function differences(entries: readonly AuditEntry[], since: number): Difference[] {
  const found = new Map<string, Difference>();
  for (const { at, changes } of entries) {
    // The order is that of the changes; the clocks that stamped them may differ.
    if ((millis(at) ?? 0) <= since) continue;
    for (const { field, oldValue, newValue, secret } of changes) {
      // A decision of the person who enabled it, not a setting.
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
  // Two values that were cut may differ behind the cut.
  const differs = ({ then, now, secret }: Difference): boolean => secret || then !== now || then.length > MAX_VALUE;
  return [...found.values()].filter(differs).sort((a, b) => (a.field < b.field ? -1 : 1));
}
