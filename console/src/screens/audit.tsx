// The audit log: who changed what in the configuration.
import { useAccount } from "../account";
import { audit } from "../api/clients";
import { change, usePlace } from "../router";
import { NothingMatches } from "../ui/states";
import { AuditList, useAuditLog } from "./audit-list";

const KINDS = ["account", "client", "interface", "api_user", "destination", "token", "opt_out", "key"];

export function AuditScreen() {
  const accountId = useAccount();
  const { query } = usePlace();
  const entityKind = query.get("kind") ?? "";
  const pages = useAuditLog(`audit ${accountId} ${entityKind}`, (pageToken, signal) =>
    audit.listAuditLog({ accountId, entityKind, pageToken }, { signal }),
  );
  return (
    <>
      <h1>Audit log</h1>
      <div class="actions">
        <label>
          Changes of{" "}
          <select value={entityKind} onChange={(event) => change({ kind: event.currentTarget.value })}>
            <option value="">everything</option>
            {KINDS.map((kind) => (
              <option key={kind} value={kind}>
                {kind.replace("_", " ")}
              </option>
            ))}
          </select>
        </label>
      </div>
      <AuditList
        pages={pages}
        withEntity
        nothing={
          entityKind === "" ? undefined : <NothingMatches what="change" clear={() => change({ kind: undefined })} />
        }
      />
    </>
  );
}
