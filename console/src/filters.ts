// The filter of the list of deliveries. It is in the address, is sent to the API, and is applied to changes of a watch.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Delivery, DeliveryFilterSchema } from "./gen/leadline/v1/delivery_pb";
import type { Query } from "./router";
import { millis, short, stamp } from "./time";
import { NO_ANSWER, REASONS, statusOf, statusWord } from "./words";

/** The fields that have one value each, in the order of their chips. */
export const FIELDS = {
  destination: "Destination",
  interface: "Interface",
  client: "Client",
  type: "Event type",
  lead: "Lead",
  event: "Event",
  answer: "Last answer",
  reason: "Reason",
  from: "From",
  before: "Before",
} as const;

export type Field = keyof typeof FIELDS;

export const ALL_FIELDS = Object.keys(FIELDS) as Field[];

export interface Filter {
  readonly statuses: readonly string[];
  readonly fields: Readonly<Partial<Record<Field, string>>>;
  /** The searched values, by the names of searchable fields. */
  readonly where: Where;
}

export type Where = Readonly<Record<string, string>>;

export function fromQuery(query: URLSearchParams, search = new URLSearchParams()): Filter {
  const statuses = query.getAll("status").filter((name) => statusOf(name) !== undefined);
  const fields = ALL_FIELDS.flatMap((field) => {
    const value = query.get(field);
    return value === null || value === "" ? [] : [[field, value] as const];
  });
  return { statuses, fields: Object.fromEntries(fields), where: whereOf(search) };
}

const SEARCHABLE = /^[a-z][a-z0-9_]{0,31}$/;

export function whereOf(search: URLSearchParams): Where {
  return Object.fromEntries([...search].filter(([name, value]) => SEARCHABLE.test(name) && value !== ""));
}

/** The filter as the query of an address. `undefined` removes a name from the address. */
export function toQuery(filter: Filter): Query {
  const fields = ALL_FIELDS.map((field) => [field, filter.fields[field]] as const);
  return { status: filter.statuses, ...Object.fromEntries(fields) };
}

export const isEmpty = (filter: Filter): boolean =>
  filter.statuses.length === 0 && Object.keys(filter.fields).length === 0 && !isSearch(filter);

export const isSearch = (filter: Filter): boolean => Object.keys(filter.where).length > 0;

export function toApi(filter: Filter, accountId: string): MessageInitShape<typeof DeliveryFilterSchema> {
  const { fields } = filter;
  const at = (text: string | undefined) => {
    const ms = text === undefined ? NaN : Date.parse(text);
    return Number.isNaN(ms) ? undefined : stamp(ms);
  };
  return {
    accountId,
    interfaceId: fields.interface ?? "",
    destinationId: fields.destination ?? "",
    clientId: fields.client ?? "",
    leadId: fields.lead ?? "",
    eventId: fields.event ?? "",
    eventType: fields.type ?? "",
    failureReason: fields.reason ?? "",
    ...answered(fields.answer),
    statuses: filter.statuses.flatMap((name) => statusOf(name) ?? []),
    requestedFrom: at(fields.from),
    requestedBefore: at(fields.before),
    where: { ...filter.where },
  };
}

interface Answered {
  readonly httpStatusCode: number;
  readonly httpStatusClass: number;
}

const ANSWER = /^(?:([1-9][0-9][0-9])|([1-5])xx|none)$/;

/** Whether the text is a status, a class of statuses such as "5xx", or "none". */
export const isAnswer = (text: string): boolean => ANSWER.test(text);

/** The fields of the API for an answer; "none" means no HTTP answer. Any other text does not restrict the list. */
function answered(text = ""): Answered {
  const [found, code = 0, digit = 0] = ANSWER.exec(text) ?? [];
  return { httpStatusCode: found === "none" ? NO_ANSWER : Number(code), httpStatusClass: Number(digit) };
}

/** Whether the delivery matches in its current state. If the filter has a search, only leads in `found` match. */
export function matches(filter: Filter, delivery: Delivery, found?: ReadonlySet<string>): boolean {
  const { fields } = filter;
  const requested = millis(delivery.requestedAt) ?? 0;
  const { httpStatusCode: code, httpStatusClass } = answered(fields.answer);
  return (
    (!isSearch(filter) || (found?.has(delivery.leadId) ?? false)) &&
    (filter.statuses.length === 0 || filter.statuses.includes(statusWord(delivery.status).name)) &&
    isOf(fields.interface, delivery.interfaceId) &&
    isOf(fields.destination, delivery.destinationId) &&
    isOf(fields.client, delivery.clientId) &&
    isOf(fields.lead, delivery.leadId) &&
    isOf(fields.event, delivery.eventId) &&
    isOf(fields.reason, delivery.failureReason) &&
    (fields.type === undefined || isOfType(fields.type, delivery.eventType)) &&
    (code === 0 || code === delivery.httpStatusCode) &&
    (httpStatusClass === 0 || httpStatusClass === Math.floor(delivery.httpStatusCode / 100)) &&
    (fields.from === undefined || requested >= Date.parse(fields.from)) &&
    (fields.before === undefined || requested < Date.parse(fields.before))
  );
}

const isOf = (wanted: string | undefined, is: string): boolean => wanted === undefined || wanted === is;

function isOfType(pattern: string, type: string): boolean {
  if (pattern === "*") return true;
  return pattern.endsWith(".*") ? type.startsWith(pattern.slice(0, -1)) : type === pattern;
}

/** The value of a chip, for people. */
export function shownValue(field: Field, value: string, nameOf: (destinationId: string) => string): string {
  if (field === "destination") return nameOf(value);
  if (field === "reason") return REASONS[value] ?? value;
  if (field === "answer" && value === "none") return "no answer";
  if (field === "from" || field === "before") {
    const ms = Date.parse(value);
    return Number.isNaN(ms) ? value : short(ms);
  }
  return value;
}
