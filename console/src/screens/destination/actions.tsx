// The dialogs for actions on a destination. The address names the open dialog, so "back" closes it.
import { useState } from "preact/hooks";
import { deliveries, jobs, registry } from "../../api/clients";
import { may } from "../../api/access";
import { isOff } from "../../destination";
import { DeliveryService } from "../../gen/leadline/v1/delivery_pb";
import { JobService } from "../../gen/leadline/v1/job_pb";
import { type Destination, RegistryService } from "../../gen/leadline/v1/registry_pb";
import { finished } from "../../jobs";
import { change, go, to } from "../../router";
import { local, stamp } from "../../time";
import { Ask, Stay, useAction } from "../../ui/action";
import { Button, Code } from "../../ui/basics";
import { count, ofDeliveries } from "../../words";

export interface Props {
  destination: Destination;
  changed: () => void;
  close: () => void;
}

/** The actions that a list offers: those that fit the state of the destination and that the key permits. */
export function actionsOf(destination: Destination): { readonly action: string; readonly verb: string }[] {
  const off = isOff(destination);
  const { enableDestination, disableDestination } = RegistryService.method;
  return [
    { action: "enable", verb: "Enable", isOffered: off && may(enableDestination) },
    { action: "test", verb: "Test", isOffered: !off && may(DeliveryService.method.sendTestDelivery) },
    { action: "recover", verb: "Recover", isOffered: may(JobService.method.recoverDestination) },
    { action: "disable", verb: "Disable", isOffered: !off && may(disableDestination) },
  ].filter(({ isOffered }) => isOffered);
}

const named = ({ name, destinationId }: Destination): string => name || destinationId;

export function Enable({ destination, changed, close }: Props) {
  const [skipHeld, setSkipHeld] = useState(false);
  const { accountId, destinationId, deactivated } = destination;
  const held = deactivated?.held;
  const act = async (): Promise<void> => {
    await registry.enableDestination({ accountId, destinationId, skipHeld });
    changed();
  };
  return (
    <Ask
      title={`Enable ${named(destination)}`}
      verb="Enable"
      did={`${named(destination)} is enabled.`}
      undone="Not enabled."
      act={act}
      close={close}
    >
      <fieldset>
        <legend>Held deliveries{held === undefined ? "" : ` (${held.toLocaleString()})`}</legend>
        <label>
          <input type="radio" name="held" checked={!skipHeld} onChange={() => setSkipHeld(false)} /> Send held
          deliveries, slowly at first
        </label>
        <label>
          <input type="radio" name="held" checked={skipHeld} onChange={() => setSkipHeld(true)} /> Skip held deliveries:
          they fail with the reason “skipped” and can be retried later
        </label>
      </fieldset>
    </Ask>
  );
}

export function Disable({ destination, changed, close }: Props) {
  const { accountId, destinationId } = destination;
  const act = async (): Promise<void> => {
    await registry.disableDestination({ accountId, destinationId });
    changed();
  };
  return (
    <Ask
      title={`Disable ${named(destination)}`}
      verb="Disable"
      did={`${named(destination)} is disabled.`}
      undone="Not disabled."
      act={act}
      close={close}
    >
      <p>Nothing more is sent to it. Its deliveries are held until it is enabled; nothing is lost.</p>
    </Ask>
  );
}

export function DeleteDestination({ destination, changed, close }: Props) {
  const { accountId, destinationId } = destination;
  const act = async (): Promise<void> => {
    await registry.deleteDestination({ accountId, destinationId });
    changed();
    go(to(["destinations"]));
  };
  return (
    <Ask
      title={`Delete ${named(destination)}`}
      verb="Delete"
      danger
      did={`${named(destination)} is deleted.`}
      undone="Not deleted."
      act={act}
      close={close}
    >
      <p>
        Its waiting deliveries fail with the reason “destination deleted”, and cannot be retried.{" "}
        <b>This cannot be undone.</b>
      </p>
    </Ask>
  );
}

const EXAMPLE = `{\n  "name": "Ada Lovelace",\n  "email": "ada@example.com"\n}`;
const MAX_TEST_BYTES = 64 * 1024;

