// What the key permits. The rules come from the protos, so the console offers nothing that the key may not do.
import { getOption, type DescMethod } from "@bufbuild/protobuf";
import { for_clients as forClients, requires, Rule } from "../gen/leadline/v1/access_pb";
import { loggedIn, type SessionKey } from "./session";

const INCLUDED: Record<string, readonly string[]> = {
  operate: ["read"],
  admin: ["publish", "read", "operate"],
};

const PLATFORM: ReadonlySet<Rule> = new Set([Rule.PLATFORM_ADMIN, Rule.PLATFORM_READ, Rule.PLATFORM_OPERATE]);

/** Whether the key of the session may call this method. */
export function may(method: DescMethod): boolean {
  const now = loggedIn.get();
  return now.state === "in" && allowed(now.session.key, getOption(method, requires), getOption(method, forClients));
}

/** `isForClients`: a key that is bound to a client may call the method. */
export function allowed(key: SessionKey, rule: Rule, isForClients = false): boolean {
  if (key.client !== "" && !isForClients) return false;
  if (rule === Rule.ANY_KEY) return true;
  if (PLATFORM.has(rule) && key.account !== "") return false;
  const scope = Rule[rule].replace(/^PLATFORM_/, "").toLowerCase();
  return key.scopes.some((has) => has === scope || (INCLUDED[has] ?? []).includes(scope));
}
