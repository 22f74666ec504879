// What is shown in place of a list that is loading or empty, or whose call failed.
import type { ComponentChildren } from "preact";
import type { Loaded } from "../api/load";
import { sentence, type Trouble } from "../api/trouble";
import { health } from "../api/health";
import { useStore } from "../store";
import { Button, Code } from "./basics";

export function Loading({ what }: { what: string }) {
  return (
    <p class="state" role="status">
      Loading {what} …
    </p>
  );
}

/** Shown if a list is empty. The command creates the first entry. */
export function Nothing({ text, command }: { text: string; command?: string }) {
  return (
    <div class="state">
      <p>{text}</p>
      {command === undefined ? null : <Code text={command} label="Command that creates the first" />}
    </div>
  );
}

export function NothingMatches({ what, clear }: { what: string; clear: () => void }) {
  return (
    <div class="state">
      <p>No {what} matches these filters.</p>
      <Button onClick={clear}>Clear filters</Button>
    </div>
  );
}

export function Failed({ trouble, reload }: { trouble: Trouble; reload: () => void }) {
  const { troubles } = useStore(health);
  const title = {
    away: "Leadline cannot be reached",
    missing: "It does not exist",
    forbidden: "This key does not permit it",
    refused: "Leadline refused the request",
  };
  return (
    <div class="state" role="alert">
      <h2>{title[trouble.kind]}</h2>
      <p>{sentence(trouble.text)}</p>
      {trouble.kind === "away" && troubles.length > 0 ? (
        <ul>
          {troubles.map(({ part, why }) => (
            <li key={part}>
              <b>{part}</b>: {why}
            </li>
          ))}
        </ul>
      ) : null}
      <Button onClick={reload}>Try again</Button>
    </div>
  );
}

/** Shows the answer of a call, or its state instead. */
export function Shown<T>({
  of,
  what,
  children,
}: {
  of: Loaded<T>;
  what: string;
  children: (value: T) => ComponentChildren;
}) {
  if (of.value !== undefined) {
    return (
      <>
        {of.trouble === undefined ? null : (
          <p class="notice warn">This may be out of date: {sentence(of.trouble.text)}</p>
        )}
        {children(of.value)}
      </>
    );
  }
  if (of.trouble !== undefined) return <Failed trouble={of.trouble} reload={of.reload} />;
  return <Loading what={what} />;
}
