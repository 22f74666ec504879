// Resends a delivery that succeeded, for receivers that lost it. The log of the lead shows who resent it and why.
import { useState } from "preact/hooks";
import { deliveries } from "../../api/clients";
import type { Delivery } from "../../gen/leadline/v1/delivery_pb";
import { Ask } from "../../ui/action";

const MAX_REASON = 200;

export function Resend({ delivery, resent, close }: { delivery: Delivery; resent: () => void; close: () => void }) {
  const [reason, setReason] = useState("");
  // A repeated call sends nothing more.
  const [requestId] = useState(() => crypto.randomUUID());
  const { deliveryId } = delivery;
  const name = delivery.destinationName || delivery.destinationId;
  const act = async (): Promise<void> => {
    await deliveries.retryDelivery({ deliveryId, force: true, reason, requestId });
    resent();
  };
  return (
    <Ask
      title={`Resend to ${name}`}
      verb="Resend"
      did="Resend requested. The same payload is sent with the same webhook-id."
      undone="Not resent."
      act={act}
      close={close}
    >
      <p>
        {name} already accepted this delivery. A receiver that discards repeats by their <code>webhook-id</code>{" "}
        discards this one, too.
      </p>
      <label>
        Why? The log of the lead shows it.{" "}
        <input
          required
          maxLength={MAX_REASON}
          value={reason}
          onInput={(event) => setReason(event.currentTarget.value)}
          placeholder="The customer lost it"
        />
      </label>
    </Ask>
  );
}
