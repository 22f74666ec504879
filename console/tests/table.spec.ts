// The rows of a live list, without a browser.
import { expect, test } from "@playwright/test";
import fc from "fast-check";
import {
  append,
  empty,
  hasHole,
  MAX_KNOWN,
  merge,
  restart,
  type Row,
  rows,
  show,
  type Table,
  waiting,
} from "../src/live/table";

interface TestRow extends Row {
  readonly status: string;
}

const LETTERS = ["a", "b", "c", "d", "e"];

/** Versions of a few deliveries. As on the server, equal versions have equal content. */
const change: fc.Arbitrary<TestRow> = fc
  .record({ id: fc.constantFrom(...LETTERS), updated: fc.nat(4), attempts: fc.nat(2), rank: fc.nat(3) })
  .map(({ id, updated, attempts, rank }) => ({
    id,
    requested: LETTERS.indexOf(id) % 3,
    version: [updated, attempts],
    rank,
    status: (updated + attempts + rank) % 2 === 0 ? "failed" : "succeeded",
  }));

const failed = (row: TestRow): boolean => row.status === "failed";

/** Changes, the same changes in another order, some of them again, and the sizes of batches. */
const shuffledChanges = fc
  .array(change, { maxLength: 40 })
  .chain((changes) =>
    fc.tuple(
      fc.constant(changes),
      fc.shuffledSubarray(changes, { minLength: changes.length }),
      fc.subarray(changes),
      fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 }),
    ),
  );

function folded(changes: readonly TestRow[], pieces: readonly number[], showBetween: boolean): Table<TestRow> {
  let table = empty<TestRow>();
  for (let at = 0, piece = 0; at < changes.length; piece += 1) {
    const size = pieces[piece % pieces.length] ?? 1;
    table = merge(table, changes.slice(at, at + size));
    if (showBetween) table = show(table, failed);
    at += size;
  }
  return show(table, failed);
}

test("changes in any order, with repeats, give the same table", () => {
  fc.assert(
    fc.property(shuffledChanges, ([changes, shuffled, repeats, pieces]) => {
      const expected = rows(folded(changes, [changes.length + 1], false));
      const other = rows(folded([...shuffled, ...repeats], pieces, true));
      return JSON.stringify(other) === JSON.stringify(expected) && expected.every(failed);
    }),
    { numRuns: 2_000 },
  );
});

test("shown rows stay in place until new rows are shown", () => {
  fc.assert(
    fc.property(fc.array(change), fc.array(change), (before, after) => {
      const table = show(merge(empty<TestRow>(), before), failed);
      const later = merge(table, after);
      const shown = new Set(show(later, failed).shown);
      return later.shown === table.shown && waiting(later, failed).every(({ id }) => shown.has(id));
    }),
  );
});

test("rows older than the last listed row come with their page", () => {
  const row = (id: string, requested: number): TestRow => ({ id, requested, version: [0], rank: 0, status: "failed" });
  const first = append(empty<TestRow>(), [row("d", 4), row("c", 3)], true);
  const table = merge(first, [row("a", 1), row("e", 5)]);
  expect(waiting(table, failed).map(({ id }) => id)).toEqual(["e"]);
  expect(show(table, failed).shown).toEqual(["e", "d", "c"]);
  const last = append(table, [row("b", 2), row("a", 1)], false);
  expect(last.shown).toEqual(["d", "c", "b", "a"]);
  expect(show(last, failed).shown).toEqual(["e", "d", "c", "b", "a"]);
});

test("a list begins again if more rows came than a page has", () => {
  const row = (id: string, requested: number): TestRow => ({ id, requested, version: [0], rank: 0, status: "failed" });
  const table = append(empty<TestRow>(), [row("b", 2), row("a", 1)], true);
  expect(hasHole(table, [row("c", 3), row("b", 2)], true)).toBe(false);
  const page = [row("f", 6), row("e", 5)];
  expect([hasHole(table, page, true), hasHole(table, page, false)]).toEqual([true, false]);
  // Between these rows and those that were shown there may be others, which the next page brings.
  const restarted = show(restart(table, page, true), failed);
  expect(restarted.shown).toEqual(["f", "e"]);
  expect(append(restarted, [row("d", 4), row("b", 2)], true).shown).toEqual(["f", "e", "d", "b"]);
});

test("a table remembers a bounded number of deliveries", () => {
  const many = Array.from({ length: MAX_KNOWN + 10 }, (_, n) => ({
    id: `${n}`,
    requested: n,
    version: [0],
    rank: 0,
    status: "failed",
  }));
  const table = merge(empty<TestRow>(), many);
  expect(table.known.size).toBe(MAX_KNOWN);
  expect(table.known.has("0")).toBe(false);
});
