// Compares the settings of the destination at the time of an attempt with its current ones.
import { may } from "../../api/access";
import { audit } from "../../api/clients";
import { type Loaded, useLoad } from "../../api/load";
import { type Difference, differences } from "../../differences";
import { type AuditEntry, AuditService } from "../../gen/leadline/v1/audit_pb";
import type { Attempt, Delivery } from "../../gen/leadline/v1/delivery_pb";
import { millis, stamp } from "../../time";
import { Shown } from "../../ui/states";
import { whole } from "../../whole";
import { count } from "../../words";

/** The maximum number of pages of changes that are read, of 500 changes each. */
const MAX_PAGES = 4;

export interface Changes {
  /** The newest first. */
  readonly items: readonly AuditEntry[];
  /** Whether there are older changes since the first attempt that were not read. */
  readonly hasMore: boolean;
}

/** The changes of the destination since the first attempt; `undefined` if the key may not see them. */
export function useChanges(delivery: Delivery, attempts: readonly Attempt[]): Loaded<Changes> | undefined {
  const { accountId, destinationId, deliveryId } = delivery;
  const since = millis(attempts[0]?.startedAt);
  const isShown = since !== undefined && may(AuditService.method.listAuditLog);
  const loaded = useLoad(`settings ${deliveryId} ${isShown} ${attempts.length}`, async (signal) => {
    if (!isShown) return { items: [], hasMore: false };
    const request = {
      accountId,
      entityKind: "destination",
      entityId: destinationId,
      from: stamp(since),
      pageSize: 500,
    };
    return whole<AuditEntry>(MAX_PAGES, async (pageToken) => {
      const page = await audit.listAuditLog({ ...request, pageToken }, { signal });
      return { items: page.entries, next: page.nextPageToken };
    });
  });
  return isShown ? loaded : undefined;
}

/** The settings that differ between an attempt and now; `undefined` if not all changes since the attempt were read. */
function compared({ items, hasMore }: Changes, attempt: Attempt): Difference[] | undefined {
  const at = millis(attempt.startedAt) ?? 0;
  const isKnown = !hasMore || (millis(items.at(-1)?.at) ?? 0) <= at;
  return isKnown ? differences(items, at) : undefined;
}

export function Settings({ of, attempt }: { of: Loaded<Changes> | undefined; attempt: Attempt }) {
  if (of === undefined) return null;
  const found = of.value && compared(of.value, attempt);
  const result =
    found === undefined ? "" : found.length === 0 ? ": the same" : `: ${count(found.length, "difference")}`;
  return (
    <details class="exchange">
      <summary>
        Settings at attempt {attempt.number} and now{result}
      </summary>
      <Shown of={of} what="the changes">
        {({ items }) => (
          <>
            {items[0]?.action === "deleted" ? <p>The destination was deleted since.</p> : null}
            {found === undefined ? (
              <p>The destination was changed more than {items.length.toLocaleString()} times since.</p>
            ) : found.length === 0 ? (
              <p>The destination has the same settings now.</p>
            ) : (
              <Table of={found} number={attempt.number} />
            )}
          </>
        )}
      </Shown>
    </details>
  );
}

function Table({ of, number }: { of: readonly Difference[]; number: number }) {
  return (
    <>
      <div class="scroll">
        <table class="rows">
          <caption class="hidden">Settings that differ between attempt {number} and now</caption>
          <thead>
            <tr>
              <th scope="col">Setting</th>
              <th scope="col">At attempt {number}</th>
              <th scope="col">Now</th>
            </tr>
          </thead>
          <tbody>
            {of.map(({ field, then, now, secret }) => (
              <tr key={field}>
                <th scope="row">{field.replaceAll("_", " ")}</th>
                <td>{then || "–"}</td>
                <td>
                  {now || "–"}
                  {secret ? <span class="dim"> (another secret, not shown)</span> : null}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="hint">All other settings are the same.</p>
    </>
  );
}
