// The settings of an account.
import { useAccount } from "../../account";
import { may } from "../../api/access";
import { registry } from "../../api/clients";
import { type Loaded, useLoad } from "../../api/load";
import type { Account } from "../../gen/leadline/v1/account_pb";
import { RegistryService } from "../../gen/leadline/v1/registry_pb";
import { Button, Facts } from "../../ui/basics";
import { base64, bytes, Edit, type Field, imageUrl, linesOf, type Values } from "../../ui/edit";
import { Shown } from "../../ui/states";
import { count } from "../../words";
import { useDialog } from "./belongings";
import { daysOf, durationOf, Unconfirmed } from "./parts";
import { Tabs } from "./tabs";

const ROUTINGS: readonly (readonly [string, string])[] = [
  ["override", "override: those of the highest level (account, client, interface) get it"],
  ["all", "all: every destination that wants it gets it"],
];

const FIELDS: readonly Field[] = [
  { name: "name", label: "Name" },
  { name: "brand", label: "Brand of its mails", hint: "That of the installation if empty" },
  { name: "routing", label: "Which destinations get an event", kind: "choice", options: ROUTINGS },
  {
    name: "notification_emails",
    label: "Addresses for mails about failures",
    kind: "lines",
    hint: "One address in each line, at most 20. Each has to agree first.",
  },
  {
    name: "api_user_emails",
    label: "Addresses for mails about deactivated destinations",
    kind: "lines",
    hint: "Besides API users with the role operator or admin. If there are none: the addresses for failures",
  },
  {
    name: "keep_history",
    label: "Days for which its history is shown",
    kind: "number",
    hint: "1 to 3,650. As long as the installation shows it if empty",
  },
  { name: "portal_color", label: "Colour of its portals", hint: "Such as #1f5fbf. That of the console if empty" },
  {
    name: "portal_logo",
    label: "Logo of its portals",
    kind: "image",
    hint: "PNG, JPEG or WebP, at most 32 KiB",
  },
];

const values = (of: Account): Values => ({
  name: of.name,
  brand: of.brand,
  routing: of.routing || "override",
  notification_emails: of.notificationEmails.join("\n"),
  api_user_emails: of.apiUserEmails.join("\n"),
  keep_history: daysOf(of.keepHistory),
  portal_color: of.portalColor,
  portal_logo: base64(of.portalLogo),
});

export function AccountScreen() {
  const accountId = useAccount();
  const loaded = useLoad(`account ${accountId}`, (signal) => registry.getAccount({ accountId }, { signal }));
  return (
    <>
      <Tabs />
      <Shown of={loaded} what="the account">
        {(account) => <Known of={account} loaded={loaded} />}
      </Shown>
    </>
  );
}

function Known({ of, loaded }: { of: Account; loaded: Loaded<Account> }) {
  const { what, open, close } = useDialog();
  const { updateAccount, confirmEmail } = RegistryService.method;
  return (
    <>
      <div class="title">
        <h1>Account {of.name || of.accountId}</h1>
      </div>
      <div class="actions">
        {may(updateAccount) ? <Button onClick={() => open("edit")}>Edit …</Button> : null}
        {may(confirmEmail) && of.unconfirmedEmails.length > 0 ? (
          <Button onClick={() => open("confirm")}>Enter a confirmation code …</Button>
        ) : null}
      </div>
      <Facts
        of={[
          ["Id", <code>{of.accountId}</code>],
          ["Name", of.name],
          ["Brand of its mails", of.brand || "that of the installation"],
          ["Which destinations get an event", of.routing || "override"],
          ["Mailed about failures", <Unconfirmed emails={of.notificationEmails} unconfirmed={of.unconfirmedEmails} />],
          ["Mailed about deactivations", <Unconfirmed emails={of.apiUserEmails} unconfirmed={of.unconfirmedEmails} />],
          [
            "History",
            of.keepHistory === undefined
              ? "as long as the installation shows it"
              : count(Number(daysOf(of.keepHistory)), "day"),
          ],
          ["Colour of its portals", of.portalColor || "that of the console"],
          ["Logo of its portals", of.portalLogo.length === 0 ? "none" : <Logo of={of} />],
        ]}
      />
      {what === "edit" && may(updateAccount) ? <EditAccount of={of} saved={loaded.reload} close={close} /> : null}
      {what === "confirm" && may(confirmEmail) ? <Confirm of={of} confirmed={loaded.reload} close={close} /> : null}
    </>
  );
}

function Logo({ of }: { of: Account }) {
  return <img class="logo" src={imageUrl(base64(of.portalLogo))} alt={`Logo of ${of.name || of.accountId}`} />;
}

function EditAccount({ of, saved, close }: { of: Account; saved: () => void; close: () => void }) {
  const { accountId } = of;
  const save = async (given: Values, paths: readonly string[]): Promise<void> => {
    if (paths.length === 0) return;
    const account = {
      accountId,
      name: given.name ?? "",
      brand: given.brand ?? "",
      routing: given.routing ?? "",
      notificationEmails: linesOf(given.notification_emails),
      apiUserEmails: linesOf(given.api_user_emails),
      keepHistory: durationOf(given.keep_history),
      portalColor: given.portal_color ?? "",
      portalLogo: bytes(given.portal_logo ?? ""),
    };
    await registry.updateAccount({ account, updateMask: { paths: [...paths] } });
    saved();
  };
  return (
    <Edit
      title={`Edit ${of.name || accountId}`}
      verb="Save"
      did="Saved."
      undone="Not saved."
      fields={FIELDS}
      before={values(of)}
      isNew={false}
      save={save}
      close={close}
    />
  );
}

function Confirm({ of: { accountId }, confirmed, close }: { of: Account; confirmed: () => void; close: () => void }) {
  const save = async ({ code = "" }: Values): Promise<void> => {
    await registry.confirmEmail({ accountId, code: code.trim() });
    confirmed();
  };
  return (
    <Edit
      title="Enter a confirmation code"
      verb="Confirm"
      did="The address gets mails from now on."
      undone="Not confirmed."
      fields={[{ name: "code", label: "Code from the mail", required: true }]}
      before={{ code: "" }}
      isNew={false}
      save={save}
      close={close}
    />
  );
}
