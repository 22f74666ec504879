//! Tests that a field mask can name every setting.

use prost_reflect::{DescriptorPool, MessageDescriptor};

use super::{accounts, api_users, clients, destinations, interfaces, tokens};

/// The settings of a message: its fields, and one name for each `oneof`.
fn settings(message: &MessageDescriptor) -> Vec<String> {
    let choices: Vec<_> = message.oneofs().filter(|choice| !choice.is_synthetic()).collect();
    let is_choice = |name: &str| choices.iter().any(|choice| choice.fields().any(|field| field.name() == name));
    let fields = message.fields().map(|field| field.name().to_owned()).filter(|name| !is_choice(name));
    fields.chain(choices.iter().map(|choice| choice.name().to_owned())).collect()
}

#[test]
fn a_mask_can_name_every_setting() {
    // The fields that only the server sets.
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
