// The time line of a delivery: each attempt, and the time between them.
import type { Loaded } from "../../api/load";
import { loggedIn } from "../../api/session";
import type { Attempt, Delivery } from "../../gen/leadline/v1/delivery_pb";
import { useStore } from "../../store";
import { lasting, millis, span } from "../../time";
import { traceLink } from "../../trace";
import { Answer, Code, Time } from "../../ui/basics";
import { Details } from "./exchange";
import { type Changes, Settings, useChanges } from "./settings";

export function Attempts({ attempts, delivery }: { attempts: readonly Attempt[]; delivery: Delivery }) {
  const changes = useChanges(delivery, attempts);
  if (attempts.length === 0) return <p class="state">There is no attempt yet.</p>;
  const nextAt = millis(delivery.nextAttemptAt);
  return (
    <ol class="timeline">
      {attempts.map((attempt, index) => (
        <One
          key={attempt.attemptId}
          attempt={attempt}
          before={attempts[index - 1]}
          deliveryId={delivery.deliveryId}
          changes={changes}
        />
      ))}
      {nextAt === undefined ? null : (
        <li class="next">
          Next attempt: <Time ms={nextAt} />
        </li>
      )}
    </ol>
  );
}

interface Props {
  attempt: Attempt;
  before: Attempt | undefined;
  deliveryId: string;
  changes: Loaded<Changes> | undefined;
}

function One({ attempt, before, deliveryId, changes }: Props) {
  const { number, round, httpStatusCode, errorKind, webhookResponse } = attempt;
  const body = attempt.exchange?.responseBody || webhookResponse;
  const took = lasting(attempt.duration);
  const isNewRound = before !== undefined && before.round !== round;
  return (
    <li class={httpStatusCode >= 200 && httpStatusCode < 300 ? "good" : "bad"}>
      <p class="gap">
        {isNewRound ? <b>Retry requested. </b> : null}
        <Gap from={before} to={attempt} />
      </p>
      <h3>
        Attempt {number}: <Answer code={httpStatusCode} errorKind={errorKind} />
      </h3>
      <p>
        <Time ms={millis(attempt.startedAt)} />
        {took === undefined ? null : <>, took {span(took)}</>}
        {/* The trace of the receiver may be another one. Attempts of earlier releases have only that trace. */}
        <Trace id={attempt.traceId || (attempt.exchange?.traceId ?? "")} number={number} />
      </p>
      <p class="request">
        <code>
          {attempt.requestMethod} {attempt.requestUrl}
        </code>
      </p>
      {body === "" ? null : <Code text={body} label={`Answer to attempt ${number}`} />}
      <Details attempt={attempt} deliveryId={deliveryId} />
      <Settings of={changes} attempt={attempt} />
    </li>
  );
}

/** A link to the trace, if the installation has an address where traces are shown. */
function Trace({ id, number }: { id: string; number: number }) {
  const now = useStore(loggedIn);
  const link = now.state === "in" ? traceLink(now.session.traceUrl, id) : undefined;
  if (link === undefined) return null;
  return (
    <>
      {", "}
      <a href={link} target="_blank" rel="noreferrer" aria-label={`Trace of attempt ${number}`}>
        trace
      </a>
    </>
  );
}

function Gap({ from, to }: { from: Attempt | undefined; to: Attempt }) {
  const ended = from === undefined ? undefined : (millis(from.startedAt) ?? 0) + (lasting(from.duration) ?? 0);
  const began = millis(to.startedAt);
  if (ended === undefined || began === undefined) return null;
  return <span class="dim">{span(Math.max(0, began - ended))} later</span>;
}
