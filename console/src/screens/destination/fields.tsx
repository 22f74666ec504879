// The fields of the form of a destination.
import type { ComponentChildren } from "preact";
import { useAccount, useThings } from "../../account";
import { registry } from "../../api/clients";
import { useLoad } from "../../api/load";
import { BODIES, type Fields, METHODS, POLICIES, type Wrong } from "../../form";
import { TryCondition } from "./try-condition";

export interface Form {
  readonly fields: Fields;
  readonly wrong: Wrong;
  set(change: Partial<Fields>): void;
  /** From now on errors of the field are shown. */
  touch(name: keyof Fields): void;
}

interface FieldProps {
  form: Form;
  name: keyof Fields;
  label: string;
  hint?: string;
  children: (props: {
    id: string;
    "aria-invalid": boolean;
    "aria-describedby": string | undefined;
    onBlur: () => void;
  }) => ComponentChildren;
}

function Field({ form, name, label, hint, children }: FieldProps) {
  const id = `field-${name}`;
  const wrong = form.wrong[name];
  const described = [hint === undefined ? "" : `${id}-hint`, wrong === undefined ? "" : `${id}-wrong`].filter(
    (one) => one !== "",
  );
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({
        id,
        "aria-invalid": wrong !== undefined,
        "aria-describedby": described.join(" ") || undefined,
        onBlur: () => form.touch(name),
      })}
      {wrong === undefined ? null : (
        <p class="wrong" id={`${id}-wrong`} role="alert">
          {wrong}
        </p>
      )}
      {hint === undefined ? null : (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

type TextName = { [K in keyof Fields]: Fields[K] extends string ? K : never }[keyof Fields];

interface TextProps {
  form: Form;
  name: TextName;
  label: string;
  hint?: string;
  rows?: number;
  type?: "text" | "url" | "password" | "number";
}

function Text({ form, name, label, hint, rows, type = "text" }: TextProps) {
  const write = (event: { currentTarget: { value: string } }): void => {
    form.set({ [name]: event.currentTarget.value });
    // Errors of numbers and URLs are shown at once. Errors of other texts wait until the person leaves the input.
    if (type === "number" || type === "url") form.touch(name);
  };
  return (
    <Field form={form} name={name} label={label} hint={hint}>
      {(props) =>
        rows === undefined ? (
          <input
            {...props}
            type={type as "text"}
            step="any"
            autoComplete="off"
            value={form.fields[name]}
            onInput={write}
          />
        ) : (
          <textarea {...props} class="mono" rows={rows} spellcheck={false} value={form.fields[name]} onInput={write} />
        )
      }
    </Field>
  );
}

interface ChoiceProps {
  form: Form;
  name: TextName;
  label: string;
  hint?: string;
  options: readonly (readonly [string, string])[];
}

function Choice({ form, name, label, hint, options }: ChoiceProps) {
  return (
    <Field form={form} name={name} label={label} hint={hint}>
      {(props) => (
        <select
          {...props}
          value={form.fields[name]}
          onChange={(event) => form.set({ [name]: event.currentTarget.value })}
        >
          {options.map(([value, text]) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

export function Basics({ form }: { form: Form }) {
  const { interfaces, clients } = useThings();
  const scopes: (readonly [string, string])[] = [
    ["", "the whole account"],
    ...clients.map(({ clientId: id, name }) => [`client:${id}`, `the client ${name || id}`] as const),
    ...interfaces.map(({ interfaceId: id, name }) => [`interface:${id}`, `the interface ${name || id}`] as const),
  ];
  return (
    <>
      <Text form={form} name="name" label="Name" />
      <Text
        form={form}
        name="url"
        label="URL"
        type="url"
        hint="Path and query may be a template: https://crm.example/leads/{{ lead.id }}"
      />
      <Choice
        form={form}
        name="scope"
        label="For the leads of"
        options={scopes}
        hint="A destination of a higher level (account, client, interface) overrides those below it for the events that it wants, unless the account sends to all."
      />
      <Text
        form={form}
        name="eventTypes"
        label="Event types"
        hint="Such as lead.created, email.*. Every type if empty"
      />
      <Choice form={form} name="policy" label="Retry policy" options={policies(form.fields.policy)} />
    </>
  );
}

function policies(now: string): (readonly [string, string])[] {
  const all = Object.entries(POLICIES).map(([name, means]) => [name, `${name}: ${means}`] as const);
  return now === "custom" ? [["custom", "custom: unchanged"], ...all] : all;
}

export function Body({ form }: { form: Form }) {
  const bodies = [...BODIES, "template"].map((name) => [name, name] as const);
  return (
    <details>
      <summary>What is sent</summary>
      <Choice form={form} name="method" label="Method" options={METHODS.map((one) => [one, one] as const)} />
      <Choice
        form={form}
        name="body"
        label="Body"
        options={bodies}
        hint="payload: as it was published, byte for byte"
      />
      {form.fields.body === "template" ? (
        <Text
          form={form}
          name="template"
          label="Body template"
          rows={8}
          hint={'In JSON, values bring their own quotes: {"who": {{ payload.name }}}'}
        />
      ) : null}
      <Text form={form} name="contentType" label="Content type" hint="That of the body if empty" />
      <Text
        form={form}
        name="condition"
        label="Condition"
        rows={4}
        hint={
          'The events that it wants, by their payload, as JSON: {"payload.country": {"in": ["DE", "AT"]}}. Every event if empty'
        }
      />
      {form.fields.condition.trim() === "" || form.wrong.condition !== undefined ? null : (
        <TryCondition condition={form.fields.condition} />
      )}
    </details>
  );
}

export function Advanced({ form, isNew }: { form: Form; isNew: boolean }) {
  const accountId = useAccount();
  const tokens = useLoad(`tokens ${accountId}`, (signal) => registry.listTokens({ accountId }, { signal }));
  const choices = (tokens.value?.tokens ?? []).map(({ tokenId, name }) => [tokenId, name || tokenId] as const);
  const { auth } = form.fields;
  const kinds: (readonly [string, string])[] = [
    ["bearer", "a bearer token"],
    ["basic", "user name and password"],
    ["header", "a header"],
  ];
  return (
    <details>
      <summary>Limits, order, signature and credentials</summary>
      <Text
        form={form}
        name="timeout"
        label="Timeout in seconds"
        type="number"
        hint="How long the receiver may take to answer. 15 if empty"
      />
      <Text form={form} name="concurrency" label="Requests at once, at most" type="number" hint="32 if empty" />
      <Text form={form} name="rate" label="Requests a second, at most" type="number" hint="No limit if empty" />
      <label>
        <input
          type="checkbox"
          checked={form.fields.ordered}
          onChange={(event) => form.set({ ordered: event.currentTarget.checked })}
        />{" "}
        Ordered: the events of each lead are sent first in, first out
      </label>
      <Choice form={form} name="tokenId" label="Token that signs the requests" options={[["", "none"], ...choices]} />
      <Choice
        form={form}
        name="auth"
        label="Credentials"
        options={[isNew ? ["", "none"] : ["keep", "as they are"], ...kinds]}
        hint="They are stored encrypted and never shown again."
      />
      {auth === "basic" ? <Text form={form} name="authName" label="User name" /> : null}
      {auth === "header" ? <Text form={form} name="authName" label="Name of the header" /> : null}
      {["bearer", "basic", "header"].includes(auth) ? (
        <Text form={form} name="authSecret" label={auth === "basic" ? "Password" : "Secret"} type="password" />
      ) : null}
    </details>
  );
}
