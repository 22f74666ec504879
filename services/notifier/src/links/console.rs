//! Links into the console, from mails and from the pages behind their links.
//!
//! They are not signed, because they permit nothing: the console asks for the log-in, returns to the address, and shows
//! what the person may see.

use domain::AccountId;
use url::Url;

use crate::links::{link_pages::web_url, target::Target};

/// The URL of the console, which may have another origin than the pages of the notifier.
#[derive(Debug, Clone)]
pub(crate) struct Console(Url);

impl Console {
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        web_url("--console-url", text).map(Self)
    }

    /// The URL of the problems of a destination, of a lead, or of the leads of an interface.
    pub(crate) fn url(&self, account: &AccountId, target: &Target) -> String {
        let (path, filter) = match target {
            Target::Destination(id, _) => (vec![""], Some(("destination", id.as_str()))),
            Target::Lead(_, Some(lead)) => (vec!["leads", lead.as_str()], None),
            Target::Lead(interface, None) => (vec!["leads"], Some(("interface", interface.as_str()))),
        };
        let mut url = self.0.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url.query_pairs_mut().append_pair("account", account.as_str()).extend_pairs(filter);
        url.into()
    }
}

#[cfg(test)]
mod tests {
    use domain::{DestinationId, InterfaceId, LeadId};

    use super::*;

    #[test]
    fn a_link_opens_the_screen_of_its_target() {
        let account = AccountId::parse("acme").unwrap();
        let interface = InterfaceId::parse("form").unwrap();
        let targets = [
            (Target::Destination(DestinationId::parse("dst_1").unwrap(), None), "/?account=acme&destination=dst_1"),
            (Target::Lead(interface.clone(), Some(LeadId::parse("a:b").unwrap())), "/leads/a:b?account=acme"),
            (Target::Lead(interface, None), "/leads?account=acme&interface=form"),
        ];
        for base in ["https://leads.example/console", "https://leads.example/console/"] {
            let console = Console::parse(base).unwrap();
            for (target, rest) in &targets {
                assert_eq!(console.url(&account, target), format!("https://leads.example/console{rest}"));
            }
        }
        let error = Console::parse("leads.example").unwrap_err().to_string();
        assert!(error.starts_with("--console-url: "), "{error}");
    }
}
