// A dialog with the few fields of a thing, and what the server says against them.
import { useId, useState } from "preact/hooks";
import { Ask } from "./action";

export interface Field {
  readonly name: string;
  readonly label: string;
  readonly hint?: string;
  /** `lines`: one value in each line. Without a kind it is a line of text. */
  readonly kind?: "text" | "email" | "lines" | "number" | "choice" | "secret";
  /** Of a choice: values with their labels. */
  readonly options?: readonly (readonly [string, string])[];
  readonly required?: boolean;
  /** It can be set only once, when the thing is created. */
  readonly fixed?: boolean;
}

/** Everything is text, as in the fields of a page. */
export type Values = Readonly<Record<string, string>>;

interface Props {
  title: string;
  verb: string;
  did: string;
  undone: string;
  fields: readonly Field[];
  /** What the fields say at first. */
  before: Values;
  /** Whether the thing is created now. */
  isNew: boolean;
  save(values: Values, changed: readonly string[]): Promise<unknown>;
  close: () => void;
}

export function Edit({ fields, before, isNew, save, ...rest }: Props) {
  const [values, setValues] = useState(before);
  const shown = fields.filter(({ fixed = false }) => isNew || !fixed);
  const act = (): Promise<unknown> =>
    save(
      values,
      shown.map(({ name }) => name).filter((name) => values[name] !== before[name]),
    );
  return (
    <Ask {...rest} act={act}>
      {shown.map((field) => (
        <One
          key={field.name}
          field={field}
          value={values[field.name] ?? ""}
          set={(value) => setValues({ ...values, [field.name]: value })}
        />
      ))}
    </Ask>
  );
}

function One({ field, value, set }: { field: Field; value: string; set: (value: string) => void }) {
  const id = useId();
  const { label, hint } = field;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <Input id={id} field={field} value={value} set={set} />
      {hint === undefined ? null : (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

interface InputProps {
  id: string;
  field: Field;
  value: string;
  set: (value: string) => void;
}

function Input({ id, field: { kind = "text", hint, options = [], required = false }, value, set }: InputProps) {
  const common = { id, required, "aria-describedby": hint === undefined ? undefined : `${id}-hint` };
  const write = (event: { currentTarget: { value: string } }): void => set(event.currentTarget.value);
  switch (kind) {
    case "choice":
      return (
        <select {...common} value={value} onChange={write}>
          {options.map(([of, text]) => (
            <option key={of} value={of}>
              {text}
            </option>
          ))}
        </select>
      );
    case "lines":
      return <textarea {...common} rows={3} spellcheck={false} value={value} onInput={write} />;
    default:
      return (
        <input
          {...common}
          type={(kind === "secret" ? "password" : kind) as "text"}
          step="any"
          autoComplete="off"
          spellcheck={false}
          value={value}
          onInput={write}
        />
      );
  }
}

/** The values of a field that has one in each line. */
export const linesOf = (text: string | undefined): string[] =>
  (text ?? "").split(/[\s,]+/).filter((line) => line !== "");
