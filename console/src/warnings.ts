// Warnings from saving a destination, shown on its screen until they are dismissed.
import { Store } from "./store";

export interface Warned {
  readonly destinationId: string;
  readonly texts: readonly string[];
}

export const warned = new Store<Warned | undefined>(undefined);
