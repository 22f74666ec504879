// The payload of an event. Each view is an entry of the audit log, so the payload is shown only on request.
import { useState } from "preact/hooks";
import { useAccount } from "../account";
import { may } from "../api/access";
import { leads } from "../api/clients";
import { type Event, LeadService, PayloadState } from "../gen/leadline/v1/lead_pb";
import { change, usePlace } from "../router";
import { millis } from "../time";
import { useAction } from "../ui/action";
import { Button, Code, Facts, Notice, Time } from "../ui/basics";
import { Dialog } from "../ui/dialog";

export const maySeePayloads = (): boolean => may(LeadService.method.getEvent);

/** The button that opens the dialog with the event. It is missing if the key may not see payloads. */
export function ShowPayload({ eventId }: { eventId: string }) {
  if (!maySeePayloads() || eventId === "") return null;
  return <Button onClick={() => change({ event: eventId })}>Payload …</Button>;
}

/** The dialog that the address names. */
export function EventDialog() {
  const { query } = usePlace();
  const eventId = query.get("event");
  if (eventId === null || !maySeePayloads()) return null;
  return <Shown key={eventId} eventId={eventId} />;
}

function Shown({ eventId }: { eventId: string }) {
  const accountId = useAccount();
  const [event, setEvent] = useState<Event | undefined>();
  const { busy, wrong, act } = useAction("", "Not shown.");
  const show = async (): Promise<void> => setEvent(await leads.getEvent({ accountId, eventId }));
  return (
    <Dialog title={`Event ${eventId}`} close={() => change({ event: undefined }, { replace: true })} wide>
      {event === undefined ? (
        <>
          <p>A payload is what was published about a lead. Each view is an entry of the audit log, with your key.</p>
          {wrong === "" ? null : (
            <p class="wrong" role="alert">
              {wrong}
            </p>
          )}
          <Button kind="primary" busy={busy} onClick={() => void act(show)}>
            Show payload
          </Button>
        </>
      ) : (
        <Known event={event} />
      )}
    </Dialog>
  );
}

function Known({ event }: { event: Event }) {
  return (
    <>
      <Facts
        of={[
          ["Event type", event.eventType],
          ["Lead", event.leadId],
          ["Interface", event.interfaceId],
          event.clientId !== "" && ["Client", event.clientId],
          ["Received", <Time ms={millis(event.receivedAt)} />],
          event.occurredAt !== undefined && ["Happened", <Time ms={millis(event.occurredAt)} />],
        ]}
      />
      {event.payloadState === PayloadState.ANONYMISED ? (
        <Notice>The lead was anonymised, and the payload with it.</Notice>
      ) : event.payloadState === PayloadState.EXPIRED ? (
        <Notice>The event is older than events are kept, so its payload was deleted.</Notice>
      ) : (
        <Code text={pretty(event)} label="Payload" />
      )}
    </>
  );
}

/** The payload, indented for people. It is not parsed, so that numbers keep their digits. */
function pretty({ payload, payloadJson }: Event): string {
  if (payloadJson === "") return new TextDecoder().decode(payload);
  return indented(payloadJson);
}

/** Indents JSON without changing any value. */
export function indented(json: string): string {
  let [out, depth] = ["", 0];
  const line = (): string => `\n${"  ".repeat(depth)}`;
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    if (token === "{" || token === "[") {
      depth += 1;
      out += token + line();
    } else if (token === "}" || token === "]") {
      depth -= 1;
      out = /[{[]\s*$/.test(out) ? out.trimEnd() + token : out + line() + token;
    } else out += token === "," ? token + line() : token === ":" ? ": " : token;
  }
  return out;
}
