//! Field masks of updates. Decision 84 explains why updates are merged in the domain.

use api::request::Violations;
use domain::text::quoted;
use prost_types::FieldMask;

/// The fields that an update sets: those that its mask names, or all if it names none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask<'a>(Option<&'a FieldMask>);

impl<'a> Mask<'a> {
    /// Reads the mask of a request, and notes a path that is not one of `known`.
    pub(super) fn read(fields: &mut Violations, mask: Option<&'a FieldMask>, known: &[&str]) -> Self {
        let mask = mask.filter(|mask| !mask.paths.is_empty());
        let unknown = mask.and_then(|mask| mask.paths.iter().find(|path| !known.contains(&path.as_str())));
        if let Some(path) = unknown {
            fields.wrong("update_mask", format!("{} is none of {}", quoted(path), known.join(", ")));
        }
        Self(mask)
    }

    /// Whether the update sets all fields.
    pub(super) const fn is_whole(self) -> bool {
        self.0.is_none()
    }

    pub(super) fn names(self, field: &str) -> bool {
        self.0.is_none_or(|mask| mask.paths.iter().any(|path| path == field))
    }

    /// The value of a field after the update.
    pub(super) fn pick<T>(self, field: &str, new: T, now: T) -> T {
        if self.names(field) { new } else { now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_mask_names_every_field() {
        let mut fields = Violations::default();
        let some = FieldMask { paths: vec!["name".into()] };
        for mask in [None, Some(&FieldMask::default())] {
            let mask = Mask::read(&mut fields, mask, &["name"]);
            assert!(mask.is_whole() && mask.names("name") && mask.pick("url", true, false));
        }
        let mask = Mask::read(&mut fields, Some(&some), &["name"]);
        assert!(!mask.is_whole() && mask.names("name") && !mask.pick("url", true, false));
        assert!(fields.is_empty());
        Mask::read(&mut fields, Some(&some), &["url"]);
        assert_eq!(fields.end(|| Some(())).unwrap_err().message(), "update_mask: \"name\" is none of url");
    }
}
