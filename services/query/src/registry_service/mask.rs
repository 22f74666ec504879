//! Field masks of updates. Decision 84 says why updates are merged in the domain.

use api::request::Violations;
use domain::text::quoted;
use prost_types::FieldMask;

/// The fields that an update sets: those that its mask names, or all if it names none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask<'a>(Option<&'a FieldMask>);

impl<'a> Mask<'a> {
    /// Reads the mask of a request, and notes a path that is none of `known`.
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
    use prost_reflect::{DescriptorPool, MessageDescriptor};

    use super::*;
    use crate::registry_service::{accounts, api_users, clients, destinations, interfaces, tokens};

    /// The settings of a message: its fields, and one name for the alternatives of a choice.
    fn settings(message: &MessageDescriptor) -> Vec<String> {
        let choices: Vec<_> = message.oneofs().filter(|choice| !choice.is_synthetic()).collect();
        let is_choice = |name: &str| choices.iter().any(|choice| choice.fields().any(|field| field.name() == name));
        let fields = message.fields().map(|field| field.name().to_owned()).filter(|name| !is_choice(name));
        fields.chain(choices.iter().map(|choice| choice.name().to_owned())).collect()
    }

    #[test]
    fn a_mask_can_name_every_setting() {
        // What the server sets.
        let shown = ["account_id", "unconfirmed_emails", "warnings", "deactivated", "algorithm", "created_at"];
        let pool = DescriptorPool::decode(api::DESCRIPTORS).unwrap();
        let known: [(&str, &str, &[&str]); 6] = [
            ("Account", "account_id", &accounts::FIELDS),
            ("ApiUser", "api_user_id", &api_users::FIELDS),
            ("Client", "client_id", &clients::FIELDS),
            ("Destination", "destination_id", &destinations::FIELDS),
            ("Interface", "interface_id", &interfaces::FIELDS),
            ("Token", "token_id", &tokens::FIELDS),
        ];
        for (name, id, known) in known {
            let message = pool.get_message_by_name(&format!("leadline.v1.{name}")).unwrap();
            let mut settings = settings(&message);
            settings.retain(|field| field != id && !shown.contains(&field.as_str()));
            let mut known: Vec<_> = known.iter().map(ToString::to_string).collect();
            settings.sort();
            known.sort();
            assert_eq!(settings, known, "{name}");
        }
    }

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
