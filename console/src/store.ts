// A value outside of components. Components that follow it are drawn again when it changes.
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

  /** Calls the follower after each change. Returns a function that ends this. */
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
    // The value may have changed after the first drawing and before this effect.
    if (store.get() !== drawn) draw((n) => n + 1);
    return end;
  }, [store]);
  return drawn;
}
