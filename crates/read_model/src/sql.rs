//! Helpers for statements that both databases understand.

#[cfg(test)]
pub(crate) mod both;
pub(crate) mod bulk;
mod checkpoint;
pub(crate) mod connect;
mod indexes;
mod migrations;
#[cfg(test)]
mod plans;
pub mod sizes;
#[cfg(test)]
mod upgrades;

use jiff::Timestamp;
use sqlx::{
    Any, AssertSqlSafe, Database, Encode, Type,
    any::{AnyArguments, AnyRow, AnyTypeInfo},
    encode::IsNull,
    error::BoxDynError,
    query::Query,
};

use crate::error::StoreError;

/// The kind of database, where the two differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    Sqlite,
    Postgres,
    /// Statements of one connection may reach different server processes.
    PooledPostgres,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    Text(String),
    Int(i64),
}

impl Type<Any> for Value {
    /// Required by the trait and not used: a value gives its type when it is encoded.
    fn type_info() -> AnyTypeInfo {
        <str as Type<Any>>::type_info()
    }
}

impl Encode<'_, Any> for Value {
    fn encode(self, buffer: &mut <Any as Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        match self {
            Self::Text(text) => Encode::<Any>::encode(text, buffer),
            Self::Int(number) => Encode::<Any>::encode(number, buffer),
        }
    }

    fn encode_by_ref(&self, buffer: &mut <Any as Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Any>::encode(self.clone(), buffer)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        // A TEXT of PostgreSQL takes every character except this one.
        Self::Text(if text.contains('\0') { text.replace('\0', "") } else { text })
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Int(time.as_microsecond())
    }
}

/// A condition and its values.
pub(crate) type Condition = (String, Vec<Value>);

/// A statement that grows condition by condition.
#[derive(Debug)]
pub(crate) struct Statement {
    text: String,
    values: Vec<Value>,
}

impl Statement {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), values: vec![] }
    }

    /// Adds text. Each `?` in it is replaced by the placeholder of the next value.
    pub(crate) fn push(&mut self, text: &str, values: impl IntoIterator<Item = Value>) -> &mut Self {
        let mut values = values.into_iter();
        for part in text.split_inclusive('?') {
            match part.strip_suffix('?') {
                Some(before) => {
                    let value = values.next();
                    debug_assert!(value.is_some(), "a value is missing: {text}");
                    self.values.extend(value);
                    self.text.push_str(before);
                    self.text.push_str(&format!("${}", self.values.len()));
                }
                None => self.text.push_str(part),
            }
        }
        self
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Prefixes the statement.
    #[cfg(test)]
    pub(crate) fn after(self, before: &str) -> Self {
        Self { text: format!("{before}{}", self.text), ..self }
    }

    /// The statement, ready to run. Its text consists of constants; values from outside are bound.
    pub(crate) fn query(self) -> Query<'static, Any, AnyArguments> {
        let query = sqlx::query(AssertSqlSafe(self.text)).persistent(false);
        self.values.into_iter().fold(query, Query::bind)
    }
}

/// An `ON CONFLICT` clause on a key: every column that is not kept takes the new value.
pub(crate) fn replace(key: &str, kept: &[&str], columns: &[&str]) -> String {
    let others = columns.iter().filter(|column| !kept.contains(column));
    let sets: Vec<_> = others.map(|column| format!("{column} = excluded.{column}")).collect();
    format!(" ON CONFLICT ({key}) DO UPDATE SET {}", sets.join(", "))
}

pub(crate) fn text(row: &AnyRow, column: &'static str) -> Result<String, StoreError> {
    use sqlx::Row as _;
    Ok(row.try_get::<String, _>(column)?)
}

/// A text of a row; `None` if it is NULL.
pub(crate) fn text_or_none(row: &AnyRow, column: &'static str) -> Result<Option<String>, StoreError> {
    use sqlx::Row as _;
    Ok(row.try_get::<Option<String>, _>(column)?)
}

pub(crate) fn int(row: &AnyRow, column: &'static str) -> Result<i64, StoreError> {
    use sqlx::Row as _;
    Ok(row.try_get::<i64, _>(column)?)
}

/// A number of a row; `None` if it is NULL.
pub(crate) fn int_or_none(row: &AnyRow, column: &'static str) -> Result<Option<i64>, StoreError> {
    use sqlx::Row as _;
    Ok(row.try_get::<Option<i64>, _>(column)?)
}

/// A number of a row that fits into 32 bits.
pub(crate) fn count(row: &AnyRow, column: &'static str) -> Result<u32, StoreError> {
    let number = int(row, column)?;
    u32::try_from(number).map_err(|_| wrong(column, number))
}

pub(crate) fn time(row: &AnyRow, column: &'static str) -> Result<Timestamp, StoreError> {
    let micros = int(row, column)?;
    // `from_microsecond` refuses the last second up to `Timestamp::MAX`.
    Timestamp::from_nanosecond(i128::from(micros) * 1_000).map_err(|_| wrong(column, micros))
}

/// A time of a row; `None` if it is 0, which means a missing time.
pub(crate) fn time_or_none(row: &AnyRow, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
    Ok(Some(time(row, column)?).filter(|time| *time != Timestamp::UNIX_EPOCH))
}

/// A time as a value; 0 if it is missing.
pub(crate) fn or_zero(time: Option<Timestamp>) -> Value {
    time.unwrap_or(Timestamp::UNIX_EPOCH).into()
}

/// A text of a row, parsed.
pub(crate) fn parsed<T>(
    row: &AnyRow,
    column: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, StoreError> {
    let value = text(row, column)?;
    parse(&value).ok_or_else(|| wrong(column, value))
}

pub(crate) fn wrong(column: &'static str, value: impl ToString) -> StoreError {
    StoreError::Value { column, value: value.to_string() }
}

/// Sets a column of `leads` to the larger of the old and the new value.
pub(crate) fn latest(column: &str) -> String {
    format!("{column} = CASE WHEN excluded.{column} > leads.{column} THEN excluded.{column} ELSE leads.{column} END")
}
