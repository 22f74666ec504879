// Shows the screen that the address names, or the log-in.
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { ChooseAccount, useAccount, WithAccount } from "./account";
import { may } from "./api/access";
import { loggedIn } from "./api/session";
import { DeliveryService } from "./gen/leadline/v1/delivery_pb";
import { ProblemService } from "./gen/leadline/v1/problem_pb";
import { to, usePlace } from "./router";
import { ClientsScreen } from "./screens/account/clients";
import { InterfacesScreen } from "./screens/account/interfaces";
import { OptOutsScreen } from "./screens/account/opt-outs";
import { PeopleScreen } from "./screens/account/people";
import { AccountScreen } from "./screens/account/settings";
import { TokensScreen } from "./screens/account/tokens";
import { AuditScreen } from "./screens/audit";
import { DeliveriesScreen } from "./screens/deliveries";
import { DeliveryScreen } from "./screens/delivery";
import { DestinationScreen } from "./screens/destination";
import { EditDestination, NewDestination } from "./screens/destination/edit";
import { DestinationsScreen } from "./screens/destinations";
import { JobScreen, JobsScreen } from "./screens/jobs";
import { KeysScreen } from "./screens/keys";
import { LeadScreen } from "./screens/lead";
import { LeadsScreen } from "./screens/leads";
import { LogIn } from "./screens/login";
import { ProblemsScreen } from "./screens/problems";
import { StatusScreen } from "./screens/status";
import { Shell } from "./shell";
import { useStore } from "./store";

export function App() {
  const now = useStore(loggedIn);
  if (now.state === "out") return <LogIn why={now.why} />;
  if (now.state === "asking") return <p class="state">Loading …</p>;
  return (
    <WithAccount>
      <Shell>
        <Screen />
      </Shell>
    </WithAccount>
  );
}

function Screen() {
  const { path } = usePlace();
  const account = useAccount();
  const main = useRef<HTMLElement>(null);
  const at = path.join("/");
  const isFirst = useRef(true);
  // When the screen changes, the focus moves to its start, for screen readers and for the keyboard.
  useEffect(() => {
    const heading = main.current?.querySelector("h1")?.textContent ?? "";
    document.title = heading === "" ? "Leadline" : `${heading} · Leadline`;
    if (!isFirst.current) main.current?.focus({ preventScroll: true });
    isFirst.current = false;
  }, [at]);
  return (
    <main id="main" ref={main} tabIndex={-1}>
      {account === "" ? <ChooseAccount /> : <Of path={path} />}
    </main>
  );
}

function Of({ path }: { path: readonly string[] }) {
  const [screen = "", id = "", action = ""] = path;
  const isOne = id !== "";
  switch (screen) {
    case "":
    case "login":
      return <First />;
    case "deliveries":
      return isOne ? <DeliveryScreen key={id} id={id} /> : <DeliveriesScreen />;
    case "leads":
      return isOne ? <LeadScreen key={id} id={id} /> : <LeadsScreen />;
    case "destinations":
      if (id === "new") return <NewDestination />;
      if (action === "edit") return <EditDestination key={id} id={id} />;
      return isOne ? <DestinationScreen key={id} id={id} /> : <DestinationsScreen />;
    case "jobs":
      return isOne ? <JobScreen key={id} id={id} /> : <JobsScreen />;
    case "audit":
      return <AuditScreen />;
    case "keys":
      return <KeysScreen />;
    case "status":
      return <StatusScreen />;
    default: {
      const Shown = OF_ACCOUNT[screen];
      return Shown === undefined ? <Missing /> : <Shown />;
    }
  }
}

const OF_ACCOUNT: Record<string, () => JSX.Element> = {
  account: AccountScreen,
  interfaces: InterfacesScreen,
  clients: ClientsScreen,
  "api-users": PeopleScreen,
  tokens: TokensScreen,
  "opt-outs": OptOutsScreen,
};

/** The first screen: problems, or deliveries for a key that may not see problems, such as the key of a client. */
function First() {
  if (may(ProblemService.method.listProblems)) return <ProblemsScreen />;
  return may(DeliveryService.method.listDeliveries) ? <DeliveriesScreen /> : <NotAllowed />;
}

/** Shown to a key that sees nothing, for example one with only the scope publish. */
function NotAllowed() {
  return (
    <>
      <h1>This key cannot see anything here</h1>
      <p>The console needs a key with the scope read. Log out, and log in with another one.</p>
    </>
  );
}

function Missing() {
  return (
    <>
      <h1>There is no such screen</h1>
      <p>
        The address may be mistyped. <a href={to([])}>Go to the first screen</a>.
      </p>
    </>
  );
}
