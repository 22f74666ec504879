import { useEffect, useRef, useState } from "preact/hooks";
import { logIn, providerName } from "../api/session";
import { go } from "../router";
import { Button, Notice } from "../ui/basics";

export function LogIn({ why }: { why: string }) {
  const [refused, setRefused] = useState("");
  const [busy, setBusy] = useState(false);
  const key = useRef<HTMLInputElement>(null);
  const person = useRef<HTMLInputElement>(null);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    const refusal = await logIn({ api_key: key.current?.value.trim() ?? "", ...named(person.current?.value.trim()) });
    if (refusal === "" && location.pathname.endsWith("/login")) go("/console/", { replace: true });
    setBusy(false);
    setRefused(refusal);
  };
  return (
    <main class="login" id="main">
      <h1>Leadline</h1>
      {why === "" || refused !== "" ? null : (
        <div role="status">
          <Notice>{why}</Notice>
        </div>
      )}
      <Provider />
      <form onSubmit={(event) => void submit(event)}>
        <label for="api-key">API key</label>
        <input
          id="api-key"
          ref={key}
          type="password"
          required
          autoFocus
          autoComplete="off"
          spellcheck={false}
          placeholder="ll_…"
          aria-invalid={refused !== ""}
          aria-describedby={refused === "" ? "api-key-hint" : "api-key-hint api-key-refused"}
        />
        {refused === "" ? null : (
          <p id="api-key-refused" class="wrong" role="alert">
            {refused}
          </p>
        )}
        <p id="api-key-hint" class="hint">
          <code>leadline up</code> keeps the administrator’s key in its data directory, in <code>admin.key</code>. The
          browser does not store the key: it gets a cookie for 12 hours.
        </p>
        <label for="person">Your name (optional)</label>
        <input id="person" ref={person} maxLength={100} autoComplete="name" aria-describedby="person-hint" />
        <p id="person-hint" class="hint">
          Logs show it after the key, so that others see who retried a lead.
        </p>
        <Button type="submit" kind="primary" busy={busy}>
          Log in
        </Button>
      </form>
    </main>
  );
}

/** The button for logging in at the identity provider, if there is one. The person returns to the current address. */
function Provider() {
  const [name, setName] = useState("");
  useEffect(() => {
    let isShown = true;
    void providerName().then((found) => isShown && setName(found));
    return () => void (isShown = false);
  }, []);
  if (name === "") return null;
  const { pathname, search } = location;
  const to = pathname.endsWith("/login") ? "/console/" : pathname + search;
  return (
    <p>
      <a class="button primary" href={`/console/oidc/log-in?to=${encodeURIComponent(to)}`} target="_self">
        Log in with {name}
      </a>
    </p>
  );
}

const named = (person: string | undefined): { person?: string } =>
  person === undefined || person === "" ? {} : { person };
