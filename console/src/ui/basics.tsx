// Small parts that all screens use.
import type { ComponentChildren } from "preact";
import { short, whole } from "../time";
import { answer, NO_ANSWER, statusWord } from "../words";
import type { DeliveryStatus } from "../gen/leadline/v1/delivery_pb";

export function Time({ ms, never = "–" }: { ms: number | undefined; never?: string }) {
  if (ms === undefined) return <span>{never}</span>;
  return (
    <time dateTime={new Date(ms).toISOString()} title={whole(ms)}>
      {short(ms)}
    </time>
  );
}

export function Status({ status }: { status: DeliveryStatus }) {
  const word = statusWord(status);
  return (
    <span class={`status ${word.name}`} title={word.means}>
      {word.label}
    </span>
  );
}

/** The status of an answer, coloured by its meaning. */
export function Answer({ code, errorKind = "" }: { code: number; errorKind?: string }) {
  const is = code === 0 ? "none" : code >= 200 && code < 300 ? "good" : "bad";
  return <span class={`answer ${is} ${code === NO_ANSWER ? "words" : ""}`}>{answer(code, errorKind)}</span>;
}

interface ButtonProps {
  children: ComponentChildren;
  onClick?: () => void;
  kind?: "primary" | "danger" | "plain";
  disabled?: boolean;
  busy?: boolean;
  type?: "button" | "submit";
  title?: string;
  label?: string;
  pressed?: boolean;
  shortcut?: string;
}

export function Button(props: ButtonProps) {
  const { kind = "plain", busy = false, type = "button", disabled = false } = props;
  return (
    <button
      type={type}
      class={`button ${kind}`}
      disabled={disabled || busy}
      aria-busy={busy}
      aria-label={props.label}
      aria-pressed={props.pressed}
      aria-keyshortcuts={props.shortcut}
      title={props.title}
      onClick={props.onClick}
    >
      {props.children}
    </button>
  );
}

/** A list of names and values. */
export function Facts({ of }: { of: readonly (readonly [string, ComponentChildren] | undefined | false)[] }) {
  return (
    <dl class="facts">
      {of.map((pair) =>
        pair ? (
          <div key={pair[0]}>
            <dt>{pair[0]}</dt>
            <dd>{pair[1]}</dd>
          </div>
        ) : null,
      )}
    </dl>
  );
}

export function Notice({
  kind = "info",
  children,
}: {
  kind?: "info" | "warn" | "bad" | "good";
  children: ComponentChildren;
}) {
  return <div class={`notice ${kind}`}>{children}</div>;
}

/** A block of code. It can take the focus, so that it can be scrolled by keyboard. */
export function Code({ text, label }: { text: string; label: string }) {
  return (
    <pre class="code" tabIndex={0} role="region" aria-label={label}>
      {text}
    </pre>
  );
}

/** A filter that is set, in a list of chips. */
export function Chip({ shown, remove }: { shown: string; remove: () => void }) {
  return (
    <li>
      <button type="button" class="chip set" aria-label={`Remove the filter ${shown}`} onClick={remove}>
        {shown} <span aria-hidden="true">✕</span>
      </button>
    </li>
  );
}
