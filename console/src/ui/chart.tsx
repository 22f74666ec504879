// Bars of succeeded and failed deliveries over time. A table has the same numbers, for people who do not see the bars.
import { useId } from "preact/hooks";
import { short } from "../time";

export interface Bar {
  readonly at: number;
  readonly succeeded: number;
  readonly failed: number;
}

const [HEIGHT, WIDTH, GAP] = [100, 20, 3];

/** `small` is for a row of a list: without the table. */
export function Bars({ bars, title, small = false }: { bars: readonly Bar[]; title: string; small?: boolean }) {
  const id = useId();
  const highest = Math.max(1, ...bars.map(({ succeeded, failed }) => succeeded + failed));
  const [succeeded, failed] = [total(bars, "succeeded"), total(bars, "failed")];
  return (
    <figure class={small ? "bars small" : "bars"}>
      <svg viewBox={`0 0 ${bars.length * WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-labelledby={id}>
        <title id={id}>{`${title}: ${succeeded.toLocaleString()} succeeded, ${failed.toLocaleString()} failed`}</title>
        {bars.map((bar, index) => (
          <One key={bar.at} bar={bar} x={index * WIDTH} scale={HEIGHT / highest} />
        ))}
        <line class="ground" x1={0} x2={bars.length * WIDTH} y1={HEIGHT} y2={HEIGHT} />
      </svg>
      {small ? null : <Numbers bars={bars} title={title} />}
    </figure>
  );
}

const total = (bars: readonly Bar[], of: "succeeded" | "failed"): number => bars.reduce((sum, bar) => sum + bar[of], 0);

function One({ bar, x, scale }: { bar: Bar; x: number; scale: number }) {
  const [good, bad] = [bar.succeeded * scale, bar.failed * scale];
  return (
    <>
      <rect class="good" x={x} y={HEIGHT - good} width={WIDTH - GAP} height={good} />
      <rect class="bad" x={x} y={HEIGHT - good - bad} width={WIDTH - GAP} height={bad} />
    </>
  );
}

function Numbers({ bars, title }: { bars: readonly Bar[]; title: string }) {
  const shown = bars.filter(({ succeeded, failed }) => succeeded + failed > 0);
  return (
    <details>
      <summary>{title}, in numbers</summary>
      <table class="rows">
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col">Succeeded</th>
            <th scope="col">Failed</th>
          </tr>
        </thead>
        <tbody>
          {shown.map(({ at, succeeded, failed }) => (
            <tr key={at}>
              <th scope="row">{short(at)}</th>
              <td>{succeeded.toLocaleString()}</td>
              <td>{failed.toLocaleString()}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
