// The people who declined mails about the account.
import { useAccount } from "../../account";
import { may } from "../../api/access";
import { registry } from "../../api/clients";
import type { OptOut } from "../../gen/leadline/v1/account_pb";
import { RegistryService } from "../../gen/leadline/v1/registry_pb";
import { usePages } from "../../pages";
import { Ask } from "../../ui/action";
import { Button } from "../../ui/basics";
import { List } from "../../ui/list";
import { Nothing } from "../../ui/states";
import { useDialog } from "./belongings";
import { Tabs } from "./tabs";

const KINDS: Record<string, string> = {
  error: "failures",
  deactivation: "deactivated destinations",
  repeated_failures: "destinations that fail many times in a row",
  recovery: "destinations that work again",
  lead: "new leads",
  confirmation: "requests for confirmation",
};

const kindOf = ({ kind }: OptOut): string => KINDS[kind] ?? kind;

export function OptOutsScreen() {
  const accountId = useAccount();
  const pages = usePages<OptOut>(`opt-outs ${accountId}`, async (pageToken, signal) => {
    const page = await registry.listOptOuts({ accountId, pageToken, pageSize: 200 }, { signal });
    return { items: page.optOuts, next: page.nextPageToken };
  });
  const { what, id, open, close } = useDialog();
  const mayDelete = may(RegistryService.method.deleteOptOut);
  const item = pages.items.find(({ optOutId }) => optOutId === id);
  const act = async (): Promise<void> => {
    await registry.deleteOptOut({ accountId, optOutId: id });
    pages.first.reload();
  };
  return (
    <>
      <Tabs />
      <h1>Opt-outs</h1>
      <p class="hint">A person who uses the link in a mail gets no further mail of that kind about this account.</p>
      <List
        pages={pages}
        what="opt-outs"
        caption="Opt-outs"
        id={({ optOutId }) => optOutId}
        nothing={<Nothing text="There are no opt-outs." />}
        columns={[
          { title: "Mail address", cell: ({ email }) => email },
          { title: "Gets no mails about", cell: kindOf },
          mayDelete && {
            title: "Actions",
            hidden: true,
            cell: (one) => (
              <Button
                onClick={() => open("delete", one.optOutId)}
                label={`Mail ${one.email} again about ${kindOf(one)}`}
              >
                Mail them again …
              </Button>
            ),
          },
        ]}
      />
      {what === "delete" && item !== undefined && mayDelete ? (
        <Ask
          title={`Mail ${item.email} again`}
          verb="Mail them again"
          did="The opt-out is deleted."
          undone="Not deleted."
          act={act}
          close={close}
        >
          <p>
            They opted out themselves. Do this only if they ask for it. From the next one on they get mails about{" "}
            {kindOf(item)} again.
          </p>
        </Ask>
      ) : null}
    </>
  );
}
