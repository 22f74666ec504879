// Charts of numbers over time. Screens with charts also have the numbers in a table, for people who do not see charts.
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { span } from "../time";

/** One number for each point. */
export interface Series<P> {
  readonly label: string;
  /** Its colour, as a class. */
  readonly kind: string;
  of(point: P): number | undefined;
}

interface Props<P> {
  points: readonly P[];
  series: readonly Series<P>[];
  title: string;
  /** For a row of a list: without title and legend. */
  small?: boolean;
}

const [HEIGHT, WIDTH, GAP] = [100, 20, 3];

export interface Bar {
  readonly at: number;
  readonly succeeded: number;
  readonly failed: number;
}

const ENDS: readonly Series<Bar>[] = [
  { label: "succeeded", kind: "good", of: ({ succeeded }) => succeeded },
  { label: "failed", kind: "bad", of: ({ failed }) => failed },
];

/** The numbers of succeeded and failed deliveries. */
export function Bars({ bars, title, small }: { bars: readonly Bar[]; title: string; small?: boolean }) {
  return <Stacks points={bars} series={ENDS} title={title} small={small} />;
}

/** A bar for each point; the first series is at the bottom. */
export function Stacks<P>({ points, series, title, small }: Props<P>) {
  const sum = (point: P): number => series.reduce((total, { of }) => total + (of(point) ?? 0), 0);
  const scale = HEIGHT / Math.max(1, ...points.map(sum));
  const total = (of: Series<P>["of"]): number => points.reduce((all, point) => all + (of(point) ?? 0), 0);
  const legend = series.map(({ label, kind, of }) => ({ kind, text: `${label}: ${total(of).toLocaleString()}` }));
  return (
    <Chart title={title} legend={legend} count={points.length} small={small}>
      {points.map((point, index) => {
        let y = HEIGHT;
        return series.map(({ kind, of }) => {
          const height = (of(point) ?? 0) * scale;
          y -= height;
          return <rect key={kind} class={kind} x={index * WIDTH} y={y} width={WIDTH - GAP} height={height} />;
        });
      })}
    </Chart>
  );
}

/** Durations in milliseconds, one line for each series. A line has a gap where a number is missing. */
export function Lines<P>({ points, series, title }: Props<P>) {
  const highest = series.map(({ of }) => Math.max(-1, ...points.map((point) => of(point) ?? -1)));
  const scale = HEIGHT / Math.max(1, ...highest);
  const most = (ms = -1): string => (ms < 0 ? "none" : `at most ${span(ms)}`);
  const legend = series.map(({ label, kind }, index) => ({ kind, text: `${label}: ${most(highest[index])}` }));
  return (
    <Chart title={title} legend={legend} count={points.length}>
      {series.map(({ kind, of }) => (
        <path key={kind} class={kind} d={line(points.map(of), scale)} />
      ))}
    </Chart>
  );
}

function line(values: readonly (number | undefined)[], scale: number): string {
  const pieces = values.map((value, index) => {
    if (value === undefined) return "";
    const [x, y] = [(index + 0.5) * WIDTH, HEIGHT - value * scale];
    if (values[index - 1] !== undefined) return `L${x} ${y}`;
    // A single number between two gaps is drawn as a short line, as wide as a bar.
    return values[index + 1] === undefined ? `M${index * WIDTH} ${y}h${WIDTH - GAP}` : `M${x} ${y}`;
  });
  return pieces.join("");
}

interface ChartProps {
  title: string;
  legend: readonly { readonly kind: string; readonly text: string }[];
  /** The number of points. */
  count: number;
  small?: boolean | undefined;
  children: ComponentChildren;
}

function Chart({ title, legend, count, small = false, children }: ChartProps) {
  const id = useId();
  const width = count * WIDTH;
  return (
    <figure class={small ? "chart small" : "chart"}>
      {small ? null : (
        <figcaption>
          {title}
          <ul class="legend">
            {legend.map(({ kind, text }) => (
              <li key={kind} class={kind}>
                {text}
              </li>
            ))}
          </ul>
        </figcaption>
      )}
      <svg viewBox={`0 0 ${width} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-labelledby={id}>
        <title id={id}>{`${title}: ${legend.map(({ text }) => text).join(", ")}`}</title>
        {children}
        <line class="ground" x1={0} x2={width} y1={HEIGHT} y2={HEIGHT} />
      </svg>
    </figure>
  );
}
