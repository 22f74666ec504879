// Creates and changes a destination. Errors are shown at once, beside the input.
import { useEffect, useState } from "preact/hooks";
import { useAccount, useFreshThings } from "../../account";
import { registry } from "../../api/clients";
import { useLoad } from "../../api/load";
import { sentence, trouble } from "../../api/trouble";
import { type Fields, fieldsOf, type Refused, refusedFields, toApi, wrongWith, type Wrong } from "../../form";
import type { Destination } from "../../gen/leadline/v1/registry_pb";
import { go, to } from "../../router";
import { Button, Notice } from "../../ui/basics";
import { Shown } from "../../ui/states";
import { say } from "../../ui/toast";
import { warned } from "../../warnings";
import { Advanced, Basics, Body, type Form } from "./fields";

export function NewDestination() {
  return (
    <>
      <h1>New destination</h1>
      <Edit destination={undefined} />
    </>
  );
}

export function EditDestination({ id }: { id: string }) {
  const accountId = useAccount();
  const loaded = useLoad(`edit ${id}`, (signal) =>
    registry.getDestination({ accountId, destinationId: id }, { signal }),
  );
  return (
    <Shown of={loaded} what="the destination">
      {(destination) => (
        <>
          <h1>Edit {destination.name || id}</h1>
          <Edit destination={destination} />
        </>
      )}
    </Shown>
  );
}

function Edit({ destination }: { destination: Destination | undefined }) {
  const [before] = useState(() => fieldsOf(destination));
  const [fields, setFields] = useState(before);
  const [touched, setTouched] = useState<ReadonlySet<keyof Fields>>(new Set());
  const call = useCall(destination, before);
  const { checked, setChecked } = useCheck(fields, before, call);
  const { busy, save } = useSave(destination, fields, call, (refused) =>
    setChecked({ of: fields, ...refused, warnings: [] }),
  );
  const found = wrongWith(fields);
  const shown = Object.entries(found).filter(([name]) => touched.has(name as keyof Fields));
  const ofServer = Object.entries(checked.wrong).filter(([name]) => {
    const field = name as keyof Fields;
    return fields[field] === checked.of[field];
  });
  const form: Form = {
    fields,
    wrong: Object.fromEntries([...ofServer, ...shown]) as Wrong,
    set: (change) => setFields({ ...fields, ...change }),
    touch: (name) => setTouched(new Set(touched).add(name)),
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    setTouched(new Set(Object.keys(fields) as (keyof Fields)[]));
    const first = Object.keys(found)[0];
    if (first === undefined) void save();
    else reveal(first)?.focus();
  };
  const cancel = to(destination === undefined ? ["destinations"] : ["destinations", destination.destinationId]);
  return (
    <form class="edit" noValidate onSubmit={submit}>
      <Basics form={form} />
      <Body form={form} />
      <Advanced form={form} isNew={destination === undefined} />
      <div role="status">
        {checked.warnings.map((text) => (
          <Notice key={text} kind="warn">
            {sentence(text)}
          </Notice>
        ))}
      </div>
      {checked.text !== "" && checked.of === fields ? (
        <p class="wrong" role="alert">
          {checked.text}
        </p>
      ) : null}
      <p class="row">
        <Button type="submit" kind="primary" busy={busy}>
          {destination === undefined ? "Create" : "Save"}
        </Button>
        <a href={cancel}>Cancel</a>
      </p>
    </form>
  );
}

/** Opens the section that an input is in. */
function reveal(name: string): HTMLElement | null {
  const input = document.getElementById(`field-${name}`);
  input?.closest("details")?.setAttribute("open", "");
  return input;
}

interface How {
  /** The server checks the request and stores nothing. */
  readonly validateOnly: boolean;
  readonly signal?: AbortSignal;
}

type Call = (fields: Fields, how: How) => Promise<Destination>;

/** The call that creates or changes the destination. */
function useCall(destination: Destination | undefined, before: Fields): Call {
  const accountId = useAccount();
  // A repeated call creates no second destination.
  const [requestId] = useState(() => crypto.randomUUID());
  return (fields, { validateOnly, signal }) => {
    const { settings, mask: paths } = toApi(fields, before);
    if (destination === undefined) {
      return registry.createDestination(
        { destination: { ...settings, accountId }, requestId, validateOnly },
        { signal },
      );
    }
    const { destinationId } = destination;
    // An empty mask would mean every field.
    if (paths.length === 0) return registry.getDestination({ accountId, destinationId }, { signal });
    return registry.updateDestination(
      { destination: { ...settings, accountId, destinationId }, updateMask: { paths }, validateOnly },
      { signal },
    );
  };
}

interface Checked extends Refused {
  /** The fields that the server checked. */
  readonly of: Fields;
  readonly warnings: readonly string[];
}

/** The pause in typing after which the server checks the fields. It does so if the page itself found no error. */
const CHECK_MS = 400;

function useCheck(fields: Fields, before: Fields, call: Call) {
  const [checked, setChecked] = useState<Checked>({ of: before, wrong: {}, text: "", warnings: [] });
  useEffect(() => {
    // A missing name does not prevent the check, because people may enter it last.
    const isWrong = Object.keys(wrongWith(fields)).some((name) => name !== "name");
    if (fields === before || isWrong) return;
    const abort = new AbortController();
    const check = async (): Promise<void> => {
      try {
        const { warnings } = await call(fields, { validateOnly: true, signal: abort.signal });
        if (!abort.signal.aborted) setChecked({ of: fields, wrong: {}, text: "", warnings });
      } catch (error) {
        // Without an answer the page shows nothing. If the server is still away, saving shows the error.
        if (abort.signal.aborted || trouble(error).kind === "away") return;
        setChecked({ of: fields, ...refusedFields(error), warnings: [] });
      }
    };
    const timer = setTimeout(() => void check(), CHECK_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [fields]);
  useEffect(() => Object.keys(checked.wrong).forEach(reveal), [checked]);
  return { checked, setChecked };
}

function useSave(destination: Destination | undefined, fields: Fields, call: Call, refused: (by: Refused) => void) {
  const things = useFreshThings();
  const [busy, setBusy] = useState(false);
  const save = async (): Promise<void> => {
    setBusy(true);
    try {
      const { destinationId, warnings: texts } = await call(fields, { validateOnly: false });
      things.reload();
      warned.set(texts.length === 0 ? undefined : { destinationId, texts });
      say(destination === undefined ? "The destination is created. Send a test to it." : "Saved.");
      go(to(["destinations", destinationId], destination === undefined ? { do: "test" } : {}));
    } catch (error) {
      const by = refusedFields(error);
      refused(by);
      setBusy(false);
      const first = Object.keys(by.wrong)[0];
      if (first !== undefined) reveal(first)?.focus();
    }
  };
  return { busy, save };
}
