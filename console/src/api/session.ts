// The session. Scripts cannot read its cookie. The page sends the API key once and does not store it.
import { Store } from "../store";

export interface SessionKey {
  readonly id: string;
  readonly name: string;
  /** In lower case: publish, read, operate, admin, … */
  readonly scopes: readonly string[];
  /** Empty if the key is platform-wide. */
  readonly account: string;
  /** Empty if the key is not bound to a client. */
  readonly client: string;
}

export interface Session {
  readonly csrf: string;
  /** The key, with what it permits. For a person without a key: their name, and what they may do. */
  readonly key: SessionKey;
  /** The name that the person entered, if any. */
  readonly person?: string;
  /** Whether the person logged in at an identity provider, without a key. */
  readonly isPerson: boolean;
  /** A URL with {trace_id} in it; empty if traces have no links. */
  readonly traceUrl: string;
  /** The look of a portal; absent outside of portals. */
  readonly look?: Look;
}

export interface Look {
  /** The name of the account. */
  readonly name: string;
  readonly color?: string;
  /** A raster image, as a data URL. */
  readonly logo?: string;
}

export type LoggedIn =
  | { readonly state: "asking" }
  | { readonly state: "out"; readonly why: string }
  | { readonly state: "in"; readonly session: Session };

export const loggedIn = new Store<LoggedIn>({ state: "asking" });

const PATH = "/console/session";
const ENDED =
  "Your session has ended: it expired, or its API key expired or was revoked, or your groups permit nothing any more. Log in again.";
export const NO_ANSWER = "Leadline does not answer. Check that it runs, then try again.";

/** Resumes the session that the cookie names, if there is one. */
export async function resume(): Promise<void> {
  try {
    const answer = await fetch(PATH, { headers: { accept: "application/json" } });
    if (answer.ok) loggedIn.set({ state: "in", session: session((await answer.json()) as Written) });
    else loggedIn.set({ state: "out", why: answer.status === 401 ? "" : await refusal(answer) });
  } catch {
    loggedIn.set({ state: "out", why: NO_ANSWER });
  }
}

/** Logs in with an API key or the token of a one-time link. Returns why this was refused; empty if it succeeded. */
export async function logIn(by: { api_key: string; person?: string } | { token: string }): Promise<string> {
  try {
    const headers = { "content-type": "application/json", accept: "application/json" };
    const answer = await fetch(PATH, { method: "POST", headers, body: JSON.stringify(by) });
    if (!answer.ok) return refusal(answer);
    loggedIn.set({ state: "in", session: session((await answer.json()) as Written) });
    return "";
  } catch {
    return NO_ANSWER;
  }
}

/** The name of the identity provider where people can log in, too; empty if there is none. */
export async function providerName(): Promise<string> {
  try {
    const answer = await fetch("/console/oidc", { headers: { accept: "application/json" } });
    return answer.ok ? (((await answer.json()) as { name?: string | null }).name ?? "") : "";
  } catch {
    return "";
  }
}

export async function logOut(): Promise<void> {
  const now = loggedIn.get();
  const headers: Record<string, string> = now.state === "in" ? { "x-leadline-csrf": now.session.csrf } : {};
  try {
    await fetch(PATH, { method: "DELETE", headers });
  } finally {
    loggedIn.set({ state: "out", why: "You are logged out." });
  }
}

/** Shows the log-in, because the server no longer accepts the session. */
export function ended(): void {
  if (loggedIn.get().state === "in") loggedIn.set({ state: "out", why: ENDED });
}

async function refusal(answer: Response): Promise<string> {
  const text = (await answer.text().catch(() => "")).slice(0, 1_000);
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === "object" && json !== null) {
      const message = (json as Record<string, unknown>).message ?? (json as Record<string, unknown>).error;
      if (typeof message === "string") return message;
    }
  } catch {
    // It is not JSON.
  }
  if (answer.status === 401) return "Leadline does not know this key: it is mistyped, expired or revoked.";
  return text.startsWith("<") || text === "" ? `Leadline answered with status ${answer.status}. Try again.` : text;
}

interface Written extends Omit<Session, "isPerson" | "traceUrl" | "look"> {
  readonly is_person?: boolean;
  readonly trace_url?: string | null;
  readonly look?: { readonly name: string; readonly color?: string | null; readonly logo?: string | null } | null;
}

function session(json: Written): Session {
  const scopes = json.key.scopes.map((scope) => scope.toLowerCase().replace(/^scope_/, ""));
  const { look } = json;
  return {
    csrf: json.csrf,
    person: json.person,
    isPerson: json.is_person ?? false,
    traceUrl: json.trace_url ?? "",
    look: look ? { name: look.name, color: look.color ?? undefined, logo: look.logo ?? undefined } : undefined,
    key: { ...json.key, scopes, account: json.key.account ?? "", client: json.key.client ?? "" },
  };
}
