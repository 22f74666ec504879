// The searchable fields of the account's interfaces, by which leads and deliveries are found.
import { useThings } from "./account";

/** The names of the searchable fields of all interfaces, each once. */
export function useSearchable(): string[] {
  const { interfaces } = useThings();
  const names = interfaces.flatMap(({ searchableFields }) => searchableFields.map(({ name }) => name));
  return [...new Set(names)].sort();
}

/** The name of a field for people: "First name" for "first_name". */
export const label = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
