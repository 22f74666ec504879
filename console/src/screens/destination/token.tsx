// Dialogs that assign a token to a destination, and that give its token a new secret.
import { useAccount } from "../../account";
import { registry } from "../../api/clients";
import { useLoad } from "../../api/load";
import { Dialog } from "../../ui/dialog";
import { Edit, type Values } from "../../ui/edit";
import { Shown } from "../../ui/states";
import { Rotate } from "../account/tokens";
import type { Props } from "./actions";

const MAX_TOKENS = 1_000;

export function AssignToken({ destination, changed, close }: Props) {
  const { accountId, destinationId, name } = destination;
  const tokens = useLoad(`tokens ${accountId}`, (signal) =>
    registry.listTokens({ accountId, pageSize: MAX_TOKENS }, { signal }),
  );
  const title = `Assign a token to ${name || destinationId}`;
  const save = async ({ token: tokenId = "" }: Values): Promise<void> => {
    await registry.assignToken({ accountId, destinationId, tokenId });
    changed();
  };
  if (tokens.value === undefined) {
    return (
      <Dialog title={title} close={close}>
        <Shown of={tokens} what="the tokens">
          {() => null}
        </Shown>
      </Dialog>
    );
  }
  const choices = tokens.value.tokens.map(({ tokenId, name: of }) => [tokenId, of || tokenId] as const);
  return (
    <Edit
      title={title}
      verb="Assign"
      did="Requests are signed with it from now on."
      undone="Not assigned."
      fields={[
        {
          name: "token",
          label: "Token that signs its requests",
          kind: "choice",
          options: [["", "none: the requests are not signed"], ...choices],
        },
      ]}
      before={{ token: destination.tokenId }}
      isNew={false}
      save={save}
      close={close}
    />
  );
}

export function RotateToken({ destination: { tokenId, destinationId }, changed, close }: Props) {
  const accountId = useAccount();
  const token = useLoad(`token ${tokenId}`, (signal) => registry.getToken({ accountId, tokenId }, { signal }));
  if (token.value !== undefined)
    return <Rotate key={destinationId} token={token.value} changed={changed} close={close} />;
  return (
    <Dialog title="Rotate the secret" close={close}>
      <Shown of={token} what="the token">
        {() => null}
      </Shown>
    </Dialog>
  );
}
