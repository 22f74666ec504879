// The result of an action, shown for a few seconds and read by screen readers.
import { Store, useStore } from "../store";

interface Said {
  readonly text: string;
  readonly kind: "good" | "bad";
}

const said = new Store<Said | undefined>(undefined);
const SHOWN_MS = 8_000;
let timer: ReturnType<typeof setTimeout> | undefined;

export function say(text: string, kind: Said["kind"] = "good"): void {
  clearTimeout(timer);
  said.set({ text, kind });
  timer = setTimeout(() => said.set(undefined), SHOWN_MS);
}

export function Toast() {
  const now = useStore(said);
  return (
    <div class="toast" role="status" aria-live="polite">
      {now === undefined ? null : <p class={now.kind}>{now.text}</p>}
    </div>
  );
}
