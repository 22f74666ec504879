// The request and the answer of an attempt, as far as they are stored.
import { useState } from "preact/hooks";
import { may } from "../../api/access";
import { deliveries } from "../../api/clients";
import {
  type Attempt,
  type AttemptRequest,
  DeliveryService,
  type Exchange,
  type ExchangeHeader,
  type RenderedRequest,
} from "../../gen/leadline/v1/delivery_pb";
import { lasting, short, millis, span } from "../../time";
import { useAction } from "../../ui/action";
import { Button, Code, Facts, Notice } from "../../ui/basics";
import { say } from "../../ui/toast";
import { curl } from "../../curl";

export function Details({ attempt, deliveryId }: { attempt: Attempt; deliveryId: string }) {
  const { exchange, number } = attempt;
  return (
    <details class="exchange">
      <summary>Request and answer of attempt {number}</summary>
      {exchange === undefined ? (
        <Notice>Request and answer of this attempt are not kept.</Notice>
      ) : (
        <Kept of={exchange} number={number} />
      )}
      {may(DeliveryService.method.getAttemptRequest) ? <Body attempt={attempt} deliveryId={deliveryId} /> : null}
    </details>
  );
}

function Kept({ of, number }: { of: Exchange; number: number }) {
  const steps = [
    ["DNS", of.dnsTime],
    ["Connect", of.connectTime],
    ["TLS", of.tlsTime],
    ["First byte", of.firstByteTime],
  ] as const;
  return (
    <>
      <Facts
        of={[
          of.peerAddress !== "" && ["Peer", `${of.peerAddress}${of.httpVersion === "" ? "" : `, ${of.httpVersion}`}`],
          ...steps.map(([name, took]) => {
            const ms = lasting(took);
            return ms !== undefined && ([name, span(ms)] as const);
          }),
          ["Body sent", `${of.requestBodyBytes.toLocaleString()} bytes`],
          of.traceId !== "" && ["Trace", <code>{of.traceId}</code>],
        ]}
      />
      <Headers of={of.requestHeaders} title={`Request headers of attempt ${number}`} />
      <Headers of={of.responseHeaders} title={`Answer headers of attempt ${number}`} />
    </>
  );
}

function Headers({ of, title }: { of: readonly ExchangeHeader[]; title: string }) {
  if (of.length === 0) return null;
  return (
    <>
      <h4>{title}</h4>
      <Code text={of.map(({ name, value }) => `${name}: ${value}`).join("\n")} label={title} />
    </>
  );
}

/** The body is rendered again for each view, and the audit log records the view. So it is shown only on request. */
function Body({ attempt, deliveryId }: { attempt: Attempt; deliveryId: string }) {
  const { attemptId, number } = attempt;
  const [of, setOf] = useState<AttemptRequest | undefined>();
  const { busy, wrong, act } = useAction("", "Not shown.");
  const show = async (): Promise<AttemptRequest> => {
    const shown = of ?? (await deliveries.getAttemptRequest({ deliveryId, attemptId }));
    setOf(shown);
    return shown;
  };
  const copy = async (): Promise<void> => {
    const { request } = await show();
    if (request !== undefined) await toClipboard(curl(request));
  };
  return (
    <>
      <p class="row">
        {of === undefined ? (
          <Button busy={busy} onClick={() => void act(show)}>
            Show the body
          </Button>
        ) : null}
        <Button busy={busy} onClick={() => void act(copy)} title="Without secrets">
          Copy as curl
        </Button>
        {of === undefined ? <span class="hint">Each view is an entry of the audit log.</span> : null}
        {wrong === "" ? null : (
          <span class="wrong" role="alert">
            {wrong}
          </span>
        )}
      </p>
      {of?.request === undefined ? null : <Request of={of} request={of.request} number={number} />}
    </>
  );
}

/** Browsers let a page use the clipboard only over https, or if the page is from this machine. */
async function toClipboard(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    say("The command is copied. It has no secrets.");
  } catch {
    say("The browser does not let this page copy. The command is below.", "bad");
  }
}

function Request({ of, request, number }: { of: AttemptRequest; request: RenderedRequest; number: number }) {
  const changed = millis(of.settingsChangedAt);
  return (
    <>
      <h4>Request body</h4>
      {of.bodyMatches === false ? (
        <Notice kind="warn">With the current settings, the body differs from the one that was sent.</Notice>
      ) : null}
      {changed === undefined ? null : (
        <p class="hint">The settings were changed after the attempt: {short(changed)}.</p>
      )}
      <Code
        text={request.bodyText || `${request.body.length.toLocaleString()} bytes that are not text`}
        label={`Request body of attempt ${number}`}
      />
      <h4>As a command, without secrets</h4>
      <Code text={curl(request)} label={`Command for attempt ${number}`} />
    </>
  );
}
