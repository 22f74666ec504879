// Calls the API, and keeps the answer for a screen to show.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { recoveries } from "./health";
import { trouble, type Trouble } from "./trouble";

export interface Loaded<T> {
  /** The latest answer; it is kept while the next one is loading. */
  readonly value: T | undefined;
  readonly trouble: Trouble | undefined;
  readonly loading: boolean;
  reload(): void;
}

interface State<T> {
  key: string;
  value: T | undefined;
  trouble: Trouble | undefined;
  loading: boolean;
}

/** Calls again when the key changes, and when Leadline works again after an outage. */
export function useLoad<T>(key: string, load: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const [state, setState] = useState<State<T>>({ key, value: undefined, trouble: undefined, loading: true });
  const [reloads, setReloads] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  const reload = useCallback(() => setReloads((n) => n + 1), []);
  useEffect(() => recoveries.follow(reload), []);
  useEffect(() => {
    const abort = new AbortController();
    setState((now) =>
      now.key === key ? { ...now, loading: true } : { key, value: undefined, trouble: undefined, loading: true },
    );
    latest.current(abort.signal).then(
      (value) => abort.signal.aborted || setState({ key, value, trouble: undefined, loading: false }),
      (error: unknown) =>
        abort.signal.aborted || setState((now) => ({ ...now, key, trouble: trouble(error), loading: false })),
    );
    return () => abort.abort();
  }, [key, reloads]);
  const current = state.key === key ? state : { value: undefined, trouble: undefined, loading: true };
  return { value: current.value, trouble: current.trouble, loading: current.loading, reload };
}
