// Creating and changing a destination. Errors are shown at once, beside the field.
import { useState } from "preact/hooks";
import { useAccount, useFreshThings } from "../../account";
import { registry } from "../../api/clients";
import { useLoad } from "../../api/load";
import { sentence, trouble } from "../../api/trouble";
import { type Fields, fieldsOf, refusedField, toApi, wrongWith, type Wrong } from "../../form";
import type { Destination } from "../../gen/leadline/v1/registry_pb";
import { go, to } from "../../router";
import { Button } from "../../ui/basics";
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
  const [ofServer, setOfServer] = useState<{ field?: keyof Fields; text: string }>({ text: "" });
  const { busy, save } = useSave(destination, fields, before, setOfServer);
  const found = wrongWith(fields);
  const shown = Object.fromEntries(
    Object.entries(found).filter(([name]) => touched.has(name as keyof Fields)),
  ) as Wrong;
  const wrong: Wrong = ofServer.field === undefined ? shown : { [ofServer.field]: ofServer.text, ...shown };
  const form: Form = {
    fields,
    wrong,
    set: (change) => {
      setFields({ ...fields, ...change });
      setOfServer({ text: "" });
    },
    touch: (name) => setTouched(new Set(touched).add(name)),
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    setTouched(new Set(Object.keys(fields) as (keyof Fields)[]));
    const first = Object.keys(found)[0];
    if (first === undefined) void save();
    else document.getElementById(`field-${first}`)?.focus();
  };
  const cancel = to(destination === undefined ? ["destinations"] : ["destinations", destination.destinationId]);
  return (
    <form class="edit" noValidate onSubmit={submit}>
      <Basics form={form} />
      <Body form={form} />
      <Advanced form={form} isNew={destination === undefined} />
      {ofServer.text !== "" && ofServer.field === undefined ? (
        <p class="wrong" role="alert">
          {ofServer.text}
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

function useSave(
  destination: Destination | undefined,
  fields: Fields,
  before: Fields,
  refused: (by: { field?: keyof Fields; text: string }) => void,
) {
  const accountId = useAccount();
  const things = useFreshThings();
  const [busy, setBusy] = useState(false);
  // A repeated call creates no second destination.
  const [requestId] = useState(() => crypto.randomUUID());
  const save = async (): Promise<void> => {
    setBusy(true);
    const { settings, mask } = toApi(fields, before);
    try {
      const saved =
        destination === undefined
          ? await registry.createDestination({ destination: { ...settings, accountId }, requestId })
          : await update(destination, settings, mask);
      things.reload();
      const { destinationId, warnings: texts } = saved;
      warned.set(texts.length === 0 ? undefined : { destinationId, texts });
      say(destination === undefined ? "The destination is created. Send a test to it." : "Saved.");
      go(
        to(
          ["destinations", saved.destinationId],
          destination === undefined && texts.length === 0 ? { do: "test" } : {},
        ),
      );
    } catch (error) {
      const { field, text } = refusedField(trouble(error).text);
      refused({ field, text: sentence(text) });
      setBusy(false);
    }
  };
  return { busy, save };
}

function update({ accountId, destinationId }: Destination, settings: object, paths: string[]) {
  if (paths.length === 0) return registry.getDestination({ accountId, destinationId });
  return registry.updateDestination({ destination: { ...settings, accountId, destinationId }, updateMask: { paths } });
}
