// The frame around every screen: navigation, banners, the palette and the help.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useAccounts, usePlatform } from "./account";
import { loggedIn, logOut } from "./api/session";
import { Banners } from "./banners";
import { useKeys } from "./keys";
import { Help } from "./help";
import { Palette } from "./palette";
import { go, to, usePlace } from "./router";
import { inAccount, navigation, type ScreenEntry, SCREENS } from "./screens";
import { paint } from "./look";
import { useStore } from "./store";
import { Button } from "./ui/basics";
import { Toast } from "./ui/toast";

export function Shell({ children }: { children: ComponentChildren }) {
  const [open, setOpen] = useState<"palette" | "help" | undefined>();
  const close = (): void => setOpen(undefined);
  useKeys({
    "?": () => setOpen("help"),
    "Ctrl-k": () => setOpen("palette"),
    ...Object.fromEntries(
      SCREENS.filter(({ keys }) => keys !== "").map(({ keys, path }) => [keys, () => go(to(path))]),
    ),
    j: () => moveRow(1),
    k: () => moveRow(-1),
  });
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => skip(event)}>
        Skip to the content
      </a>
      <header class="top">
        <Brand />
        <Navigation />
        <div class="top-end">
          <Button onClick={() => setOpen("palette")} shortcut="Control+K">
            Go to … <kbd>Ctrl K</kbd>
          </Button>
          <AccountChoice />
          <Who />
        </div>
      </header>
      <Banners />
      {children}
      <Toast />
      {open === "palette" ? <Palette close={close} /> : null}
      {open === "help" ? <Help close={close} /> : null}
    </>
  );
}

/** The brand in the corner. In a portal it is the logo or the name of the account, and the portal's colour is set. */
function Brand() {
  const now = useStore(loggedIn);
  const look = now.state === "in" ? now.session.look : undefined;
  useEffect(() => paint(look?.color), [look?.color]);
  return (
    <a class="brand" href={to([])}>
      {look?.logo === undefined ? (look?.name ?? "Leadline") : <img class="logo" src={look.logo} alt={look.name} />}
    </a>
  );
}

function skip(event: MouseEvent): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

/** Moves the focus to the row below or above. */
function moveRow(by: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>("[data-row]")];
  const now = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[now === -1 ? 0 : Math.min(Math.max(now + by, 0), rows.length - 1)];
  const link = next?.querySelector<HTMLElement>("a.row-link");
  link?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

function Navigation() {
  const { path } = usePlace();
  return (
    <nav aria-label="Screens">
      <ul>
        {navigation().map((screen) => (
          <li key={screen.label}>
            <a href={to(screen.path)} aria-current={isNow(screen, path[0] ?? "") ? "page" : undefined}>
              {screen.label}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function isNow(screen: ScreenEntry, now: string): boolean {
  return (screen.inAccount ? inAccount() : [screen]).some(({ path: [first = ""] }) => first === now);
}

function AccountChoice() {
  return usePlatform() ? <Choice /> : null;
}

function Choice() {
  const accounts = useAccounts();
  const { path, query } = usePlace();
  const now = query.get("account") ?? "";
  const all = accounts.value ?? [];
  if (now === "" || all.length < 2) return null;
  // Only the screen is kept, because things of the old account do not exist in the new one.
  const choose = (account: string): void => go(to(path.slice(0, 1), { account }));
  return (
    <label class="account">
      Account{" "}
      <select value={now} onChange={(event) => choose(event.currentTarget.value)}>
        {all.map(({ accountId, name }) => (
          <option key={accountId} value={accountId}>
            {name || accountId}
          </option>
        ))}
      </select>
    </label>
  );
}

function Who() {
  const now = useStore(loggedIn);
  if (now.state !== "in") return null;
  const { name, id, account, scopes } = now.session.key;
  const { person = "", isPerson } = now.session;
  const of = account === "" ? "platform-wide" : `account ${account}`;
  return (
    <div class="who">
      <span title={`${isPerson ? "" : "API key "}${name || id}, ${of}, may: ${scopes.join(", ")}`}>
        {person || name || id}
      </span>
      <Button onClick={() => void logOut()}>Log out</Button>
    </div>
  );
}
