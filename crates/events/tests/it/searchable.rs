//! Searchable fields of interfaces.

use domain::search::{FieldName, FieldPath, Kind, SearchField};

/// A field of each kind, or none.
pub(crate) fn fields(any: bool) -> Vec<SearchField> {
    let field = |kind: Kind| SearchField {
        name: FieldName::parse(kind.as_str()).unwrap(),
        path: FieldPath::parse(r"payload.contact\.of.0").unwrap(),
        kind,
    };
    Kind::ALL.into_iter().filter(|_| any).map(field).collect()
}
