// A value that components follow.
import { useEffect, useState } from "preact/hooks";

export class Store<T> {
  private readonly followers = new Set<() => void>();

  constructor(private value: T) {}

  get(): T {
    return this.value;
  }

  set(value: T): void {
    if (value === this.value) return;
    this.value = value;
    for (const follower of [...this.followers]) follower();
  }

  /** Returns a function that stops following. */
  follow(follower: () => void): () => void {
    this.followers.add(follower);
    return () => this.followers.delete(follower);
  }
}

export function useStore<T>(store: Store<T>): T {
  const [, draw] = useState(0);
  const drawn = store.get();
  useEffect(() => {
    const end = store.follow(() => draw((n) => n + 1));
    // It may have changed between the first drawing and this.
    if (store.get() !== drawn) draw((n) => n + 1);
    return end;
  }, [store]);
  return drawn;
}
