// One delivery: its state, what a person can do about it, and its attempts.
import { useState } from "preact/hooks";
import { useAccount } from "../account";
import { may } from "../api/access";
import { deliveries, registry } from "../api/clients";
import { type Loaded, useLoad } from "../api/load";
import { sentence, trouble } from "../api/trouble";
import type { Delivery, DeliveryDetail } from "../gen/leadline/v1/delivery_pb";
import { type Destination, RegistryService } from "../gen/leadline/v1/registry_pb";
import { useKeys } from "../keys";
import { useWatch } from "../live/watch";
import { change, to, usePlace } from "../router";
import { about, type Off } from "../sentence";
import { millis } from "../time";
import { Button, Facts, Status, Time } from "../ui/basics";
import { Shown } from "../ui/states";
import { say } from "../ui/toast";
import { Live } from "./deliveries";
import { Attempts } from "./delivery/attempts";
import { Resend } from "./delivery/resend";
import { EventDialog, ShowPayload } from "./event";
import { mayResend, mayRetry } from "./retry";

export function DeliveryScreen({ id }: { id: string }) {
  const loaded = useLoad(`delivery ${id}`, (signal) => deliveries.getDelivery({ deliveryId: id }, { signal }));
  return (
    <Shown of={loaded} what="the delivery">
      {(detail) =>
        detail.delivery === undefined ? null : <Known detail={detail} delivery={detail.delivery} loaded={loaded} />
      }
    </Shown>
  );
}

export function offOf(destination: Destination | undefined): Off {
  if (destination?.deactivated !== undefined) return "deactivated";
  return destination?.enabled === false ? "disabled" : undefined;
}

interface Props {
  detail: DeliveryDetail;
  delivery: Delivery;
  loaded: Loaded<DeliveryDetail>;
}

function Known({ detail, delivery, loaded }: Props) {
  const { accountId, destinationId, deliveryId, leadId } = delivery;
  const account = useAccount();
  const { query } = usePlace();
  const destination = useLoad(`destination ${destinationId}`, (signal) =>
    registry.getDestination({ accountId, destinationId }, { signal }),
  );
  const watching = useWatch(
    { accountId: account, leadId },
    {
      changed: (changes) => changes.some((one) => one.deliveryId === deliveryId) && loaded.reload(),
      gap: loaded.reload,
    },
  );
  const { retry, busy } = useRetry(delivery, loaded.reload);
  useKeys({ r: () => mayRetry(delivery) && retry() });
  return (
    <>
      <div class="title">
        <h1>Delivery of {leadId}</h1>
        <Status status={delivery.status} />
        <Live watching={watching} />
      </div>
      <p class="matter" aria-live="polite">
        {about(delivery, offOf(destination.value))}
      </p>
      {delivery.suggestedAction === "" ? null : <p class="advice">{delivery.suggestedAction}</p>}
      <div class="actions">
        {mayRetry(delivery) ? (
          <Button kind="primary" busy={busy} onClick={retry} shortcut="r">
            Retry
          </Button>
        ) : null}
        {mayResend(delivery) ? <Button onClick={() => change({ do: "resend" })}>Resend …</Button> : null}
        <ShowPayload eventId={delivery.eventId} />
        {may(RegistryService.method.getDestination) ? (
          <a href={to(["destinations", destinationId])}>Open the destination</a>
        ) : null}
        <a href={to(["leads", leadId])}>Open the lead</a>
      </div>
      <About delivery={delivery} />
      <h2>Attempts</h2>
      <Attempts attempts={detail.attempts} delivery={delivery} />
      <EventDialog />
      {query.get("do") === "resend" && mayResend(delivery) ? (
        <Resend delivery={delivery} resent={loaded.reload} close={() => change({ do: undefined }, { replace: true })} />
      ) : null}
    </>
  );
}

function useRetry({ deliveryId }: Delivery, reload: () => void): { retry: () => void; busy: boolean } {
  const [busy, setBusy] = useState(false);
  const retry = async (): Promise<void> => {
    setBusy(true);
    try {
      await deliveries.retryDelivery({ deliveryId, requestId: crypto.randomUUID() });
      say("Retry requested. The same payload is sent with the same webhook-id.");
    } catch (error) {
      say(`Not retried. ${sentence(trouble(error).text)}`, "bad");
    }
    setBusy(false);
    reload();
  };
  return { retry: () => void retry(), busy };
}

function About({ delivery }: { delivery: Delivery }) {
  return (
    <Facts
      of={[
        [
          "Destination",
          <a href={to(["destinations", delivery.destinationId])}>
            {delivery.destinationName || delivery.destinationId}
          </a>,
        ],
        ["Interface", delivery.interfaceId],
        delivery.clientId !== "" && ["Client", delivery.clientId],
        ["Event type", delivery.eventType],
        ["Event", delivery.eventId],
        ["Delivery", delivery.deliveryId],
        ["Requested", <Time ms={millis(delivery.requestedAt)} />],
        ["Updated", <Time ms={millis(delivery.updatedAt)} />],
        delivery.nextAttemptAt !== undefined && ["Next attempt", <Time ms={millis(delivery.nextAttemptAt)} />],
        delivery.retries > 0 && ["Retries", delivery.retries],
      ]}
    />
  );
}
