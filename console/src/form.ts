// The form of a destination: its fields, their errors, and the request to the API.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { sentence, trouble, wrongFields } from "./api/trouble";
import { policyOf } from "./destination";
import type { Destination, DestinationSchema } from "./gen/leadline/v1/registry_pb";
import { duration, lasting } from "./time";

/** The values of the inputs. They are texts, as the inputs of a page hold them. */
export interface Fields {
  name: string;
  url: string;
  /** "", "interface:ID" or "client:ID". */
  scope: string;
  eventTypes: string;
  method: string;
  /** A body preset, or "template". */
  body: string;
  template: string;
  contentType: string;
  condition: string;
  policy: string;
  timeout: string;
  concurrency: string;
  rate: string;
  ordered: boolean;
  tokenId: string;
  /** "", "bearer", "basic" or "header"; "keep" leaves the stored credentials unchanged. */
  auth: string;
  authName: string;
  authSecret: string;
}

export const METHODS = ["POST", "PUT", "PATCH", "GET", "DELETE"];
export const BODIES = ["payload", "envelope", "slack", "form", "multipart"];
export const POLICIES: Record<string, string> = {
  standard: "up to seven retries within an hour",
  patient: "up to seven retries within 28 hours",
  manual: "no automatic retries",
};

export function fieldsOf(destination: Destination | undefined): Fields {
  const { body, interfaceId = "", clientId = "", auth } = destination ?? ({ body: undefined } as Partial<Destination>);
  const timeout = lasting(destination?.timeout);
  const text = (value: number | undefined): string => (value === undefined || value === 0 ? "" : String(value));
  return {
    name: destination?.name ?? "",
    url: destination?.url ?? "",
    scope: interfaceId !== "" ? `interface:${interfaceId}` : clientId !== "" ? `client:${clientId}` : "",
    eventTypes: destination?.eventTypes.join(", ") ?? "",
    method: destination?.method || "POST",
    body: body?.case === "bodyTemplate" ? "template" : body?.value || "payload",
    template: body?.case === "bodyTemplate" ? body.value : "",
    contentType: destination?.contentType ?? "",
    condition: destination?.condition ?? "",
    policy: destination === undefined ? "standard" : policyOf(destination),
    timeout: timeout === undefined ? "" : String(timeout / 1_000),
    concurrency: text(destination?.concurrency),
    rate: text(destination?.rate),
    ordered: destination?.ordered ?? false,
    tokenId: destination?.tokenId ?? "",
    auth: auth === undefined || auth.shownKind === "" ? "" : "keep",
    authName: "",
    authSecret: "",
  };
}

export type Wrong = Partial<Record<keyof Fields, string>>;

const MAX_URL_BYTES = 2_000;
const MAX_TEMPLATE_BYTES = 64 * 1024;
const MAX_CONDITION_BYTES = 8 * 1024;

/** The errors that can be found without the server. */
export function wrongWith(fields: Fields): Wrong {
  const wrong: Wrong = {
    name: fields.name.trim() === "" ? "Enter a name." : "",
    url: wrongUrl(fields.url.trim()),
    eventTypes: wrongTypes(fields.eventTypes),
    template: fields.body === "template" ? wrongSize(fields.template, MAX_TEMPLATE_BYTES) : "",
    condition: wrongCondition(fields.condition.trim()),
    timeout: wrongNumber(fields.timeout, 0.1, 60, "seconds"),
    concurrency: wrongNumber(fields.concurrency, 1, 1_000, ""),
    rate: wrongNumber(fields.rate, 1, 10_000, ""),
    authName: ["basic", "header"].includes(fields.auth) && fields.authName.trim() === "" ? "Enter it." : "",
    authSecret: ["bearer", "basic", "header"].includes(fields.auth) && fields.authSecret === "" ? "Enter it." : "",
  };
  return Object.fromEntries(Object.entries(wrong).filter(([, text]) => text !== ""));
}

const bytes = (text: string): number => new TextEncoder().encode(text).length;

