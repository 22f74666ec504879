// The tokens of an account, which sign requests. A new secret is shown once.
import { useState } from "preact/hooks";
import { useAccount, useFreshThings } from "../../account";
import { may } from "../../api/access";
import { registry } from "../../api/clients";
import { RegistryService, type Token } from "../../gen/leadline/v1/registry_pb";
import { usePages } from "../../pages";
import { to } from "../../router";
import { duration, millis } from "../../time";
import { Ask, Stay } from "../../ui/action";
import { Button, Time } from "../../ui/basics";
import { Edit, type Field, type Values } from "../../ui/edit";
import { List } from "../../ui/list";
import { Secret } from "../../ui/secret";
import { Nothing } from "../../ui/states";
import { useDialog } from "./belongings";
import { Tabs } from "./tabs";

const FIRST = "leadline tokens create crm --assign CRM";
const METHODS = RegistryService.method;
const HOUR_MS = 3_600_000;

const nameOf = ({ name, tokenId }: Token): string => name || tokenId;

interface Made {
  readonly title: string;
  /** Empty if the secret was imported. */
  readonly secret: string;
  readonly isPublic: boolean;
}

export function TokensScreen() {
  const accountId = useAccount();
  const pages = usePages<Token>(`tokens ${accountId}`, async (pageToken, signal) => {
    const page = await registry.listTokens({ accountId, pageToken, pageSize: 200 }, { signal });
    return { items: page.tokens, next: page.nextPageToken };
  });
  const { destinations, reload } = useFreshThings();
  const dialog = useDialog();
  const changed = (): void => {
    pages.first.reload();
    reload();
  };
  const isOffered = [METHODS.updateToken, METHODS.rotateToken, METHODS.assignToken, METHODS.deleteToken].some(may);
  return (
    <>
      <Tabs />
      <div class="title">
        <h1>Tokens</h1>
        {may(METHODS.createToken) ? (
          <Button kind="primary" onClick={() => dialog.open("create")}>
            New token …
          </Button>
        ) : null}
      </div>
      <p class="hint">
        A token signs the requests of destinations, so that receivers can tell that they come from Leadline.
      </p>
      <List
        pages={pages}
        what="tokens"
        caption="Tokens"
        id={({ tokenId }) => tokenId}
        nothing={<Nothing text="There is no token yet. This command creates the first:" command={FIRST} />}
        columns={[
          { title: "Token", cell: nameOf },
          { title: "Id", cell: ({ tokenId }) => <code>{tokenId}</code> },
          { title: "Algorithm", cell: ({ algorithm }) => algorithm },
          { title: "Created", cell: ({ createdAt }) => <Time ms={millis(createdAt)} /> },
          {
            title: "Signs for",
            cell: ({ tokenId }) => <Users of={destinations.filter((one) => one.tokenId === tokenId)} />,
          },
          isOffered && { title: "Actions", hidden: true, cell: (token) => <Actions of={token} /> },
        ]}
      />
      <Open tokens={pages.items} changed={changed} />
    </>
  );
}

function Users({ of }: { of: readonly { readonly destinationId: string; readonly name: string }[] }) {
  if (of.length === 0) return <span class="dim">no destination</span>;
  return (
    <>
      {of.map(({ destinationId, name }, index) => (
        <span key={destinationId}>
          {index === 0 ? "" : ", "}
          <a href={to(["destinations", destinationId])}>{name || destinationId}</a>
        </span>
      ))}
    </>
  );
}

const ACTIONS = [
  ["edit", "Rename", METHODS.updateToken],
  ["rotate", "Rotate", METHODS.rotateToken],
  ["assign", "Assign", METHODS.assignToken],
  ["delete", "Delete", METHODS.deleteToken],
] as const;

function Actions({ of }: { of: Token }) {
  const { open } = useDialog();
  return (
    <span class="row">
      {ACTIONS.filter(([, , method]) => may(method)).map(([what, verb]) => (
        <Button
          key={what}
          kind={what === "delete" ? "danger" : "plain"}
          onClick={() => open(what, of.tokenId)}
          label={`${verb} ${nameOf(of)}`}
        >
          {verb} …
        </Button>
      ))}
    </span>
  );
}

interface DialogProps {
  changed: () => void;
  close: () => void;
}

function Open({ tokens, changed }: { tokens: readonly Token[]; changed: () => void }) {
  const { what, id, close } = useDialog();
  const token = tokens.find(({ tokenId }) => tokenId === id);
  if (what === "create" && may(METHODS.createToken)) return <Create changed={changed} close={close} />;
  if (token === undefined || !ACTIONS.some(([name, , method]) => name === what && may(method))) return null;
  const props = { token, changed, close };
  switch (what) {
    case "edit":
      return <Rename {...props} />;
    case "rotate":
      return <Rotate {...props} />;
    case "assign":
      return <Assign {...props} />;
    default:
      return <Delete {...props} />;
  }
}

const IMPORTS: readonly (readonly [string, string])[] = [
  ["", "created by Leadline, and shown once"],
  ["whsec", "one that receivers already have, “whsec_…” (Standard Webhooks)"],
  ["utf8", "one that receivers already have, the text as it is"],
  ["hex", "one that receivers already have, in hexadecimal"],
  ["base64", "one that receivers already have, in base64"],
];

const SECRET: readonly Field[] = [
  { name: "how", label: "Its secret is", kind: "choice", options: IMPORTS },
  {
    name: "imported",
    label: "Secret that receivers have",
    kind: "secret",
    hint: "Only if it is not created by Leadline",
  },
];

