// The filters of a list, as chips. The address has them, so a list can be shared, and "back" undoes the latest filter.
import { useRef, useState } from "preact/hooks";
import { useFreshThings, useThings } from "../../account";
import { ALL_FIELDS, type Field, FIELDS, type Filter, isAnswer, isEmpty, shownValue, toQuery } from "../../filters";
import { change } from "../../router";
import { label, useSearchable } from "../../search";
import { Button, Chip } from "../../ui/basics";
import { REASONS, STATUSES } from "../../words";

export function FilterBar({ filter }: { filter: Filter }) {
  const apply = (next: Filter): void => change(toQuery(next), { search: next.where });
  const set = (field: Field, value: string | undefined): void => {
    const { [field]: _, ...others } = filter.fields;
    apply({ ...filter, fields: value === undefined ? others : { ...others, [field]: value } });
  };
  const search = (name: string, value: string | undefined): void => {
    const { [name]: _, ...others } = filter.where;
    apply({ ...filter, where: value === undefined ? others : { ...others, [name]: value } });
  };
  return (
    <section class="filters" aria-label="Filters">
      <Statuses filter={filter} apply={apply} />
      <Chips
        filter={filter}
        remove={(field) => set(field, undefined)}
        removeSearch={(name) => search(name, undefined)}
        clear={() => apply({ statuses: [], fields: {}, where: {} })}
      />
      <Add add={set} search={search} />
    </section>
  );
}

function Statuses({ filter, apply }: { filter: Filter; apply: (next: Filter) => void }) {
  return (
    <div class="chips" role="group" aria-label="Status">
      {[...STATUSES.values()].map(({ name, label, means }) => {
        const isOn = filter.statuses.includes(name);
        const statuses = isOn ? filter.statuses.filter((one) => one !== name) : [...filter.statuses, name];
        return (
          <button
            key={name}
            type="button"
            class={`chip ${name}`}
            aria-pressed={isOn}
            title={`${label}: ${means}`}
            onClick={() => apply({ ...filter, statuses })}
          >
            {label}
          </button>
        );
      })}
    </div>
  );
}

interface ChipsProps {
  filter: Filter;
  remove: (field: Field) => void;
  removeSearch: (name: string) => void;
  clear: () => void;
}

function Chips({ filter, remove, removeSearch, clear }: ChipsProps) {
  const { nameOf } = useThings();
  if (isEmpty(filter)) return null;
  return (
    <ul class="chips" aria-label="Filters that are set">
      {ALL_FIELDS.map((field) => {
        const value = filter.fields[field];
        if (value === undefined) return null;
        const shown = `${FIELDS[field]}: ${shownValue(field, value, nameOf)}`;
        return <Chip key={field} shown={shown} remove={() => remove(field)} />;
      })}
      {Object.entries(filter.where).map(([name, value]) => (
        <Chip key={`where ${name}`} shown={`${label(name)}: ${value}`} remove={() => removeSearch(name)} />
      ))}
      <li>
        <Button onClick={clear}>Clear filters</Button>
      </li>
    </ul>
  );
}

interface AddProps {
  add: (field: Field, value: string) => void;
  search: (name: string, value: string) => void;
}

/** The prefix of searchable fields among the choices. */
const WHERE = "where.";

