// The settings of a destination that are set.
import { useLoad } from "../../api/load";
import { registry } from "../../api/clients";
import { policyOf, scopeOf, typesOf } from "../../destination";
import type { Destination } from "../../gen/leadline/v1/registry_pb";
import { lasting, millis, span } from "../../time";
import { Code, Facts, Time } from "../../ui/basics";

export function Settings({ of }: { of: Destination }) {
  const { body, headers, auth, proxy, clientCertificate } = of;
  const timeout = lasting(of.timeout);
  return (
    <>
      <Facts
        of={[
          ["URL", <code>{of.url}</code>],
          ["Method", of.method || "POST"],
          ["For", scopeOf(of)],
          ["Event types", typesOf(of)],
          ["Body", body.case === "bodyTemplate" ? "a template" : body.value || "payload"],
          of.contentType !== "" && ["Content type", of.contentType],
          ["Retry policy", policyOf(of)],
          timeout !== undefined && ["Timeout", span(timeout)],
          of.concurrency > 0 && ["Requests at once, at most", of.concurrency],
          of.rate > 0 && ["Requests a second, at most", of.rate],
          ["Order", of.ordered ? "the events of each lead, first in, first out" : "none"],
          ["Signature", of.tokenId === "" ? "none" : <TokenName accountId={of.accountId} tokenId={of.tokenId} />],
          auth !== undefined &&
            auth.shownKind !== "" && [
              "Credentials",
              auth.shownHeader === "" ? auth.shownKind : `header ${auth.shownHeader}`,
            ],
          headers.length > 0 && ["Headers", headers.map(({ name }) => name).join(", ")],
          clientCertificate !== undefined && [
            "Client certificate",
            <>
              {clientCertificate.subject}, until <Time ms={millis(clientCertificate.notAfter)} />
            </>,
          ],
          proxy !== undefined && proxy.url !== "" && ["Proxy", proxy.url],
          ["webhook-id", of.webhookId === "event" ? "the event id" : "the delivery id"],
          ["Destination", of.destinationId],
        ]}
      />
      {body.case === "bodyTemplate" ? <Code text={body.value} label="Body template" /> : null}
      {of.condition === "" ? null : (
        <>
          <h3>Condition</h3>
          <Code text={of.condition} label="Condition" />
        </>
      )}
    </>
  );
}

function TokenName({ accountId, tokenId }: { accountId: string; tokenId: string }) {
  const { value } = useLoad(`token ${tokenId}`, (signal) => registry.getToken({ accountId, tokenId }, { signal }));
  return (
    <>
      {value?.name || tokenId}
      {value === undefined ? null : `, ${value.algorithm}`}
    </>
  );
}
