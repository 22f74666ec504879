// The address holds the state: which screen, which thing, which filters. So links are plain links, and "back" works.
import { Store, useStore } from "./store";

const BASE = "/console";

export interface Place {
  /** The parts of the path behind /console, such as ["deliveries", "0197…"]. */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
  /** The search for leads. It is in the part after "#", which browsers do not send to servers, so no log has it. */
  readonly search: URLSearchParams;
}

function read(): Place {
  const path = location.pathname
    .slice(BASE.length)
    .split("/")
    .filter((part) => part !== "");
  const search = new URLSearchParams(location.hash.slice(1));
  return { path: path.map(decodeURIComponent), query: new URLSearchParams(location.search), search };
}

export const place = new Store<Place>(read());

export function usePlace(): Place {
  return useStore(place);
}

export type Query = Record<string, string | readonly string[] | undefined>;

/** The address of a screen. It includes the account, so that another person who opens it sees the same. */
export function to(path: readonly string[], query: Query = {}): string {
  const all = new URLSearchParams();
  const account = place.get().query.get("account");
  if (account !== null && query.account === undefined) all.set("account", account);
  for (const [name, values] of Object.entries(query)) {
    for (const value of typeof values === "string" ? [values] : (values ?? []))
      if (value !== "") all.append(name, value);
  }
  const text = all.toString();
  return `${BASE}/${path.map(encodeURIComponent).join("/")}${text === "" ? "" : `?${text}`}`;
}

export function go(href: string, how: { replace?: boolean } = {}): void {
  if (how.replace) history.replaceState(null, "", href);
  else history.pushState(null, "", href);
  place.set(read());
}

interface How {
  replace?: boolean;
  /** The new search. */
  search?: Readonly<Record<string, string>>;
}

/** Goes to the same screen with another query; `undefined` removes a name. */
export function change(query: Query, how: How = {}): void {
  const all = new URLSearchParams(location.search);
  for (const [name, values] of Object.entries(query)) {
    all.delete(name);
    for (const value of typeof values === "string" ? [values] : (values ?? []))
      if (value !== "") all.append(name, value);
  }
  const text = all.toString();
  const search = new URLSearchParams(how.search ?? location.hash.slice(1)).toString();
  go(`${location.pathname}${text === "" ? "" : `?${text}`}${search === "" ? "" : `#${search}`}`, how);
}

/** Makes links to the console change the screen without loading a page. */
export function followLinks(): void {
  // This event comes when a person goes back, or edits the part of the address after "#".
  addEventListener("popstate", () => place.set(read()));
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element).closest("a");
    if (link === null || link.target !== "" || link.hasAttribute("download")) return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || !`${url.pathname}/`.startsWith(`${BASE}/`)) return;
    event.preventDefault();
    go(url.pathname + url.search + url.hash);
    scrollTo(0, 0);
  });
}
