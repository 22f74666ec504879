//! Spans of operations of the database, by the semantic conventions for database clients.
//!
//! A span is made only if the current span is sampled. Otherwise an operation costs one comparison more.

use runtime::trace::{self, TraceContext, attribute};
use sqlx::AnyPool;
use tracing::{Instrument as _, Span, info_span};

use crate::{
    error::StoreError,
    measured,
    sql::{Flavour, Statement},
};

/// The maximum length of a statement's text in a span, in bytes. A filter may name thousands of values.
const MAX_TEXT: usize = 2_000;
/// The maximum number of tables in the summary of a statement, which is the name of its span.
const MAX_TABLES: usize = 4;
/// The `error.type` of an error without a code of the database.
const UNNAMED_ERROR: &str = "database";

/// The span of a statement that reads; [`Span::none`] if the current span is not sampled.
pub(crate) fn reading(pool: &AnyPool, flavour: Flavour, statement: &Statement) -> Span {
    if !TraceContext::is_sampled_here() {
        return Span::none();
    }
    let (text, tables) = (statement.text(), tables(statement.text()));
    let summary = [&["SELECT"], &tables[..tables.len().min(MAX_TABLES)]].concat().join(" ");
    let span = info_span!("read", otel.kind = "client", otel.name = summary);
    describe(&span, pool, flavour, "SELECT");
    if let [table] = tables[..] {
        attribute(&span, "db.collection.name", table.to_owned());
    }
    attribute(&span, "db.query.summary", summary);
    // Values are bound, so the text holds none.
    attribute(&span, "db.query.text", text[..text.floor_char_boundary(MAX_TEXT)].to_owned());
    span
}

/// The span of a transaction; [`Span::none`] if the current span is not sampled.
pub(crate) fn transaction(pool: &AnyPool, flavour: Flavour, name: &'static str) -> Span {
    if !TraceContext::is_sampled_here() {
        return Span::none();
    }
    let span = info_span!("transaction", otel.kind = "client", otel.name = name);
    describe(&span, pool, flavour, name);
    span
}

/// Runs an operation in its span.
pub(crate) async fn run<T>(
    span: Span,
    operation: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let done = operation.instrument(span.clone()).await;
    if let Err(error) = &done
        && !span.is_none()
    {
        let code = error.code();
        attribute(&span, "error.type", code.clone().unwrap_or_else(|| UNNAMED_ERROR.to_owned()));
        trace::attributes(&span, code.map(|code| ("db.response.status_code", code.into())));
        trace::fails(&span, error.public());
    }
    done
}

fn describe(span: &Span, pool: &AnyPool, flavour: Flavour, operation: &'static str) {
    attribute(span, "db.system.name", measured::system(flavour));
    attribute(span, "db.operation.name", operation);
    if flavour == Flavour::Sqlite {
        return;
    }
    let url = &pool.connect_options().database_url;
    attribute(span, "db.namespace", url.path().trim_start_matches('/').to_owned());
    trace::attributes(span, url.host_str().map(|host| ("server.address", host.to_owned().into())));
    trace::attributes(span, url.port().map(|port| ("server.port", i64::from(port).into())));
}

/// The tables that a statement reads, each once, in their order.
fn tables(text: &str) -> Vec<&str> {
    let mut words = text.split(|c: char| c.is_whitespace() || "(),;".contains(c)).filter(|word| !word.is_empty());
    let mut tables = vec![];
    while let Some(word) = words.next() {
        let is_name = |name: &&str| name.starts_with(|c: char| c.is_ascii_lowercase());
        if let ("FROM" | "JOIN", Some(table)) = (word, words.clone().next().filter(is_name))
            && !tables.contains(&table)
        {
            tables.push(table);
        }
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_each_table_once() {
        for (text, expected) in [
            ("SELECT a, b FROM deliveries WHERE account = $1", &["deliveries"][..]),
            ("SELECT 1 FROM (SELECT x FROM attempts) a JOIN leads l ON l.x = a.x", &["attempts", "leads"]),
            ("SELECT * FROM leads WHERE lead IN (SELECT lead FROM leads) AND a IS DISTINCT FROM $1", &["leads"]),
            ("SELECT 1", &[]),
        ] {
            assert_eq!(tables(text), expected, "{text}");
        }
    }
}
