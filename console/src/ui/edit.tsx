// A dialog that edits the fields of a thing, and shows the errors of the server.
import { useId, useState } from "preact/hooks";
import { Ask } from "./action";
import { Button } from "./basics";

export interface Field {
  readonly name: string;
  readonly label: string;
  readonly hint?: string;
  /** The kind of the input; "lines" has one value in each line. The default is "text". */
  readonly kind?: "text" | "email" | "lines" | "number" | "choice" | "secret" | "image";
  /** The options of a choice: values with their labels. */
  readonly options?: readonly (readonly [string, string])[];
  readonly required?: boolean;
  /** Whether it can be set only when the thing is created. */
  readonly fixed?: boolean;
}

/** The values of the inputs, by the names of the fields. They are texts, as the inputs of a page hold them. */
export type Values = Readonly<Record<string, string>>;

interface Props {
  title: string;
  verb: string;
  did: string;
  undone: string;
  fields: readonly Field[];
  /** The initial values. */
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
    case "image":
      return <Image common={common} value={value} set={set} />;
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

/** The values of a field with one value in each line. */
export const linesOf = (text: string | undefined): string[] =>
  (text ?? "").split(/[\s,]+/).filter((line) => line !== "");

const MAX_IMAGE = 32 * 1024;

/** The input for an image. Its value is base64. */
function Image({ common, value, set }: { common: object; value: string; set: (value: string) => void }) {
  const [wrong, setWrong] = useState("");
  const chosen = async (file: File | undefined): Promise<void> => {
    if (file === undefined) return;
    if (file.size > MAX_IMAGE) return setWrong("It has more than 32 KiB.");
    setWrong("");
    set(base64(new Uint8Array(await file.arrayBuffer())));
  };
  return (
    <>
      <input
        {...common}
        type="file"
        accept="image/png,image/jpeg,image/webp"
        onChange={(event) => void chosen(event.currentTarget.files?.[0])}
      />
      {wrong === "" ? null : (
        <p class="wrong" role="alert">
          {wrong}
        </p>
      )}
      {value === "" ? null : (
        <p class="row">
          <img class="logo" src={imageUrl(value)} alt="The chosen image" />
          <Button onClick={() => set("")}>Remove it</Button>
        </p>
      )}
    </>
  );
}

export function base64(of: Uint8Array): string {
  return btoa(String.fromCharCode(...of));
}

export function bytes(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** Types of raster images, by the beginning of their base64. */
const TYPES: readonly (readonly [string, string])[] = [
  ["iVBORw0KGgo", "image/png"],
  ["/9j/", "image/jpeg"],
  ["UklGR", "image/webp"],
];

/** A data URL for a raster image. For any other content it has a type that browsers do not show as an image. */
export function imageUrl(of: string): string {
  const type = TYPES.find(([begin]) => of.startsWith(begin))?.[1] ?? "application/octet-stream";
  return `data:${type};base64,${of}`;
}
