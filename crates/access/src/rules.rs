//! The rules of methods. The option `requires` of each method in `proto/leadline/v1` says what the method requires of
//! its callers.

use std::collections::HashMap;

use domain::access::Rule;
use prost_reflect::{DescriptorPool, ExtensionDescriptor, MethodDescriptor, Value};

/// The method option that holds the rule.
const OPTION: &str = "leadline.v1.requires";
/// The method option that opens a method to keys that are bound to a client.
const FOR_CLIENTS: &str = "leadline.v1.for_clients";
/// The package whose methods need rules.
const PACKAGE: &str = "leadline.v1";

/// The rule of each method, by the path of the method.
#[derive(Debug, Clone, Default)]
pub struct Rules(HashMap<String, MethodRule>);

/// What a method requires of its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodRule {
    pub rule: Rule,
    /// Whether keys that are bound to a client may call it.
    pub for_clients: bool,
}

/// Why the rules cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    #[error("the API's descriptors are broken")]
    Descriptors(#[from] prost_reflect::DescriptorError),
    /// The option is not declared.
    #[error("the API's descriptors do not know the option {OPTION}; it is declared in proto/leadline/v1/access.proto")]
    NoOption,
    /// Methods have no rule.
    #[error(
        "no rule says who may call {}; set option ({OPTION}) = READ in the .proto, or another of the rules in \
         access.proto", .0.join(", ")
    )]
    Missing(Vec<String>),
}

/// The rule of a route that is not a method of the API. Keys that are bound to a client are refused.
impl From<Rule> for MethodRule {
    fn from(rule: Rule) -> Self {
        Self { rule, for_clients: false }
    }
}

impl Rules {
    /// Reads the rules from the descriptors of the API.
    ///
    /// # Errors
    /// When a method has no rule.
    pub fn of_api() -> Result<Self, RulesError> {
        Self::read(api::DESCRIPTORS)
    }

    fn read(descriptors: &[u8]) -> Result<Self, RulesError> {
        let pool = DescriptorPool::decode(descriptors)?;
        let option = pool.get_extension_by_name(OPTION).ok_or(RulesError::NoOption)?;
        let open = pool.get_extension_by_name(FOR_CLIENTS).ok_or(RulesError::NoOption)?;
        let (mut rules, mut missing) = (HashMap::new(), vec![]);
        for service in pool.services().filter(|service| service.package_name() == PACKAGE) {
            for method in service.methods() {
                match rule_of(&method, &option) {
                    Some(rule) => {
                        let for_clients = method.options().get_extension(&open).as_bool().unwrap_or_default();
                        let path = format!("/{}/{}", service.full_name(), method.name());
                        rules.insert(path, MethodRule { rule, for_clients });
                    }
                    None => missing.push(format!("{}/{}", service.name(), method.name())),
                }
            }
        }
        if missing.is_empty() { Ok(Self(rules)) } else { Err(RulesError::Missing(missing)) }
    }

    /// The rule of the method at this path, such as `/leadline.v1.LeadService/GetLead`.
    pub fn of(&self, path: &str) -> Option<MethodRule> {
        self.0.get(path).copied()
    }

    /// All paths with their rules, in no particular order.
    pub fn all(&self) -> impl Iterator<Item = (&str, MethodRule)> {
        self.0.iter().map(|(path, rule)| (path.as_str(), *rule))
    }
}

fn rule_of(method: &MethodDescriptor, option: &ExtensionDescriptor) -> Option<Rule> {
    match method.options().get_extension(option).as_ref() {
        Value::EnumNumber(number) => api::keys::rule(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use domain::access::Scope;

    use super::*;

    #[test]
    fn every_method_of_the_api_has_a_rule() {
        let rules = Rules::of_api().unwrap();
        let rule = |rule, for_clients| Some(MethodRule { rule, for_clients });
        let publishing = rule(Rule::Needs(Scope::Publish), false);
        assert_eq!(rules.of("/leadline.v1.IngestService/PublishLead"), publishing);
        assert_eq!(rules.of("/leadline.v1.AccessService/WhoAmI"), rule(Rule::AnyKey, true));
        let of_platform = rule(Rule::Platform(Scope::Admin), false);
        assert_eq!(rules.of("/leadline.v1.RegistryService/CreateAccount"), of_platform);
        assert_eq!(rules.of("/leadline.v1.LeadService/NoSuchMethod"), None);
    }

    #[test]
    fn a_method_without_a_rule_is_named() {
        // The same API, but its option `requires` has another number, so no method has a rule.
        let pool = DescriptorPool::decode(api::DESCRIPTORS).unwrap();
        let mut files: Vec<_> = pool.file_descriptor_protos().cloned().collect();
        for file in files.iter_mut().filter(|file| file.name() == "leadline/v1/access.proto") {
            file.extension[0].number = Some(51_999);
        }
        let renumbered =
            DescriptorPool::from_file_descriptor_set(prost_reflect::prost_types::FileDescriptorSet { file: files });
        let Err(RulesError::Missing(missing)) = Rules::read(&renumbered.unwrap().encode_to_vec()) else {
            panic!("methods without rules were accepted");
        };
        assert!(missing.contains(&"LeadService/GetLead".to_owned()), "{missing:?}");
    }
}