export function SendTest({ destination, close }: Props) {
  const [own, setOwn] = useState(false);
  const [text, setText] = useState(EXAMPLE);
  const { accountId, destinationId } = destination;
  const act = async (): Promise<void> => {
    const payload = own ? checked(text) : new Uint8Array();
    const { deliveryId } = await deliveries.sendTestDelivery({ accountId, destinationId, payload });
    go(to(["deliveries", deliveryId]));
  };
  return (
    <Ask
      title={`Send a test to ${named(destination)}`}
      verb="Send the test"
      did="The test is sent."
      undone="No test was sent."
      wide
      act={act}
      close={close}
    >
      <p>
        An event of the type <code>webhook.test</code> is sent once, with the templates, the signature and the headers
        of the destination. If it fails, nothing is switched off and no mail is sent.
      </p>
      <label>
        <input type="checkbox" checked={own} onChange={(event) => setOwn(event.currentTarget.checked)} /> Send a payload
        of my own
      </label>
      {own ? (
        <label>
          Payload (JSON)
          <textarea
            class="mono"
            rows={10}
            spellcheck={false}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
      ) : null}
      {own && may(DeliveryService.method.previewRequest) ? (
        <Preview of={destination} payload={() => checked(text)} />
      ) : null}
    </Ask>
  );
}

/** Shows the request that the destination would get, without sending it. */
function Preview({ of: { accountId, destinationId }, payload }: { of: Destination; payload: () => Uint8Array }) {
  const [shown, setShown] = useState("");
  const { busy, wrong, act } = useAction("", "No request can be rendered.");
  const look = async (): Promise<void> => {
    setShown("");
    const { method, url, headers, bodyText } = await deliveries.previewRequest({
      accountId,
      destinationId,
      payload: payload(),
    });
    const lines = headers.map(({ name, value }) => `${name}: ${value}`);
    setShown([`${method} ${url}`, ...lines, "", bodyText].join("\n"));
  };
  return (
    <>
      <p class="row">
        <Button busy={busy} onClick={() => void act(look)}>
          Show the request
        </Button>
        {wrong === "" ? null : (
          <span class="wrong" role="alert">
            {wrong}
          </span>
        )}
      </p>
      {shown === "" ? null : <Code text={shown} label="The request" />}
    </>
  );
}

function checked(text: string): Uint8Array {
  try {
    JSON.parse(text);
  } catch (error) {
    throw new Error(`the payload is not JSON: ${error instanceof Error ? error.message : ""}`);
  }
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > MAX_TEST_BYTES) throw new Error("the payload has more than 64 KiB");
  return bytes;
}

const DAY_MS = 86_400_000;

/** Recovers the events that the destination missed. The first step counts them, and the second starts a job. */
export function Recover({ destination, close }: Props) {
  const [since, setSince] = useState(local(Date.now() - DAY_MS));
  const [older, setOlder] = useState(false);
  const [counted, setCounted] = useState<{ at: string; text: string; total: number } | undefined>();
  const { accountId, destinationId } = destination;
  const key = `${since} ${older}`;
  const isCounted = counted?.at === key;
  const act = async (): Promise<void> => {
    const plan = { accountId, destinationId, since: stamp(Date.parse(since)), includeBeforeCreated: older };
    const { job } = await jobs.recoverDestination({ ...plan, dryRun: !isCounted, requestId: crypto.randomUUID() });
    if (isCounted) {
      // After this, `Ask` closes the dialog, which removes action and job from the address. So the job is added later.
      setTimeout(() => change({ job: job?.jobId, of: String(counted.total) }, { replace: true }), 0);
      return;
    }
    const {
      requested = 0n,
      retried = 0n,
      had = 0n,
      examined = 0n,
      beforeCreated = 0n,
    } = (await finished(job))?.counts ?? {};
    const parts = [
      `${count(requested, "missed event")} would be delivered`,
      `${ofDeliveries(retried)} would be retried`,
      `${had.toLocaleString()} are already there`,
      ...(beforeCreated > 0n ? [`${beforeCreated.toLocaleString()} are older than the destination`] : []),
    ];
    setCounted({ at: key, text: `${parts.join(", ")}.`, total: Number(examined) });
    // The dialog stays open for the second step.
    throw new Stay();
  };
  return (
    <Ask
      title={`Recover ${named(destination)}`}
      verb={isCounted ? "Recover" : "Count missed events"}
      did=""
      undone="Not recovered."
      act={act}
      close={close}
    >
      <p>
        The destination gets every event since this time that it should have and does not have. Events that it has are
        not sent again.
      </p>
      <label>
        Events received since{" "}
        <input type="datetime-local" required value={since} onInput={(event) => setSince(event.currentTarget.value)} />
      </label>
      <label>
        <input type="checkbox" checked={older} onChange={(event) => setOlder(event.currentTarget.checked)} /> Events
        that are older than the destination, too
      </label>
      {isCounted ? <p role="status">{counted.text}</p> : null}
    </Ask>
  );
}
