// How a page begins: with the one-time link that its address is, or with the session that there is.
import { logIn, loggedIn, NO_ANSWER, resume } from "./api/session";
import { go } from "./router";

const USED = "This link was used before or is too old. Log in with an API key, or start Leadline again for a new link.";
const TOKEN = "#token=";

/** Logs in by the one-time link that the address is (/console/login#token=…), else goes on with the session that there is. */
export async function begin(): Promise<void> {
  if (!location.hash.startsWith(TOKEN)) return resume();
  const token = decodeURIComponent(location.hash.slice(TOKEN.length));
  // The token is in no history and in no address that is passed on.
  go("/console/", { replace: true });
  const refusal = await logIn({ token });
  if (refusal !== "") loggedIn.set({ state: "out", why: refusal === NO_ANSWER ? refusal : USED });
}
