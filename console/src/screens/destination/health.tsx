// The health of a destination: a sentence, figures, and charts of the last 24 hours.
import { problems } from "../../api/clients";
import { useLoad } from "../../api/load";
import { sentence } from "../../api/trouble";
import { ANSWERS, barsOf, countsOfToday, type Hour } from "../../counts";
import type { Destination } from "../../gen/leadline/v1/registry_pb";
import { type DestinationHealth, LaneState } from "../../gen/leadline/v1/problem_pb";
import { lasting, millis, short, span } from "../../time";
import { Facts, Time } from "../../ui/basics";
import { Bars, Lines, type Series, Stacks } from "../../ui/chart";
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
      {counts.value === undefined ? null : <Charts hours={barsOf(counts.value)} />}
    </>
  );
}

const KINDS = ["good", "wait", "warn", "bad", "none"] as const;

const BY_ANSWER: readonly Series<Hour>[] = ANSWERS.map((label, index) => ({
  label,
  kind: KINDS[index] ?? "none",
  of: ({ answers }) => answers[index],
}));

const TIMES: readonly Series<Hour>[] = [
  { label: "p50", kind: "wait", of: ({ p50 }) => p50 },
  { label: "p95", kind: "warn", of: ({ p95 }) => p95 },
];

function Charts({ hours }: { hours: readonly Hour[] }) {
  return (
    <>
      <div class="charts">
        <Bars bars={hours} title="Deliveries of the last 24 hours" />
        <Stacks points={hours} series={BY_ANSWER} title="Attempts by answer" />
        <Lines points={hours} series={TIMES} title="Time until the answer" />
      </div>
      <Numbers hours={hours} />
    </>
  );
}

/** The numbers of the charts in a table. */
function Numbers({ hours }: { hours: readonly Hour[] }) {
  const all = hours.filter(({ succeeded, failed, answers }) => [succeeded, failed, ...answers].some((n) => n > 0));
  if (all.length === 0) return null;
  const time = (ms: number | undefined): string => (ms === undefined ? "" : span(ms));
  return (
    <details>
      <summary>The last 24 hours in numbers</summary>
      <div class="scroll">
        <table class="rows">
          <thead>
            <tr>
              <th scope="col">From</th>
              {["Succeeded", "Failed", ...ANSWERS, "p50", "p95"].map((title) => (
                <th key={title} scope="col" class="number">
                  {title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {all.map(({ at, succeeded, failed, answers, p50, p95 }) => (
              <tr key={at}>
                <th scope="row">{short(at)}</th>
                {[succeeded, failed, ...answers].map((n, index) => (
                  <td key={index} class="number">
                    {n.toLocaleString()}
                  </td>
                ))}
                <td class="number">{time(p50)}</td>
                <td class="number">{time(p95)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
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
