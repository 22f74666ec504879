// Explains why a destination got the events of a lead, or did not: the newest events, or one event in a dialog.
import { useFreshThings, useThings } from "../../account";
import { may } from "../../api/access";
import { routing } from "../../api/clients";
import { useLoad } from "../../api/load";
import type { Lead } from "../../gen/leadline/v1/lead_pb";
import {
  type RoutingAnswer,
  type RoutingExplanation,
  RoutingOutcome,
  RoutingRule,
  RoutingService,
} from "../../gen/leadline/v1/routing_pb";
import { change, to, usePlace } from "../../router";
import { millis } from "../../time";
import { Status, Time } from "../../ui/basics";
import { Dialog } from "../../ui/dialog";
import { Nothing, Shown } from "../../ui/states";

/** One event, or the newest events of a lead. */
type About = { readonly eventId: string } | { readonly leadId: string };

export function WhyNot({ lead }: { lead: Lead }) {
  const { destinations } = useFreshThings();
  const { query } = usePlace();
  const destinationId = query.has("about") ? "" : (query.get("why") ?? "");
  if (!may(RoutingService.method.explainRouting)) return null;
  return (
    <section aria-labelledby="why">
      <h2 id="why">Why, or why not?</h2>
      {destinations.length === 0 ? (
        <Nothing text="The account has no destination." />
      ) : (
        <label>
          Ask about the destination{" "}
          <select
            value={destinationId}
            onChange={(event) => change({ why: event.currentTarget.value, about: undefined }, { replace: true })}
          >
            <option value="">choose one</option>
            {destinations.map(({ destinationId: id, name }) => (
              <option key={id} value={id}>
                {name || id}
              </option>
            ))}
          </select>
        </label>
      )}
      {destinationId === "" ? null : (
        <Explained lead={lead} about={{ leadId: lead.leadId }} destinationId={destinationId} />
      )}
    </section>
  );
}

/** The dialog that the address names: one event at one destination. */
export function WhyNotDialog({ lead }: { lead: Lead }) {
  const { nameOf } = useThings();
  const { query } = usePlace();
  const [destinationId, eventId] = [query.get("why"), query.get("about")];
  if (destinationId === null || eventId === null || !may(RoutingService.method.explainRouting)) return null;
  const close = (): void => change({ why: undefined, about: undefined }, { replace: true });
  return (
    <Dialog title={`Why, or why not, to ${nameOf(destinationId)}?`} close={close} wide>
      <Explained lead={lead} about={{ eventId }} destinationId={destinationId} />
    </Dialog>
  );
}

interface ExplainedProps {
  lead: Lead;
  about: About;
  destinationId: string;
}

function Explained({ lead, about, destinationId }: ExplainedProps) {
  const { accountId } = lead;
  const key = JSON.stringify(["why", accountId, about, destinationId, lead.events]);
  const loaded = useLoad(key, (signal) => routing.explainRouting({ accountId, destinationId, ...about }, { signal }));
  return (
    <Shown of={loaded} what="the explanation">
      {({ explanations, more }) => (
        <>
          {explanations.map((one) => (
            <Explanation key={one.eventId} of={one} />
          ))}
          {more ? <p class="hint">The lead has older events, which are not explained here.</p> : null}
        </>
      )}
    </Shown>
  );
}

function Explanation({ of }: { of: RoutingExplanation }) {
  const { eventId, eventType, receivedAt, summary, answers, delivery, routed, routedNow } = of;
  return (
    <article class="explanation">
      <h3>
        {eventType} <span class="dim">{eventId}</span> <Time ms={millis(receivedAt)} />
      </h3>
      <p>
        {summary}{" "}
        {delivery === undefined ? null : (
          <a href={to(["deliveries", delivery.deliveryId])}>
            <Status status={delivery.status} />
          </a>
        )}
      </p>
      {routed === routedNow ? null : (
        <p class="hint">
          With the current configuration the destination would {routedNow ? "get" : "not get"} the event.
        </p>
      )}
      <ul class="rules">
        {answers.map((answer) => (
          <Rule key={answer.rule} of={answer} />
        ))}
      </ul>
    </article>
  );
}

const RULES: Record<RoutingRule, string> = {
  [RoutingRule.UNSPECIFIED]: "Another rule",
  [RoutingRule.EXISTENCE]: "Existed then",
  [RoutingRule.NAME]: "Named by the event",
  [RoutingRule.SCOPE]: "Scope",
  [RoutingRule.EVENT_TYPE]: "Event type",
  [RoutingRule.CONDITION]: "Condition",
  [RoutingRule.OVERRIDE]: "Not overridden",
  [RoutingRule.ENABLED]: "Enabled now",
  [RoutingRule.ORDER]: "Order",
  [RoutingRule.ANONYMISED]: "Not anonymised",
};

const OUTCOMES: Record<RoutingOutcome, readonly [string, string]> = {
  [RoutingOutcome.UNSPECIFIED]: ["unknown", ""],
  [RoutingOutcome.YES]: ["yes", "good"],
  [RoutingOutcome.NO]: ["no", "bad"],
  [RoutingOutcome.NOT_ASKED]: ["not evaluated", ""],
};

function Rule({ of }: { of: RoutingAnswer }) {
  const [word, kind] = OUTCOMES[of.outcome] ?? OUTCOMES[RoutingOutcome.UNSPECIFIED];
  return (
    <li>
      {RULES[of.rule] ?? RULES[RoutingRule.UNSPECIFIED]}: <span class={`status ${kind}`}>{word}</span> {of.reason}
    </li>
  );
}