type Imported = { secret: { case: "whsec" | "utf8" | "hex" | "base64"; value: string } } | undefined;

function importedOf({ how = "", imported = "" }: Values): Imported {
  return how === "" ? undefined : { secret: { case: how as "whsec", value: imported } };
}

function ShownOnce({ made, close }: { made: Made; close: () => void }) {
  return (
    <Secret
      title={made.title}
      label={made.isPublic ? "The public key" : "The secret"}
      secret={made.secret}
      why={made.isPublic ? "receivers verify signatures with it" : "it is stored encrypted"}
      close={close}
    />
  );
}

function Create({ changed, close }: DialogProps) {
  const accountId = useAccount();
  // A repeated call creates no second token.
  const [requestId] = useState(() => crypto.randomUUID());
  const [made, setMade] = useState<Made | undefined>();
  const save = async (values: Values): Promise<void> => {
    const { name = "", algorithm = "" } = values;
    const { secret } = await registry.createToken({
      accountId,
      name,
      algorithm,
      requestId,
      imported: importedOf(values),
    });
    changed();
    if (secret === "") return;
    setMade({ title: "The new token", secret, isPublic: algorithm === "ed25519" });
    throw new Stay();
  };
  if (made !== undefined) return <ShownOnce made={made} close={close} />;
  return (
    <Edit
      title="New token"
      verb="Create"
      did="The token is created."
      undone="Not created."
      fields={[
        { name: "name", label: "Name", required: true },
        {
          name: "algorithm",
          label: "Algorithm",
          kind: "choice",
          options: [
            ["hmac-sha256", "hmac-sha256: receivers have the same secret"],
            ["ed25519", "ed25519: receivers have a public key"],
          ],
        },
        ...SECRET,
      ]}
      before={{ algorithm: "hmac-sha256", how: "", imported: "", name: "" }}
      isNew
      save={save}
      close={close}
    />
  );
}

function Rename({ token, changed, close }: DialogProps & { token: Token }) {
  const { accountId, tokenId } = token;
  const save = async ({ name = "" }: Values): Promise<void> => {
    await registry.updateToken({ token: { accountId, tokenId, name }, updateMask: { paths: ["name"] } });
    changed();
  };
  return (
    <Edit
      title={`Rename ${nameOf(token)}`}
      verb="Save"
      did="Saved."
      undone="Not saved."
      fields={[{ name: "name", label: "Name", required: true }]}
      before={{ name: token.name }}
      isNew={false}
      save={save}
      close={close}
    />
  );
}

/** Gives a token a new secret, which is shown once. */
export function Rotate({ token, changed, close }: DialogProps & { token: Token }) {
  const { accountId, tokenId, algorithm } = token;
  const [made, setMade] = useState<Made | undefined>();
  const save = async (values: Values): Promise<void> => {
    const overlap = duration(Number(values.overlap) * HOUR_MS);
    const { secret } = await registry.rotateToken({ accountId, tokenId, overlap, imported: importedOf(values) });
    changed();
    if (secret === "") return;
    setMade({ title: `The new secret of ${nameOf(token)}`, secret, isPublic: algorithm === "ed25519" });
    throw new Stay();
  };
  if (made !== undefined) return <ShownOnce made={made} close={close} />;
  return (
    <Edit
      title={`Rotate ${nameOf(token)}`}
      verb="Rotate"
      did="The token has its new secret."
      undone="Not rotated."
      fields={[
        {
          name: "overlap",
          label: "Hours for which the old secret still signs",
          kind: "number",
          required: true,
          hint: "At most 720. Until then each request has a signature of both, so that receivers can change.",
        },
        ...(algorithm === "ed25519" ? [] : SECRET),
      ]}
      before={{ overlap: "24", how: "", imported: "" }}
      isNew={false}
      save={save}
      close={close}
    />
  );
}

function Assign({ token, changed, close }: DialogProps & { token: Token }) {
  const { accountId, tokenId } = token;
  const { destinations } = useFreshThings();
  const choices = destinations
    .filter((one) => one.tokenId !== tokenId)
    .map(
      (one) =>
        [
          one.destinationId,
          `${one.name || one.destinationId}${one.tokenId === "" ? "" : " (has another token)"}`,
        ] as const,
    );
  const save = async ({ destination: destinationId = "" }: Values): Promise<void> => {
    await registry.assignToken({ accountId, destinationId, tokenId });
    changed();
  };
  return (
    <Edit
      title={`Assign ${nameOf(token)}`}
      verb="Assign"
      did="The token signs its requests from now on."
      undone="Not assigned."
      fields={[
        {
          name: "destination",
          label: "Destination whose requests it signs",
          kind: "choice",
          required: true,
          options: [["", "choose one"], ...choices],
        },
      ]}
      before={{ destination: "" }}
      isNew={false}
      save={save}
      close={close}
    />
  );
}

function Delete({ token, changed, close }: DialogProps & { token: Token }) {
  const { accountId, tokenId } = token;
  const act = async (): Promise<void> => {
    await registry.deleteToken({ accountId, tokenId });
    changed();
  };
  return (
    <Ask
      title={`Delete ${nameOf(token)}`}
      verb="Delete"
      danger
      did="The token is deleted."
      undone="Not deleted."
      act={act}
      close={close}
    >
      <p>
        Its secret cannot be restored. A token that still signs for a destination cannot be deleted: assign another one
        first.
      </p>
    </Ask>
  );
}
