// The account that the screens show: the account of the key, or, for a platform-wide key, the one in the address.
import { createContext, type ComponentChildren } from "preact";
import { useContext, useEffect } from "preact/hooks";
import { may } from "./api/access";
import { registry } from "./api/clients";
import { type Loaded, useLoad } from "./api/load";
import { loggedIn } from "./api/session";
import type { Account, Client, Interface } from "./gen/leadline/v1/account_pb";
import { type Destination, RegistryService } from "./gen/leadline/v1/registry_pb";
import { change, to, usePlace } from "./router";
import { useStore } from "./store";
import { Nothing, Shown } from "./ui/states";

/** Destinations, interfaces and clients of the account. Screens show their names and offer them in choices. */
export interface Things {
  readonly account: string;
  readonly destinations: readonly Destination[];
  readonly interfaces: readonly Interface[];
  readonly clients: readonly Client[];
  nameOf(destinationId: string): string;
  reload(): void;
}

const NOTHING: Things = {
  account: "",
  destinations: [],
  interfaces: [],
  clients: [],
  nameOf: (id) => id,
  reload: () => {},
};
const Context = createContext<Things>(NOTHING);

export const useThings = (): Things => useContext(Context);
/** Like `useThings`, and reads them again when the component appears, because others change the configuration, too. */
export function useFreshThings(): Things {
  const things = useThings();
  useEffect(() => things.reload(), [things.account]);
  return things;
}

export const useAccount = (): string => useContext(Context).account;

/** Whether the key may see several accounts. */
export function usePlatform(): boolean {
  const now = useStore(loggedIn);
  return now.state === "in" && now.session.key.account === "";
}

export function WithAccount({ children }: { children: ComponentChildren }) {
  const now = useStore(loggedIn);
  const { query } = usePlace();
  const own = now.state === "in" ? now.session.key.account : "";
  const account = own === "" ? (query.get("account") ?? "") : own;
  if (account === "") return <>{children}</>;
  return (
    <Known key={account} account={account}>
      {children}
    </Known>
  );
}

function Known({ account, children }: { account: string; children: ComponentChildren }) {
  const loaded = useLoad(`things ${account}`, async (signal) => {
    const request = { accountId: account };
    const { listDestinations, listInterfaces, listClients } = RegistryService.method;
    const [destinations, interfaces, clients] = await Promise.all([
      may(listDestinations) ? registry.listDestinations(request, { signal }) : NOTHING,
      may(listInterfaces) ? registry.listInterfaces(request, { signal }) : NOTHING,
      may(listClients) ? registry.listClients(request, { signal }) : NOTHING,
    ]);
    return {
      destinations: destinations.destinations,
      interfaces: interfaces.interfaces,
      clients: clients.clients,
    };
  });
  const has = loaded.value ?? NOTHING;
  const nameOf = (id: string): string => has.destinations.find((one) => one.destinationId === id)?.name || id;
  const things = { account, ...has, nameOf, reload: loaded.reload };
  return <Context.Provider value={things}>{children}</Context.Provider>;
}

export function useAccounts(): Loaded<Account[]> {
  return useLoad("accounts", async (signal) => (await registry.listAccounts({}, { signal })).accounts);
}

/** Offers the accounts to a person with a platform-wide key. If there is only one, it is chosen. */
export function ChooseAccount() {
  const accounts = useAccounts();
  const only = accounts.value?.length === 1 ? accounts.value[0]?.accountId : undefined;
  useEffect(() => {
    if (only !== undefined) change({ account: only }, { replace: true });
  }, [only]);
  const place = usePlace();
  return (
    <>
      <h1>Choose an account</h1>
      <Shown of={accounts} what="accounts">
        {(all) =>
          all.length === 0 ? (
            <Nothing
              text="There is no account yet. This command creates the first:"
              command="leadline accounts create acme"
            />
          ) : (
            <ul class="choices">
              {all.map(({ accountId, name }) => (
                <li key={accountId}>
                  <a href={to(place.path, { ...Object.fromEntries(place.query), account: accountId })}>
                    {name || accountId}
                  </a>{" "}
                  {name === "" || name === accountId ? null : <span class="dim">{accountId}</span>}
                </li>
              ))}
            </ul>
          )
        }
      </Shown>
    </>
  );
}
