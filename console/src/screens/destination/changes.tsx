// Who changed a destination, and when.
import { audit } from "../../api/clients";
import { may } from "../../api/access";
import { AuditService } from "../../gen/leadline/v1/audit_pb";
import type { Destination } from "../../gen/leadline/v1/registry_pb";
import { AuditList, useAuditLog } from "../audit-list";

export function Changes({ of }: { of: Destination }) {
  if (!may(AuditService.method.listAuditLog)) return null;
  return <Known of={of} />;
}

function Known({ of }: { of: Destination }) {
  const { accountId, destinationId } = of;
  const key = JSON.stringify([destinationId, of.enabled, of.deactivated === undefined]);
  const pages = useAuditLog(`changes ${key}`, (pageToken, signal) =>
    audit.listAuditLog(
      { accountId, entityKind: "destination", entityId: destinationId, pageToken, pageSize: 20 },
      { signal },
    ),
  );
  return (
    <>
      <h2>Changes</h2>
      <AuditList pages={pages} withEntity={false} />
    </>
  );
}
