// The API keys of an account.
import { useState } from "preact/hooks";
import { useAccount, useFreshThings } from "../account";
import { may } from "../api/access";
import { access } from "../api/clients";
import { AccessService, type Key, Scope } from "../gen/leadline/v1/access_pb";
import { usePages } from "../pages";
import { change, usePlace } from "../router";
import { millis, stamp } from "../time";
import { Ask, Stay } from "../ui/action";
import { Button, Time } from "../ui/basics";
import { List } from "../ui/list";
import { Secret } from "../ui/secret";
import { Nothing } from "../ui/states";
import { useDialog } from "./account/belongings";

const MEANINGS: readonly (readonly [Scope, string])[] = [
  [Scope.PUBLISH, "publish lead events, and nothing else"],
  [Scope.READ, "see leads, deliveries and the configuration"],
  [Scope.OPERATE, "retry, hold and release deliveries; includes read"],
  [Scope.ADMIN, "change the configuration and create keys; includes publish, read and operate"],
  [Scope.PAYLOAD, "see the payloads of leads; each view is in the audit log"],
  [Scope.FORM, "submit HTML forms, and nothing else; the key is public, and has no other scope"],
];

const nameOf = (scope: Scope): string => Scope[scope].toLowerCase();

export function KeysScreen() {
  const accountId = useAccount();
  const { query } = usePlace();
  const includeEnded = query.has("ended");
  const pages = usePages<Key>(`keys ${accountId} ${includeEnded}`, async (pageToken, signal) => {
    const page = await access.listKeys({ accountId, includeEnded, pageToken }, { signal });
    return { items: page.keys, next: page.nextPageToken };
  });
  const { what, id, open, close } = useDialog();
  const revoking = what === "revoke" ? pages.items.find(({ keyId }) => keyId === id) : undefined;
  return (
    <>
      <div class="title">
        <h1>API keys</h1>
        {may(AccessService.method.createKey) ? (
          <Button kind="primary" onClick={() => open("create")}>
            New key …
          </Button>
        ) : null}
      </div>
      <label>
        <input
          type="checkbox"
          checked={includeEnded}
          onChange={() => change({ ended: includeEnded ? undefined : "yes" })}
        />{" "}
        Show keys that are revoked or expired
      </label>
      <List
        pages={pages}
        what="keys"
        caption="API keys, the newest first"
        id={({ keyId }) => keyId}
        nothing={
          <Nothing
            text="The account has no key yet. Use “New key”, or this command:"
            command={`leadline keys create 'web forms' --account ${accountId} --scope publish`}
          />
        }
        columns={[
          { title: "Name", cell: ({ name }) => name },
          { title: "Key", cell: ({ keyId }) => <code>{keyId}</code> },
          { title: "Client", cell: ({ clientId }) => clientId },
          { title: "May", cell: ({ scopes }) => scopes.map(nameOf).join(", ") },
          { title: "Created", cell: ({ createdAt }) => <Time ms={millis(createdAt)} /> },
          { title: "By", cell: ({ createdBy }) => createdBy },
          { title: "Expires", cell: ({ expiresAt }) => <Time ms={millis(expiresAt)} never="never" /> },
          { title: "State", cell: (key) => <KeyState of={key} revoke={() => open("revoke", key.keyId)} /> },
        ]}
      />
      {what === "create" && may(AccessService.method.createKey) ? (
        <Create close={close} created={pages.first.reload} />
      ) : null}
      {revoking === undefined || hasEnded(revoking) || !may(AccessService.method.revokeKey) ? null : (
        <Revoke of={revoking} revoked={pages.first.reload} close={close} />
      )}
    </>
  );
}

const hasExpired = ({ expiresAt }: Key): boolean => (millis(expiresAt) ?? Infinity) < Date.now();
const hasEnded = (key: Key): boolean => key.revokedAt !== undefined || hasExpired(key);

function KeyState({ of, revoke }: { of: Key; revoke: () => void }) {
  if (of.revokedAt !== undefined)
    return (
      <>
        revoked, <Time ms={millis(of.revokedAt)} />
      </>
    );
  if (hasExpired(of)) return <>expired</>;
  return may(AccessService.method.revokeKey) ? (
    <Button onClick={revoke} label={`Revoke the key ${of.name}`}>
      Revoke …
    </Button>
  ) : (
    <>valid</>
  );
}

function Revoke({ of, revoked, close }: { of: Key; revoked: () => void; close: () => void }) {
  const act = async (): Promise<void> => {
    await access.revokeKey({ keyId: of.keyId });
    revoked();
  };
  return (
    <Ask
      title={`Revoke the key ${of.name}`}
      verb="Revoke"
      danger
      did="The key is revoked."
      undone="Not revoked."
      act={act}
      close={close}
    >
      <p>
        From now on calls with this key are refused, and sessions of this console with this key end.{" "}
        <b>This cannot be undone.</b>
      </p>
    </Ask>
  );
}

function Create({ close, created }: { close: () => void; created: () => void }) {
  const accountId = useAccount();
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<ReadonlySet<Scope>>(new Set([Scope.READ]));
  const [expires, setExpires] = useState("");
  const [clientId, setClientId] = useState("");
  const [secret, setSecret] = useState("");
  const { clients } = useFreshThings();
  const act = async (): Promise<void> => {
    const expiresAt = expires === "" ? undefined : stamp(Date.parse(expires));
    const made = await access.createKey({ accountId, name, scopes: [...scopes], expiresAt, clientId });
    created();
    setSecret(made.secret);
    throw new Stay();
  };
  if (secret !== "") {
    return (
      <Secret title="The new key" label="The new key" secret={secret} why="only its hash is stored" close={close} />
    );
  }
  const toggle = (scope: Scope): void => {
    const next = new Set(scope === Scope.FORM ? [] : scopes);
    if (scope !== Scope.FORM) next.delete(Scope.FORM);
    if (scopes.has(scope)) next.delete(scope);
    else next.add(scope);
    setScopes(next);
  };
  return (
    <Ask title="New API key" verb="Create" did="" undone="Not created." act={act} close={close}>
      <label>
        Name <input required maxLength={200} value={name} onInput={(event) => setName(event.currentTarget.value)} />
      </label>
      <fieldset>
        <legend>Scopes</legend>
        {MEANINGS.map(([scope, meaning]) => (
          <label key={scope}>
            <input type="checkbox" checked={scopes.has(scope)} onChange={() => toggle(scope)} /> <b>{nameOf(scope)}</b>:{" "}
            {meaning}
          </label>
        ))}
      </fieldset>
      {clients.length === 0 ? null : (
        <label>
          For{" "}
          <select value={clientId} onChange={(event) => setClientId(event.currentTarget.value)}>
            <option value="">the whole account</option>
            {clients.map(({ clientId: id, name: of }) => (
              <option key={id} value={id}>
                the client {of || id}
              </option>
            ))}
          </select>
        </label>
      )}
      <label>
        Expires (empty: never){" "}
        <input type="datetime-local" value={expires} onInput={(event) => setExpires(event.currentTarget.value)} />
      </label>
    </Ask>
  );
}
