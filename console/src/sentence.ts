// Sentences about a delivery: its state, and what happens next.
import { type Delivery, DeliveryStatus } from "./gen/leadline/v1/delivery_pb";
import { millis, short, span } from "./time";
import { ERROR_KINDS, NO_ANSWER, REASONS } from "./words";

/** Why a destination is switched off. */
export type Off = "disabled" | "deactivated" | undefined;

export function about(delivery: Delivery, off: Off, now = Date.now()): string {
  const name = delivery.destinationName || delivery.destinationId;
  switch (delivery.status) {
    case DeliveryStatus.SUCCEEDED:
      return `${name} accepted this delivery ${onAttempt(delivery)}: it answered ${delivery.httpStatusCode}.`;
    case DeliveryStatus.FAILED:
      return failed(delivery, name);
    case DeliveryStatus.RETRYING:
      return `${latest(delivery, name)}. ${next(delivery, now)}`;
    case DeliveryStatus.HELD:
      return `${name} is ${off ?? "switched off"}, so this delivery is held. It is sent when ${name} is enabled.`;
    case DeliveryStatus.PROCESSING:
      return `A request to ${name} is in flight.`;
    default:
      return `This delivery waits for its first attempt at ${name}.`;
  }
}

function failed(delivery: Delivery, name: string): string {
  const { failureReason: reason, attempts } = delivery;
  const tail = "Nothing more is sent unless it is retried.";
  if (reason === "exhausted") {
    const tried = attempts === 1 ? "one attempt" : `${attempts} attempts`;
    return `${latest(delivery, name)}, and the delivery failed after ${tried}. ${tail}`;
  }
  return `This delivery to ${name} failed: ${REASONS[reason] ?? reason}. ${tail}`;
}

/** The result of the latest attempt. */
function latest({ httpStatusCode: code, errorKind, attempts }: Delivery, name: string): string {
  if (code === 0) return `${name} was not called yet`;
  const attempt = attempts > 1 ? ` to attempt ${attempts}` : "";
  if (code !== NO_ANSWER) return `${name} answered ${code}${attempt}`;
  return `${name} gave no answer${attempt}: ${ERROR_KINDS[errorKind] ?? "no answer came"}`;
}

function next({ nextAttemptAt }: Delivery, now: number): string {
  const at = millis(nextAttemptAt);
  if (at === undefined) return "The next attempt follows soon.";
  return at <= now ? "The next attempt is due now." : `The next attempt is at ${short(at, now)}, in ${span(at - now)}.`;
}

function onAttempt({ attempts }: Delivery): string {
  return attempts <= 1 ? "on the first attempt" : `on attempt ${attempts}`;
}
