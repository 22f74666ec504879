// A list with its states, its rows, and the button for its next page.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { LiveTable } from "../live/list";
import type { Row } from "../live/table";
import type { Pages } from "../pages";
import { Button } from "./basics";
import { Failed, Loading } from "./states";

export interface Column<T> {
  readonly title: string;
  /** The title is for screen readers only. */
  readonly hidden?: boolean;
  readonly number?: boolean;
  cell(item: T): ComponentChildren;
}

interface Props<T> {
  pages: Pages<T>;
  /** The word for the rows, in the plural. */
  what: string;
  caption: string;
  columns: readonly (Column<T> | false)[];
  id(item: T): string;
  /** The ids of rows that no longer belong to the list and keep their place. */
  stays?: ReadonlySet<string>;
  /** What is shown if there are no rows. */
  nothing: ComponentChildren;
}

export function List<T>({ pages, what, nothing, ...rows }: Props<T>) {
  const { first, items } = pages;
  if (items.length === 0) {
    if (first.value === undefined && first.trouble === undefined) return <Loading what={what} />;
    if (first.trouble !== undefined) return <Failed trouble={first.trouble} reload={first.reload} />;
    return <>{nothing}</>;
  }
  return (
    <>
      <Rows items={items} {...rows} />
      {pages.hasMore ? <More pages={pages} /> : null}
    </>
  );
}

type RowsProps<T> = Pick<Props<T>, "caption" | "columns" | "id" | "stays"> & { items: readonly T[] };

export function Rows<T>({ items, caption, columns, id, stays }: RowsProps<T>) {
  const shown = columns.filter((column) => column !== false);
  return (
    <div class="scroll">
      <table class="rows">
        <caption class="hidden">{caption}</caption>
        <thead>
          <tr>
            {shown.map(({ title, hidden, number }) => (
              <th key={title} scope="col" class={number ? "number" : undefined}>
                {hidden ? <span class="hidden">{title}</span> : title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {items.map((item) => (
            <tr key={id(item)} data-row={id(item)} {...ofRow(stays?.has(id(item)) ?? false)}>
              {shown.map(({ title, number, cell }) => (
                <td key={title} class={number ? "number" : undefined}>
                  {cell(item)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The attributes of a row; they mark a row that no longer belongs to its list and keeps its place. */
export const ofRow = (stays: boolean) => (stays ? { class: "stays", title: "No longer matches the filters" } : {});

/** The button that shows new rows and removes those that no longer belong. Nothing moves before a person presses it. */
export function New({ list }: { list: Pick<LiveTable<Row>, "waiting" | "stays" | "showNew"> }) {
  const { waiting, stays, showNew } = list;
  const text =
    waiting > 0
      ? `${waiting.toLocaleString()} new, show`
      : stays.size > 0
        ? `${stays.size.toLocaleString()} no longer match, remove`
        : "";
  return (
    <div class="actions-end" aria-live="polite">
      {text === "" ? null : (
        <Button kind="primary" onClick={showNew}>
          {text}
        </Button>
      )}
    </div>
  );
}

export function More<T>({ pages }: { pages: Pick<Pages<T>, "more"> }) {
  const [busy, setBusy] = useState(false);
  const more = async (): Promise<void> => {
    setBusy(true);
    await pages.more();
    setBusy(false);
  };
  return (
    <p>
      <Button busy={busy} onClick={() => void more()}>
        Show more
      </Button>
    </p>
  );
}
