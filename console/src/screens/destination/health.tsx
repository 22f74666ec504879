// The health of a destination: in a sentence, in figures, and over the last day.
import { problems } from "../../api/clients";
import { useLoad } from "../../api/load";
import { sentence } from "../../api/trouble";
import { barsOf, countsOfToday } from "../../counts";
import type { Destination } from "../../gen/leadline/v1/registry_pb";
import { type DestinationHealth, LaneState } from "../../gen/leadline/v1/problem_pb";
import { lasting, millis, span } from "../../time";
import { Facts, Time } from "../../ui/basics";
import { Bars } from "../../ui/chart";
import { useLooksAgain } from "../problems";

export function Health({ of: { accountId, destinationId } }: { of: Destination }) {
  const health = useLoad(`health ${destinationId}`, (signal) =>
    problems.getDestinationHealth({ accountId, destinationId }, { signal }),
  );
  const counts = useLoad(`counts ${destinationId}`, (signal) => countsOfToday(accountId, destinationId, signal));
  useLooksAgain(() => {
    health.reload();
    counts.reload();
  });
  return (
    <>
      {health.value === undefined ? null : <Figures of={health.value} />}
      {counts.value === undefined ? null : <Bars bars={barsOf(counts.value)} title="Deliveries of the last 24 hours" />}
    </>
  );
}

function Figures({ of }: { of: DestinationHealth }) {
  const [p50, p95] = [lasting(of.p50), lasting(of.p95)];
  const oldest = millis(of.oldestWaitingAt);
  return (
    <>
      <p>{of.summary}</p>
      {of.lane === undefined || of.lane.state === LaneState.OPEN ? null : <p>{sentence(of.lane.summary)}</p>}
      <Facts
        of={[
          ["Succeeded in the last hour", of.succeeded.toLocaleString()],
          ["Failed in the last hour", of.failed.toLocaleString()],
          p50 !== undefined && ["Half of the answers within", span(p50)],
          p95 !== undefined && ["95 of 100 answers within", span(p95)],
          ["Waiting", of.waiting.toLocaleString()],
          ["Held", of.held.toLocaleString()],
          oldest !== undefined && ["Age of the oldest waiting", span(Math.max(0, Date.now() - oldest))],
          ["Last success", <Time ms={millis(of.lastSuccessAt)} never="none" />],
          of.switchedOffBy !== "" && ["Switched off by", of.switchedOffBy],
        ]}
      />
    </>
  );
}
