// A list with its states, its rows, and the button for its next page.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
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
  /** What the rows are, in the plural. */
  what: string;
  caption: string;
  columns: readonly (Column<T> | false)[];
  id(item: T): string;
  /** What is shown if there are no rows. */
  nothing: ComponentChildren;
}

export function List<T>({ pages, what, caption, columns, id, nothing }: Props<T>) {
  const { first, items } = pages;
  if (items.length === 0) {
    if (first.value === undefined && first.trouble === undefined) return <Loading what={what} />;
    if (first.trouble !== undefined) return <Failed trouble={first.trouble} reload={first.reload} />;
    return <>{nothing}</>;
  }
  return (
    <>
      <Rows items={items} caption={caption} columns={columns} id={id} />
      {pages.hasMore ? <More pages={pages} /> : null}
    </>
  );
}

type RowsProps<T> = Pick<Props<T>, "caption" | "columns" | "id"> & { items: readonly T[] };

export function Rows<T>({ items, caption, columns, id }: RowsProps<T>) {
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
            <tr key={id(item)} data-row={id(item)}>
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