function wrongUrl(url: string): string {
  if (url === "") return "Enter the URL that leads are sent to.";
  if ("https://".startsWith(url) || "http://".startsWith(url)) return "Enter the rest of the URL.";
  if (!/^https?:\/\//i.test(url)) return "The URL has to begin with https:// (or http:// if the operator allows it).";
  if (!/^https?:\/\/[^/?#\s]+/i.test(url)) return "The URL has no host.";
  if (/\s/.test(url.replace(/\{\{.*?\}\}/g, ""))) return "The URL contains a space.";
  return bytes(url) > MAX_URL_BYTES ? "The URL has more than 2,000 bytes." : "";
}

function wrongTypes(text: string): string {
  const bad = types(text).find((type) => type !== "*" && !/^[a-z0-9_-]+(\.[a-z0-9_-]+)*(\.\*)?$/.test(type));
  return bad === undefined
    ? ""
    : `“${bad}” is not an event type. Use lower-case words joined by dots, such as lead.created, or email.*.`;
}

function wrongSize(text: string, max: number): string {
  if (text.trim() === "") return "Enter the template.";
  return bytes(text) > max ? `It has more than ${max / 1024} KiB.` : "";
}

function wrongCondition(text: string): string {
  if (text === "") return "";
  if (bytes(text) > MAX_CONDITION_BYTES) return "It has more than 8 KiB.";
  try {
    const parsed: unknown = JSON.parse(text);
    const isObject = typeof parsed === "object" && parsed !== null && !Array.isArray(parsed);
    return isObject ? "" : 'Enter a JSON object, such as {"payload.country": "DE"}.';
  } catch (error) {
    return `It is not JSON: ${error instanceof Error ? error.message : ""}`;
  }
}

function wrongNumber(text: string, min: number, max: number, unit: string): string {
  if (text.trim() === "") return "";
  const value = Number(text);
  const isGood = Number.isFinite(value) && value >= min && value <= max && (min < 1 || Number.isInteger(value));
  return isGood
    ? ""
    : `Enter a number from ${min.toLocaleString()} to ${max.toLocaleString()}${unit === "" ? "" : ` ${unit}`}.`;
}

const types = (text: string): string[] => text.split(/[\s,]+/).filter((type) => type !== "");

export type Settings = MessageInitShape<typeof DestinationSchema>;

/** The settings for the API, and an update mask of the fields that differ from `before`. */
export function toApi(fields: Fields, before: Fields): { settings: Settings; mask: string[] } {
  const [level = "", ...rest] = fields.scope.split(":");
  const id = rest.join(":");
  const isTemplate = fields.body === "template";
  const settings: Settings = {
    name: fields.name.trim(),
    url: fields.url.trim(),
    interfaceId: level === "interface" ? id : "",
    clientId: level === "client" ? id : "",
    eventTypes: types(fields.eventTypes),
    method: fields.method,
    body: isTemplate ? { case: "bodyTemplate", value: fields.template } : { case: "bodyPreset", value: fields.body },
    contentType: fields.contentType.trim(),
    condition: fields.condition.trim(),
    ...(fields.policy === "custom"
      ? {}
      : { retryPolicy: { policy: { case: "preset" as const, value: fields.policy } } }),
    ...(fields.timeout.trim() === "" ? {} : { timeout: duration(Number(fields.timeout) * 1_000) }),
    concurrency: Number(fields.concurrency || 0),
    rate: Number(fields.rate || 0),
    ordered: fields.ordered,
    tokenId: fields.tokenId,
    ...(fields.auth === "" || fields.auth === "keep" ? {} : { auth: auth(fields) }),
  };
  const mask = (Object.keys(MASKS) as (keyof Fields)[])
    .filter((name) => fields[name] !== before[name])
    .flatMap((name) => MASKS[name] ?? []);
  return { settings, mask: [...new Set(mask)] };
}

/** The names of the fields in an update mask. */
const MASKS: Partial<Record<keyof Fields, string[]>> = {
  name: ["name"],
  url: ["url"],
  scope: ["interface_id", "client_id"],
  eventTypes: ["event_types"],
  method: ["method"],
  body: ["body"],
  template: ["body"],
  contentType: ["content_type"],
  condition: ["condition"],
  policy: ["retry_policy"],
  timeout: ["timeout"],
  concurrency: ["concurrency"],
  rate: ["rate"],
  ordered: ["ordered"],
  tokenId: ["token_id"],
  auth: ["auth"],
  authName: ["auth"],
  authSecret: ["auth"],
};

function auth({ auth: kind, authName, authSecret }: Fields): Settings["auth"] {
  if (kind === "bearer") return { kind: { case: "bearerToken", value: authSecret } };
  if (kind === "basic") return { kind: { case: "basic", value: { username: authName.trim(), password: authSecret } } };
  return { kind: { case: "header", value: { name: authName.trim(), value: authSecret } } };
}

const SERVER_NAMES: Record<string, keyof Fields> = {
  name: "name",
  url: "url",
  interface_id: "scope",
  client_id: "scope",
  event_types: "eventTypes",
  method: "method",
  body: "body",
  body_preset: "body",
  body_template: "template",
  content_type: "contentType",
  condition: "condition",
  retry_policy: "policy",
  timeout: "timeout",
  concurrency: "concurrency",
  rate: "rate",
  token_id: "tokenId",
  auth: "authSecret",
};

/** What the server found wrong. `wrong` is shown beside the inputs, and `text` has what concerns none of them. */
export interface Refused {
  readonly wrong: Wrong;
  readonly text: string;
}

export function refusedFields(error: unknown): Refused {
  const wrong: Record<string, string> = {};
  const rest: string[] = [];
  const found = wrongFields(error);
  for (const { field, problem } of found) {
    const name = inputOf(field, problem);
    if (name === undefined) rest.push(`${field}: ${problem}`);
    else wrong[name] = [wrong[name] ?? [], sentence(problem)].flat().join(" ");
  }
  const text = found.length === 0 ? trouble(error).text : rest.join("; ");
  return { wrong, text: text === "" ? "" : sentence(text) };
}

function inputOf(field: string, problem: string): keyof Fields | undefined {
  const [name = ""] = field.replace(/^destination\./, "").split(/[.[]/);
  // The templates of URL and body are one field of the API.
  if (name === "template") return /^url/i.test(problem) ? "url" : "template";
  return SERVER_NAMES[name];
}
