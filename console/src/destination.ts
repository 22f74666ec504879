// Texts about a destination: its state, its scope, its policy.
import type { Destination } from "./gen/leadline/v1/registry_pb";
import { millis, short } from "./time";
import { ERROR_KINDS, NO_ANSWER, ofDeliveries } from "./words";

export interface State {
  readonly label: string;
  readonly kind: "good" | "bad" | "warn";
}

export function stateOf({ enabled, deactivated }: Destination): State {
  if (deactivated !== undefined) return { label: "Deactivated", kind: "bad" };
  return enabled === false ? { label: "Disabled", kind: "warn" } : { label: "Enabled", kind: "good" };
}

export const isOff = (destination: Destination): boolean => stateOf(destination).kind !== "good";

/** The state in a sentence. */
export function stateSentence(destination: Destination): string {
  const { deactivated } = destination;
  if (deactivated !== undefined) {
    const { cause, at, attempts, httpStatusCode: code, errorKind, held } = deactivated;
    const answered = code === NO_ANSWER ? (ERROR_KINDS[errorKind] ?? "no answer came") : `it answered ${code}`;
    const why =
      cause === "gone"
        ? "the receiver answered 410: it is gone for good"
        : `a delivery used up its ${attempts} attempts, and ${answered}`;
    const when = millis(at);
    return `Leadline deactivated it${when === undefined ? "" : ` on ${short(when)}`}: ${why}. ${heldSentence(held)}`;
  }
  if (destination.enabled === false) return "It is disabled. Its deliveries are held until it is enabled.";
  return "It is enabled and gets the events that it wants.";
}

function heldSentence(held: bigint | undefined): string {
  if (held === undefined) return "Its deliveries are held until it is enabled.";
  return held === 1n
    ? "1 delivery is held until it is enabled."
    : `${ofDeliveries(held)} are held until it is enabled.`;
}

/** The account, client or interface whose leads it gets. */
export function scopeOf({ interfaceId, clientId }: Destination): string {
  if (interfaceId !== "") return `interface ${interfaceId}`;
  return clientId !== "" ? `client ${clientId}` : "whole account";
}

export const typesOf = ({ eventTypes }: Destination): string => (eventTypes.length === 0 ? "*" : eventTypes.join(", "));

export function policyOf({ retryPolicy }: Destination): string {
  const policy = retryPolicy?.policy;
  return policy?.case === "custom"
    ? "custom"
    : policy?.case === "preset" && policy.value !== ""
      ? policy.value
      : "standard";
}
