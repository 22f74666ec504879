// Which screen is shown.
import { useEffect, useRef } from "preact/hooks";
import { ChooseAccount, useAccount, WithAccount } from "./account";
import { loggedIn } from "./api/session";
import { to, usePlace } from "./router";
import { DeliveriesScreen } from "./screens/deliveries";
import { DeliveryScreen } from "./screens/delivery";
import { LogIn } from "./screens/login";
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
  // A new screen begins at its heading, for those who listen and for those who type.
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
  const [screen = "", id = ""] = path;
  switch (screen) {
    case "":
    case "deliveries":
      return id === "" ? <DeliveriesScreen /> : <DeliveryScreen key={id} id={id} />;
    default:
      return <Missing />;
  }
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
