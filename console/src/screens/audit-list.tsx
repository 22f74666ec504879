// Entries of the audit log.
import type { ComponentChildren } from "preact";
import type { AuditEntry, FieldChange, ListAuditLogResponse } from "../gen/leadline/v1/audit_pb";
import { type Pages, usePages } from "../pages";
import { to } from "../router";
import { millis } from "../time";
import { Time } from "../ui/basics";
import { List } from "../ui/list";
import { Nothing } from "../ui/states";

type Call = (pageToken: string, signal?: AbortSignal) => Promise<ListAuditLogResponse>;

export function useAuditLog(key: string, call: Call): Pages<AuditEntry> {
  return usePages<AuditEntry>(key, async (token, signal) => {
    const page = await call(token, signal);
    return { items: page.entries, next: page.nextPageToken };
  });
}

interface Props {
  pages: Pages<AuditEntry>;
  withEntity: boolean;
  /** Shown if there are no entries. */
  nothing?: ComponentChildren;
}

export function AuditList({ pages, withEntity, nothing }: Props) {
  return (
    <List
      pages={pages}
      what="the audit log"
      caption="Changes of the configuration, the newest first"
      id={({ sequence }) => String(sequence)}
      nothing={nothing ?? <Nothing text="There is no change yet." />}
      columns={[
        { title: "Time", cell: ({ at }) => <Time ms={millis(at)} /> },
        { title: "Who", cell: ({ by }) => by },
        { title: "Action", cell: ({ action }) => action },
        withEntity && { title: "What", cell: (entry) => <Entity of={entry} /> },
        { title: "Changes", cell: ({ changes }) => <Fields changes={changes} /> },
      ]}
    />
  );
}

function Entity({ of: { entityKind: kind, entityId: id, action } }: { of: AuditEntry }) {
  const isThere = kind === "destination" && action !== "deleted";
  return (
    <>
      {kind.replace("_", " ")} {isThere ? <a href={to(["destinations", id])}>{id}</a> : id}
    </>
  );
}

function Fields({ changes }: { changes: readonly FieldChange[] }) {
  if (changes.length === 0) return null;
  return (
    <details>
      <summary>{changes.map(({ field }) => field).join(", ")}</summary>
      <ul class="changes">
        {changes.map(({ field, oldValue, newValue, secret }) => (
          <li key={field}>
            <b>{field}</b>: {oldValue === "" ? "" : <del>{oldValue}</del>}{" "}
            {newValue === "" ? "" : <ins>{newValue}</ins>}
            {secret ? <span class="dim"> (a secret, not shown)</span> : null}
          </li>
        ))}
      </ul>
    </details>
  );
}
