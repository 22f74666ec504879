//! Forms: how the fields of a payload become the fields of a form.

use crate::{registry::refusal::Refusal, text::quoted};

/// How a form is written (the body presets `form` and `multipart`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Form {
    pub nesting: Nesting,
    pub lists: Lists,
    /// Paths in the payload, such as `person.email` or `tags.0`, and the names of these fields in the form. A field
    /// with an empty name is not sent.
    pub fields: Vec<(String, String)>,
    /// Whether only the fields in `fields` are sent.
    pub only_fields: bool,
    /// Names and values that every form has. A field of the payload with the name of a constant is not sent.
    pub constants: Vec<(String, String)>,
}

/// How the name of a nested field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nesting {
    /// `person[email]`, which PHP, Rails and many others read.
    #[default]
    Brackets,
    /// `person.email`.
    Dots,
}

/// How the items of a list are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lists {
    /// The name of the list for each item: `tags=a&tags=b`, as in HTML forms.
    #[default]
    Repeat,
    /// With empty brackets: `tags[]=a&tags[]=b`.
    Brackets,
    /// With their numbers: `tags[0]=a&tags[1]=b`, or `tags.0=a&tags.1=b`.
    Indices,
}

impl Nesting {
    pub const ALL: [Self; 2] = [Self::Brackets, Self::Dots];

    /// The word that facts and the API use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Brackets => "brackets",
            Self::Dots => "dots",
        }
    }

    /// The value that a word names; the empty word names the default.
    pub fn parse(word: &str) -> Option<Self> {
        if word.is_empty() { Some(Self::default()) } else { Self::ALL.into_iter().find(|way| way.as_str() == word) }
    }
}

impl Lists {
    pub const ALL: [Self; 3] = [Self::Repeat, Self::Brackets, Self::Indices];

    /// The word that facts and the API use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Repeat => "repeat",
            Self::Brackets => "brackets",
            Self::Indices => "indices",
        }
    }

    /// The value that a word names; the empty word names the default.
    pub fn parse(word: &str) -> Option<Self> {
        if word.is_empty() { Some(Self::default()) } else { Self::ALL.into_iter().find(|way| way.as_str() == word) }
    }
}

impl Form {
    /// The maximum number of renamed fields, and of constants.
    pub const MAX_FIELDS: usize = 100;
    /// The maximum length of a path and of a name, in bytes.
    pub const MAX_NAME: usize = 200;
    /// The maximum length of the value of a constant, in bytes.
    pub const MAX_VALUE: usize = 1_000;

    /// Its size in memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.fields.iter().chain(&self.constants).map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Checks the settings of a form.
    ///
    /// # Errors
    /// The first invalid field.
    pub(in crate::registry) fn check(&self) -> Result<(), Refusal> {
        let refuse = |field, problem| Err(Refusal::Invalid { field, problem });
        for (field, entries) in [("form.fields", &self.fields), ("form.constants", &self.constants)] {
            if entries.len() > Self::MAX_FIELDS {
                return refuse(field, format!("has {} entries, and {} is the limit", entries.len(), Self::MAX_FIELDS));
            }
        }
        for (index, (path, name)) in self.fields.iter().enumerate() {
            if !is_path(path) {
                return refuse("form.fields", format!("{} is not a path such as person.email", quoted(path)));
            }
            if !is_name(name) && !name.is_empty() {
                return refuse("form.fields", not_a_name(name));
            }
            if self.fields[..index].iter().any(|(other, _)| other == path) {
                return refuse("form.fields", format!("{} is given twice", quoted(path)));
            }
        }
        for (name, value) in &self.constants {
            if !is_name(name) {
                return refuse("form.constants", not_a_name(name));
            }
            if value.len() > Self::MAX_VALUE {
                let problem = format!("the value of {} is longer than {} bytes", quoted(name), Self::MAX_VALUE);
                return refuse("form.constants", problem);
            }
        }
        Ok(())
    }
}

fn is_path(text: &str) -> bool {
    is_name(text) && text.split('.').all(|part| !part.is_empty())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= Form::MAX_NAME && !text.chars().any(char::is_control)
}

fn not_a_name(text: &str) -> String {
    format!("{} is not a name of a field: it has to be one line of 1 to {} bytes", quoted(text), Form::MAX_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(fields: &[(&str, &str)], constants: &[(&str, &str)]) -> Option<&'static str> {
        let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let form = Form { fields: owned(fields), constants: owned(constants), ..Form::default() };
        match form.check() {
            Ok(()) => None,
            Err(Refusal::Invalid { field, .. }) => Some(field),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn paths_names_and_values_are_bounded_and_printable() {
        assert_eq!(refused(&[("person.email", "email"), ("internal", ""), ("tags.0", "tag")], &[("oid", "00D")]), None);
        for path in ["", "a..b", ".a", "a.", "a\nb"] {
            assert_eq!(refused(&[(path, "x")], &[]), Some("form.fields"), "{path:?}");
        }
        let long = "x".repeat(Form::MAX_NAME + 1);
        assert_eq!(refused(&[("a", &long)], &[]), Some("form.fields"));
        assert_eq!(refused(&[("a", "x\r\ny")], &[]), Some("form.fields"));
        assert_eq!(refused(&[("a", "x"), ("a", "y")], &[]), Some("form.fields"));
        assert_eq!(refused(&[], &[("", "x")]), Some("form.constants"));
        assert_eq!(refused(&[], &[("a", &"x".repeat(Form::MAX_VALUE + 1))]), Some("form.constants"));
        let many: Vec<_> = (0..=Form::MAX_FIELDS).map(|n| (n.to_string(), String::new())).collect();
        let many: Vec<_> = many.iter().map(|(path, name)| (path.as_str(), name.as_str())).collect();
        assert_eq!(refused(&many, &[]), Some("form.fields"));
    }

    #[test]
    fn every_word_names_its_value() {
        assert!(Nesting::ALL.into_iter().all(|way| Nesting::parse(way.as_str()) == Some(way)));
        assert!(Lists::ALL.into_iter().all(|way| Lists::parse(way.as_str()) == Some(way)));
        assert_eq!((Nesting::parse(""), Lists::parse("")), (Some(Nesting::Brackets), Some(Lists::Repeat)));
        assert_eq!((Nesting::parse("x"), Lists::parse("x")), (None, None));
    }
}
