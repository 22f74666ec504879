// Search by values inside payloads: which fields the interfaces of the account have for it.
import { useThings } from "./account";

/** The names of the searchable fields of all interfaces, each once. */
export function useSearchable(): string[] {
  const { interfaces } = useThings();
  const names = interfaces.flatMap(({ searchableFields }) => searchableFields.map(({ name }) => name));
  return [...new Set(names)].sort();
}

/** "first_name" as people read it. */
export const label = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
