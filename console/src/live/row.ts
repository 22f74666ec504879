// A delivery as a row of a live list.
import { type Delivery, DeliveryStatus } from "../gen/leadline/v1/delivery_pb";
import { millis } from "../time";
import type { Row } from "./table";

export interface DeliveryRow extends Row {
  readonly delivery: Delivery;
}

/** How far a delivery has come in each status. Of two changes with the same version, the higher rank counts. */
const RANK: Record<DeliveryStatus, number> = {
  [DeliveryStatus.UNSPECIFIED]: 0,
  [DeliveryStatus.PENDING]: 1,
  [DeliveryStatus.PROCESSING]: 2,
  [DeliveryStatus.RETRYING]: 3,
  [DeliveryStatus.HELD]: 4,
  [DeliveryStatus.FAILED]: 5,
  [DeliveryStatus.SUCCEEDED]: 6,
};

export function row(delivery: Delivery): DeliveryRow {
  const { deliveryId: id, updatedAt, requestedAt, retries, attempts, status } = delivery;
  const version = [millis(updatedAt) ?? 0, retries, attempts];
  return { id, requested: millis(requestedAt) ?? 0, version, rank: RANK[status] ?? 0, delivery };
}
