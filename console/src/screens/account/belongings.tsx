// The screen for one kind of thing that belongs to an account: a list, and the actions that the key permits. The
// address names the open dialog, so "back" closes it.
import type { DescMethod } from "@bufbuild/protobuf";
import type { ComponentChildren } from "preact";
import { useAccount, useThings } from "../../account";
import { may } from "../../api/access";
import { type Page, type Pages, usePages } from "../../pages";
import { change, usePlace } from "../../router";
import { Ask } from "../../ui/action";
import { Button } from "../../ui/basics";
import { Edit, type Field, type Values } from "../../ui/edit";
import { type Column, List } from "../../ui/list";
import { Nothing } from "../../ui/states";
import { Tabs } from "./tabs";

export interface Kind<T> {
  readonly title: string;
  /** The word for one thing and for several, in lower case. */
  readonly one: string;
  readonly many: string;
  /** A sentence that explains them. */
  readonly about: string;
  /** The command that creates the first. */
  readonly first: string;
  readonly columns: readonly Column<T>[];
  readonly fields: readonly Field[];
  readonly methods: { readonly create: DescMethod; readonly update: DescMethod; readonly remove: DescMethod };
  /** The text of the dialog that deletes one. */
  readonly removing: string;
  id(item: T): string;
  name(item: T): string;
  /** The values of the form for one of them; `undefined` for a new one. */
  values(item: T | undefined): Values;
  list(accountId: string, pageToken: string, signal?: AbortSignal): Promise<Page<T>>;
  create(accountId: string, values: Values): Promise<unknown>;
  /** `changed` has the names of the changed fields. */
  update(item: T, values: Values, changed: readonly string[]): Promise<unknown>;
  remove(item: T): Promise<unknown>;
}

/** The dialog that the address names, and the id of the thing that it is about. */
export function useDialog() {
  const { query } = usePlace();
  return {
    what: query.get("do") ?? "",
    id: query.get("id") ?? "",
    open: (what: string, id?: string): void => change({ do: what, id }),
    close: (): void => change({ do: undefined, id: undefined }, { replace: true }),
  };
}

export function Belongings<T>({
  kind,
  children,
}: {
  kind: Kind<T>;
  children?: (pages: Pages<T>) => ComponentChildren;
}) {
  const accountId = useAccount();
  const pages = usePages<T>(`${kind.many} ${accountId}`, (token, signal) => kind.list(accountId, token, signal));
  const dialog = useDialog();
  const { create, update, remove } = kind.methods;
  const actions = may(update) || may(remove);
  return (
    <>
      <Tabs />
      <div class="title">
        <h1>{kind.title}</h1>
        {may(create) ? (
          <Button kind="primary" onClick={() => dialog.open("create")}>
            New {kind.one} …
          </Button>
        ) : null}
      </div>
      <p class="hint">{kind.about}</p>
      <List
        pages={pages}
        what={kind.many}
        caption={kind.title}
        id={kind.id}
        nothing={<Nothing text={`There is no ${kind.one} yet. This command creates the first:`} command={kind.first} />}
        columns={[
          ...kind.columns,
          actions && { title: "Actions", hidden: true, cell: (item: T) => <Actions of={item} kind={kind} /> },
        ]}
      />
      <Open kind={kind} pages={pages} />
      {children?.(pages)}
    </>
  );
}

function Actions<T>({ of, kind }: { of: T; kind: Kind<T> }) {
  const dialog = useDialog();
  const [id, name] = [kind.id(of), kind.name(of)];
  return (
    <span class="row">
      {may(kind.methods.update) ? (
        <Button onClick={() => dialog.open("edit", id)} label={`Edit ${name}`}>
          Edit …
        </Button>
      ) : null}
      {may(kind.methods.remove) ? (
        <Button kind="danger" onClick={() => dialog.open("delete", id)} label={`Delete ${name}`}>
          Delete …
        </Button>
      ) : null}
    </span>
  );
}

function Open<T>({ kind, pages }: { kind: Kind<T>; pages: Pages<T> }) {
  const accountId = useAccount();
  const things = useThings();
  const { what, id, close } = useDialog();
  const done = (): void => {
    pages.first.reload();
    things.reload();
  };
  const item = pages.items.find((one) => kind.id(one) === id);
  if (what === "create" && may(kind.methods.create)) {
    const save = async (values: Values): Promise<void> => {
      await kind.create(accountId, values);
      done();
    };
    return (
      <Edit
        title={`New ${kind.one}`}
        verb="Create"
        did={`The ${kind.one} is created.`}
        undone="Not created."
        fields={kind.fields}
        before={kind.values(undefined)}
        isNew
        save={save}
        close={close}
      />
    );
  }
  if (item === undefined) return null;
  if (what === "edit" && may(kind.methods.update)) {
    const save = async (values: Values, changed: readonly string[]): Promise<void> => {
      // An empty mask would mean every field.
      if (changed.length > 0) await kind.update(item, values, changed);
      done();
    };
    return (
      <Edit
        key={id}
        title={`Edit ${kind.name(item)}`}
        verb="Save"
        did="Saved."
        undone="Not saved."
        fields={kind.fields}
        before={kind.values(item)}
        isNew={false}
        save={save}
        close={close}
      />
    );
  }
  if (what !== "delete" || !may(kind.methods.remove)) return null;
  const act = async (): Promise<void> => {
    await kind.remove(item);
    done();
  };
  return (
    <Ask
      title={`Delete ${kind.name(item)}`}
      verb="Delete"
      danger
      did={`The ${kind.one} is deleted.`}
      undone="Not deleted."
      act={act}
      close={close}
    >
      <p>{kind.removing}</p>
    </Ask>
  );
}
