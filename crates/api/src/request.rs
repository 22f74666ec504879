//! Reads the fields of requests. [`Violations`] collects the wrong ones, so that a caller learns all of them at once.

use std::fmt::Display;

use domain::{RequestId, registry::Refusal};
use jiff::Timestamp;
use tonic::{Code, Status};
use tonic_types::{FieldViolation, StatusExt as _};
use uuid::Uuid;

use crate::{
    primitives::{non_empty, timestamp},
    publish::error::PublishError,
    status::{internal, invalid, wrong_fields},
};

/// A field of a request that cannot be read or is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongField {
    /// The field, as the API names it.
    field: &'static str,
    problem: String,
}

impl WrongField {
    pub fn new(field: &'static str, problem: impl Display) -> Self {
        Self { field, problem: problem.to_string() }
    }
}

impl From<WrongField> for Status {
    fn from(wrong: WrongField) -> Self {
        invalid(wrong.field, wrong.problem)
    }
}

impl From<WrongField> for Refusal {
    fn from(WrongField { field, problem }: WrongField) -> Self {
        Self::Invalid { field, problem }
    }
}

impl From<WrongField> for PublishError {
    fn from(wrong: WrongField) -> Self {
        Self::invalid(wrong.field, wrong.problem)
    }
}

/// Parses a text that has to be given.
///
/// # Errors
/// If the text is empty or invalid.
pub fn required<T, E: Display>(
    field: &'static str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, WrongField> {
    if text.is_empty() {
        return Err(WrongField::new(field, "is missing"));
    }
    parse(text).map_err(|e| WrongField::new(field, e))
}

/// Parses a text; `None` if it is empty.
///
/// # Errors
/// If the text is invalid.
pub fn optional<T, E: Display>(
    field: &'static str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, WrongField> {
    non_empty(text).map(|text| required(field, text, parse)).transpose()
}

/// A message that has to be given.
///
/// # Errors
/// If it is missing.
pub fn given<T>(field: &'static str, value: Option<T>) -> Result<T, WrongField> {
    value.ok_or_else(|| WrongField::new(field, "is missing"))
}

/// The id by which a repeated call is recognised; without a `request_id`, each call is a new one.
///
/// # Errors
/// If the id is invalid.
pub fn request_id(text: &str) -> Result<RequestId, WrongField> {
    Ok(optional("request_id", text, RequestId::parse)?.unwrap_or_else(new_request_id))
}

/// The id of a call that gives none.
pub fn new_request_id() -> RequestId {
    RequestId::from_uuid(Uuid::now_v7())
}

/// # Errors
/// If the time is out of range.
pub fn time(field: &'static str, given: Option<&prost_types::Timestamp>) -> Result<Option<Timestamp>, WrongField> {
    given.map(|time| timestamp(time).ok_or_else(|| WrongField::new(field, "is out of range"))).transpose()
}

/// Checks a text that is a part of one line of a log.
///
/// # Errors
/// If the text has more than `max` characters, or a control character such as a line end.
pub fn line(field: &'static str, text: &str, max: usize) -> Result<(), WrongField> {
    if text.chars().count() > max || text.chars().any(char::is_control) {
        return Err(WrongField::new(field, format!("is not one line of at most {max} characters")));
    }
    Ok(())
}

/// Collects the wrong fields of a request.
#[derive(Debug, Default)]
pub struct Violations(Vec<Status>);

impl Violations {
    /// Returns the value, or notes why there is none.
    pub fn note<T>(&mut self, read: Result<T, impl Into<Status>>) -> Option<T> {
        read.map_err(|error| self.0.push(error.into())).ok()
    }

    /// Notes a wrong field.
    pub fn wrong(&mut self, field: &'static str, problem: impl Display) {
        self.0.push(WrongField::new(field, problem).into());
    }

    /// Whether no wrong field was noted so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the result of `read` if no field is wrong. `read` combines the values that [`Self::note`] returned.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` with every wrong field. If an error is not about a field, the first such error alone.
    pub fn end<T>(mut self, read: impl FnOnce() -> Option<T>) -> Result<T, Status> {
        if let Some(refused) = self.0.iter().position(|status| fields_of(status).is_empty()) {
            return Err(self.0.swap_remove(refused));
        }
        match self.0.as_slice() {
            [] => read().ok_or_else(|| internal("a field of the request was not read")),
            // The message about a single field may be longer than a problem in a list.
            [only] => Err(only.clone()),
            several => {
                let mut fields: Vec<(String, String)> = vec![];
                for field in several.iter().flat_map(fields_of) {
                    let field = (field.field, field.description);
                    // Two helpers that read the same field note the same problem.
                    if !fields.contains(&field) {
                        fields.push(field);
                    }
                }
                let fields: Vec<_> = fields.iter().map(|(name, problem)| (name.as_str(), problem.clone())).collect();
                Err(wrong_fields(&fields))
            }
        }
    }
}

/// The wrong fields that a status is about; empty if it is about something else.
fn fields_of(status: &Status) -> Vec<FieldViolation> {
    let details = status.get_details_bad_request().filter(|_| status.code() == Code::InvalidArgument);
    details.map(|details| details.field_violations).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use domain::{AccountId, access::Denial};

    use super::*;
    use crate::status::{denied, reason};

    fn account(text: &str) -> Result<AccountId, WrongField> {
        required("account_id", text, AccountId::parse)
    }

    #[test]
    fn every_wrong_field_is_reported() {
        let mut fields = Violations::default();
        let id = fields.note(account(""));
        fields.note(account(""));
        fields.note(Err::<(), _>(wrong_fields(&[("scopes", "are missing".into()), ("person", "is too long".into())])));
        let since = fields.note(time("since", Some(&prost_types::Timestamp { seconds: i64::MAX, nanos: 0 })));
        let status = fields.end(|| Some((id?, since?))).unwrap_err();
        assert_eq!(
            status.message(),
            "account_id: is missing; scopes: are missing; person: is too long; since: is out of range"
        );
        assert_eq!(status.get_details_bad_request().unwrap().field_violations.len(), 4);
        assert_eq!(reason(&status), crate::status::FIELD_INVALID);
    }

    #[test]
    fn a_refusal_about_no_field_is_reported_alone() {
        let mut fields = Violations::default();
        fields.note(account(""));
        fields.note(Err::<(), _>(denied(&Denial::FormsOnly { caller: "key".into() })));
        assert_eq!(fields.end(|| Some(())).unwrap_err().code(), Code::PermissionDenied);
    }

    #[test]
    fn values_are_returned_if_no_field_is_wrong() {
        let mut fields = Violations::default();
        let (id, none) = (fields.note(account("acme")), fields.note(optional("account_id", "", AccountId::parse)));
        let (id, none) = fields.end(|| Some((id?, none?))).unwrap();
        assert_eq!((id.as_str(), none), ("acme", None));
        assert_ne!(request_id("").unwrap(), request_id("").unwrap());
        assert!(request_id("a.b").is_err() && line("reason", "two\nlines", 100).is_err());
    }
}
