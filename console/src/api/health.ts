// Whether Leadline works now. The page polls /readyz, more often while something is wrong.
import { Store } from "../store";

export interface Health {
  /** Whether the server answers at all. */
  readonly reachable: boolean;
  /** Each part that is not ready, with the reason; in the order of their names. */
  readonly troubles: readonly { readonly part: string; readonly why: string }[];
}

export const health = new Store<Health>({ reachable: true, troubles: [] });
/** Counts how often everything worked again after an outage. */
export const recoveries = new Store(0);

const WHILE_WELL_MS = 15_000;
const WHILE_ILL_MS = 2_000;
const MAX_WAIT_MS = 5_000;

let timer: ReturnType<typeof setTimeout> | undefined;
let asking = false;

const isWell = (now: Health): boolean => now.reachable && now.troubles.length === 0;

/** Polls at once: when the page starts, and when a call failed. */
export function look(): void {
  clearTimeout(timer);
  timer = setTimeout(() => void ask(), 0);
}

async function ask(): Promise<void> {
  if (asking) return;
  asking = true;
  const before = health.get();
  const now = document.hidden ? before : await readiness();
  asking = false;
  if (JSON.stringify(now) !== JSON.stringify(before)) health.set(now);
  if (isWell(now) && !isWell(before)) recoveries.set(recoveries.get() + 1);
  clearTimeout(timer);
  timer = setTimeout(() => void ask(), isWell(now) ? WHILE_WELL_MS : WHILE_ILL_MS);
}

async function readiness(): Promise<Health> {
  try {
    const answer = await fetch("/readyz", { signal: AbortSignal.timeout(MAX_WAIT_MS) });
    const parts = (await answer.json()) as Record<string, string>;
    const troubles = Object.entries(parts).filter(([, word]) => word !== "ready");
    return {
      reachable: true,
      troubles: troubles.map(([part, word]) => ({ part, why: word.replace(/^degraded: /, "") })),
    };
  } catch {
    return { reachable: false, troubles: [] };
  }
}
