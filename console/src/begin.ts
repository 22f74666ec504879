// The start of the page: logs in by a one-time link or an identity provider, or resumes the session.
import { logIn, loggedIn, NO_ANSWER, resume } from "./api/session";
import { go } from "./router";

const USED = "This link was used before or has expired. Log in again, or restart Leadline for a new link.";
const TOKEN = "#token=";
const REFUSED = "#refused=";

/** Why a log-in at the identity provider was refused, by the reason in the address. The server's log has the cause. */
const REFUSALS: Record<string, string> = {
  provider: "The identity provider does not answer as it should. Try again later, or log in with an API key.",
  denied: "The identity provider did not let you in. Try again there, or ask its administrator.",
  state: "This log-in began in another browser, or more than ten minutes ago. Begin it again.",
  used: "This log-in was finished before. Begin it again.",
  token: "Leadline does not accept the token of the identity provider. Ask the administrator: the log says why.",
  group: "You are known, but none of your groups may use Leadline. Ask the administrator of Leadline.",
  often: "Too many log-ins from your address failed. Wait a minute, and begin again.",
  later: "Leadline cannot check log-ins now. Try again in a moment.",
};
const OTHER = "The log-in was refused. Begin it again.";

/** Logs in with the token in the address of a one-time link, or else resumes the session. */
export async function begin(): Promise<void> {
  const { hash, pathname, search } = location;
  if (hash.startsWith(REFUSED)) {
    go("/console/", { replace: true });
    loggedIn.set({ state: "out", why: REFUSALS[hash.slice(REFUSED.length)] ?? OTHER });
    return;
  }
  if (!hash.startsWith(TOKEN)) return resume();
  const token = decodeURIComponent(hash.slice(TOKEN.length));
  // Removes the token from the history and from the address that people share.
  go(pathname.endsWith("/login") ? "/console/" : pathname + search, { replace: true });
  const refusal = await logIn({ token });
  if (refusal !== "") loggedIn.set({ state: "out", why: refusal === NO_ANSWER ? refusal : USED });
}
