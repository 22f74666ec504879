//! Inserts and selects many rows with few statements.
//!
//! The number of rows in a statement is a power of two. So there are few different texts, and a connection that keeps
//! prepared statements prepares each text once.

use std::ops::Range;

use futures::TryStreamExt as _;
use sqlx::{
    Any, AnyConnection, Arguments as _, AssertSqlSafe, Either, Executor as _, Transaction,
    any::{AnyArguments, AnyQueryResult, AnyRow},
    query::Query,
};

use crate::{error::StoreError, sql::Value};

/// At most this many rows are in one statement. SQLite binds at most 32,766 values; above a few hundred rows the gain
/// is small.
const MAX_ROWS: usize = 256;

/// An `INSERT` into these columns of a table.
#[derive(Debug)]
pub(crate) struct Insert<'a> {
    pub(crate) table: &'a str,
    pub(crate) columns: &'a [&'a str],
    /// The text after the rows: the conflict clause, and the columns to return.
    pub(crate) then: String,
}

/// Rows that are built one by one, on demand.
pub(crate) type Rows<'a> = Box<dyn ExactSizeIterator<Item = Vec<Value>> + Send + 'a>;

impl Insert<'_> {
    /// Inserts rows; returns the rows that the statements return.
    pub(crate) async fn rows(
        &self,
        transaction: &mut Transaction<'static, Any>,
        rows: Rows<'_>,
    ) -> Result<Vec<AnyRow>, StoreError> {
        Ok(self.run(transaction, rows).await?.into_iter().filter_map(Either::right).collect())
    }

    /// Inserts rows; returns how many were inserted or changed.
    pub(crate) async fn count(
        &self,
        transaction: &mut Transaction<'static, Any>,
        rows: Rows<'_>,
    ) -> Result<u64, StoreError> {
        let done = self.run(transaction, rows).await?.into_iter().filter_map(Either::left);
        Ok(done.map(|done| done.rows_affected()).sum())
    }

    async fn run(
        &self,
        transaction: &mut Transaction<'static, Any>,
        rows: Rows<'_>,
    ) -> Result<Vec<Either<AnyQueryResult, AnyRow>>, StoreError> {
        let (mut statements, mut all) = (self.statements(is_numbered(transaction), rows), vec![]);
        let mut next = statements.next();
        while let Some(statement) = next {
            // While the database runs one statement, the next one is built.
            let running = transaction.fetch_many(statement?).try_collect::<Vec<_>>();
            let (done, following) = tokio::join!(running, async { statements.next() });
            all.extend(done?);
            next = following;
        }
        Ok(all)
    }

    fn statements(
        &self,
        numbered: bool,
        mut rows: Rows<'_>,
    ) -> impl Iterator<Item = Result<Query<'static, Any, AnyArguments>, StoreError>> {
        // If a statement fails, its whole transaction is rolled back. With OR FAIL, SQLite keeps no journal for undoing
        // the statement alone.
        let insert = if numbered { "INSERT INTO" } else { "INSERT OR FAIL INTO" };
        let before = format!("{insert} {} ({}) VALUES ", self.table, self.columns.join(", "));
        pieces(rows.len()).map(move |piece| {
            let text = text(numbered, &before, &[self.columns.len()].repeat(piece.len()), &self.then);
            let rows = rows.by_ref().take(piece.len()).inspect(|row| {
                debug_assert!(row.len() == self.columns.len(), "a row of {} is incomplete", self.table);
            });
            prepared(text, piece.len() * self.columns.len(), rows.flatten())
        })
    }
}

/// The rows of a `SELECT … IN`. The text ends before the parenthesis of the keys.
pub(crate) async fn select_in(
    transaction: &mut Transaction<'static, Any>,
    select: &str,
    keys: Vec<Value>,
) -> Result<Vec<AnyRow>, StoreError> {
    let mut found = Vec::with_capacity(keys.len());
    let (mut keys, numbered) = (keys.into_iter(), is_numbered(transaction));
    for piece in pieces(keys.len()) {
        let text = text(numbered, select, &[piece.len()], "");
        // PostgreSQL keeps the plan of a prepared statement, and a plan that was made for an empty table reads the
        // whole table.
        let query = prepared(text, piece.len(), keys.by_ref().take(piece.len()))?.persistent(!numbered);
        found.extend(query.fetch_all(&mut **transaction).await?);
    }
    Ok(found)
}

/// Ranges that divide a count; their sizes are powers of two, the largest first.
fn pieces(count: usize) -> impl Iterator<Item = Range<usize>> {
    let mut begin = 0;
    std::iter::from_fn(move || {
        let size = MAX_ROWS.min((count - begin).checked_ilog2().map(|power| 1 << power)?);
        begin += size;
        Some(begin - size..begin)
    })
}

/// Whether placeholders have numbers. In SQLite they have none, because it searches all placeholders for each number.
fn is_numbered(connection: &AnyConnection) -> bool {
    connection.backend_name() != "SQLite"
}

/// A statement with groups of placeholders, given the size of each group.
fn text(numbered: bool, before: &str, groups: &[usize], then: &str) -> String {
    let (mut text, mut number) = (before.to_owned(), 0);
    for (group, size) in groups.iter().enumerate() {
        text.push_str(if group == 0 { "(" } else { ", (" });
        for place in 0..*size {
            text.push_str(if place == 0 { "" } else { ", " });
            number += 1;
            if numbered {
                text.push_str(&format!("${number}"));
            } else {
                text.push('?');
            }
        }
        text.push(')');
    }
    text.push_str(then);
    text
}

/// The text consists of constants; values from outside are bound.
fn prepared(
    text: String,
    count: usize,
    values: impl Iterator<Item = Value>,
) -> Result<Query<'static, Any, AnyArguments>, StoreError> {
    let mut bound = AnyArguments::default();
    bound.reserve(count, 0);
    for value in values {
        bound.add(value).map_err(sqlx::Error::Encode)?;
    }
    Ok(sqlx::query_with(AssertSqlSafe(text), bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_powers_of_two_and_leave_nothing_out() {
        let sizes = |count| pieces(count).map(|piece| piece.len()).collect::<Vec<_>>();
        assert_eq!(sizes(0), [0; 0]);
        assert_eq!(sizes(1), [1]);
        assert_eq!(sizes(2 * MAX_ROWS + 22), [MAX_ROWS, MAX_ROWS, 16, 4, 2]);
        assert_eq!(pieces(7).flatten().collect::<Vec<_>>(), (0..7).collect::<Vec<_>>());
    }
}
