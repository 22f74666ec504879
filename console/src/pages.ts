// A list that is read page by page.
import { useEffect, useState } from "preact/hooks";
import { type Loaded, useLoad } from "./api/load";
import { trouble } from "./api/trouble";
import { say } from "./ui/toast";

export interface Page<T> {
  readonly items: readonly T[];
  /** Empty if there are no more. */
  readonly next: string;
}

export interface Pages<T> {
  readonly first: Loaded<unknown>;
  readonly items: readonly T[];
  readonly hasMore: boolean;
  more(): Promise<void>;
}

export function usePages<T>(key: string, load: (token: string, signal?: AbortSignal) => Promise<Page<T>>): Pages<T> {
  const first = useLoad(key, (signal) => load("", signal));
  const [later, setLater] = useState<Page<T> | undefined>();
  // A new first page restarts the list.
  useEffect(() => setLater(undefined), [first.value]);
  const next = (later ?? first.value)?.next ?? "";
  const more = async (): Promise<void> => {
    try {
      const page = await load(next);
      setLater((now) => ({ items: [...(now?.items ?? []), ...page.items], next: page.next }));
    } catch (error) {
      say(trouble(error).text, "bad");
    }
  };
  return { first, items: [...(first.value?.items ?? []), ...(later?.items ?? [])], hasMore: next !== "", more };
}
