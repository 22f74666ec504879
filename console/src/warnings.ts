// What the server warned of when a destination was saved: shown on its screen until somebody has read it.
import { Store } from "./store";

export interface Warned {
  readonly destinationId: string;
  readonly texts: readonly string[];
}

export const warned = new Store<Warned | undefined>(undefined);