/** The inputs for a field and its value. A value such as "lead:ada" names its field itself. */
function Add({ add, search }: AddProps) {
  const [choice, setChoice] = useState<string>("lead");
  const [wrong, setWrong] = useState("");
  const input = useRef<HTMLInputElement>(null);
  const searchable = useSearchable();
  const searched = choice.startsWith(WHERE) ? choice.slice(WHERE.length) : undefined;
  const field: Field = searched === undefined ? (choice as Field) : "lead";
  const choices = useChoices(searched === undefined ? field : undefined);
  const submit = (event: Event): void => {
    event.preventDefault();
    const written = input.current?.value.trim() ?? "";
    if (searched !== undefined) {
      setWrong(written === "" ? "Enter a value first." : "");
      if (written === "" || input.current === null) return;
      search(searched, written);
      input.current.value = "";
      return;
    }
    const [name, value] = named(field, written);
    const problem = value === "" ? "Enter a value first." : mistake(name, value);
    setWrong(problem);
    if (problem !== "" || input.current === null) return;
    // Times in the address are in UTC, so that they mean the same in every time zone.
    add(name, name === "from" || name === "before" ? new Date(value).toISOString() : chosen(choices, value));
    input.current.value = "";
  };
  const isTime = searched === undefined && (field === "from" || field === "before");
  return (
    <form class="add-filter" onSubmit={submit}>
      <label class="hidden" for="filter-field">
        Filter by
      </label>
      <select id="filter-field" value={choice} onChange={(event) => setChoice(event.currentTarget.value)}>
        {ALL_FIELDS.map((one) => (
          <option key={one} value={one}>
            {FIELDS[one]}
          </option>
        ))}
        {searchable.map((name) => (
          <option key={name} value={WHERE + name}>
            {label(name)} of the lead
          </option>
        ))}
      </select>
      <label class="hidden" for="filter-value">
        {searched === undefined ? FIELDS[field] : label(searched)}
      </label>
      <input
        id="filter-value"
        ref={input}
        type={isTime ? "datetime-local" : "text"}
        list="filter-choices"
        autoComplete="off"
        placeholder={searched === undefined ? HINTS[field] : "the whole value"}
        aria-invalid={wrong !== ""}
        aria-describedby={wrong === "" ? undefined : "filter-wrong"}
        aria-keyshortcuts="/"
      />
      <datalist id="filter-choices">
        {choices.map(({ value, label }) => (
          <option key={value} value={label} />
        ))}
      </datalist>
      <Button type="submit">Add filter</Button>
      {wrong === "" ? null : (
        <span id="filter-wrong" class="wrong" role="alert">
          {wrong}
        </span>
      )}
    </form>
  );
}

const HINTS: Record<Field, string> = {
  destination: "name or id",
  interface: "id",
  client: "id",
  type: "lead.created or email.*",
  lead: "id of the lead",
  event: "id of the event",
  answer: "503, 5xx, or none",
  reason: "exhausted, skipped, …",
  from: "",
  before: "",
};

/** The answers that are offered; any status can be entered. */
const ANSWERS = ["2xx", "3xx", "4xx", "5xx", "none"];

function named(field: Field, text: string): [Field, string] {
  const [name = "", ...rest] = text.split(":");
  const isName = rest.length > 0 && (ALL_FIELDS as readonly string[]).includes(name.toLowerCase());
  return isName ? [name.toLowerCase() as Field, rest.join(":").trim()] : [field, text];
}

function mistake(field: Field, value: string): string {
  if (field === "answer" && !isAnswer(value)) return "Enter a status such as 503, a class such as 5xx, or none.";
  if ((field === "from" || field === "before") && Number.isNaN(Date.parse(value))) return "Enter a date and a time.";
  if (field === "reason" && !(value in REASONS)) return `Enter one of: ${Object.keys(REASONS).join(", ")}.`;
  return "";
}

interface Choice {
  readonly value: string;
  readonly label: string;
}

function useChoices(field: Field | undefined): Choice[] {
  const { destinations, interfaces, clients } = useFreshThings();
  const plain = (value: string): Choice => ({ value, label: value });
  switch (field) {
    case "destination":
      return destinations.map(({ destinationId: value, name }) => ({ value, label: name || value }));
    case "interface":
      return interfaces.map(({ interfaceId }) => plain(interfaceId));
    case "client":
      return clients.map(({ clientId }) => plain(clientId));
    case "answer":
      return ANSWERS.map(plain);
    case "reason":
      return Object.keys(REASONS).map(plain);
    default:
      return [];
  }
}

/** The value of the choice with this label, or else the text: people enter a name, and the filter needs an id. */
function chosen(choices: readonly Choice[], text: string): string {
  return choices.find(({ label, value }) => label === text || value === text)?.value ?? text;
}
