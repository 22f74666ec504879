// Retries one delivery.
import { may } from "../api/access";
import { deliveries } from "../api/clients";
import { sentence, trouble } from "../api/trouble";
import { type Delivery, DeliveryService, DeliveryStatus } from "../gen/leadline/v1/delivery_pb";
import { say } from "../ui/toast";

export function mayRetry({ status }: Delivery): boolean {
  return status === DeliveryStatus.FAILED && may(DeliveryService.method.retryDelivery);
}

/** Whether the delivery succeeded and may be sent again. */
export function mayResend({ status }: Delivery): boolean {
  return status === DeliveryStatus.SUCCEEDED && may(DeliveryService.method.retryDelivery);
}

/** Retries the delivery with this id, and shows the result of the call. */
export function useRetryOne(changed: (delivery: Delivery | undefined) => void): (id: string) => void {
  const retry = async (deliveryId: string): Promise<void> => {
    try {
      const { delivery } = await deliveries.retryDelivery({ deliveryId, requestId: crypto.randomUUID() });
      changed(delivery);
      say(`Retry requested: the lead ${delivery?.leadId ?? ""} is sent again.`);
    } catch (error) {
      say(`Not retried. ${sentence(trouble(error).text)}`, "bad");
    }
  };
  return (id) => void retry(id);
}
