//! OAuth 2.0 client credentials (RFC 6749, 4.4): the settings for the access tokens of a destination.

use crate::registry::{
    checks::urls::{UrlRules, check_url},
    refusal::{Refusal, invalid},
};

/// The maximum number of additional parameters of a token request.
const MAX_PARAMETERS: usize = 20;
/// The maximum length of a name, value, client id or scope, in bytes.
const MAX_VALUE: usize = 2_000;
/// The parameters that Leadline sets.
const RESERVED: [&str; 4] = ["grant_type", "client_id", "client_secret", "scope"];

/// A client of a token server. Its secret is in the credentials, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth2Client {
    pub token_url: String,
    pub client_id: String,
    /// Empty if the token server decides.
    pub scope: String,
    /// Further parameters, such as `audience` or `resource`: names and values.
    pub parameters: Vec<(String, String)>,
    /// How the client authenticates.
    pub authentication: ClientAuthentication,
}

/// How a client authenticates to a token server. The words come from RFC 7591 (2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuthentication {
    /// In the header `Authorization: Basic`, which every token server must support.
    #[default]
    Basic,
    /// In the body of the request.
    Post,
}

impl ClientAuthentication {
    pub const ALL: [Self; 2] = [Self::Basic, Self::Post];

    /// The word that facts and the API use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
        }
    }

    /// The method that a word names; the empty word names the default.
    pub fn parse(word: &str) -> Option<Self> {
        if word.is_empty() { Some(Self::default()) } else { Self::ALL.into_iter().find(|way| way.as_str() == word) }
    }
}

impl OAuth2Client {
    pub(in crate::registry) fn check(&self, rules: UrlRules) -> Result<(), Refusal> {
        check_url("auth.oauth2.token_url", &self.token_url, rules)?;
        let is_line = |text: &str| text.len() <= MAX_VALUE && !text.chars().any(char::is_control);
        let line = format!("has to be one line of at most {MAX_VALUE} bytes");
        if self.client_id.is_empty() || !is_line(&self.client_id) {
            return Err(invalid("auth.oauth2.client_id", line));
        }
        if !is_line(&self.scope) {
            return Err(invalid("auth.oauth2.scope", line));
        }
        if self.parameters.len() > MAX_PARAMETERS {
            let problem = format!("has {} entries, and {MAX_PARAMETERS} is the limit", self.parameters.len());
            return Err(invalid("auth.oauth2.parameters", problem));
        }
        for (name, value) in &self.parameters {
            if name.is_empty() || !is_line(name) || !is_line(value) {
                return Err(invalid("auth.oauth2.parameters", format!("each name and value {line}")));
            }
            if RESERVED.contains(&name.as_str()) {
                return Err(invalid("auth.oauth2.parameters", format!("{name:?} is set by Leadline itself")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> OAuth2Client {
        OAuth2Client {
            token_url: "https://auth.example/token".into(),
            client_id: "leadline".into(),
            scope: "leads.write".into(),
            parameters: vec![("audience".into(), "https://crm.example".into())],
            authentication: ClientAuthentication::Basic,
        }
    }

    #[test]
    fn each_invalid_setting_of_a_client_is_named() {
        assert_eq!(client().check(UrlRules::default()), Ok(()));
        let refused = |changed: OAuth2Client| changed.check(UrlRules::default()).unwrap_err().to_string();
        let with = |name: &str| vec![(name.to_owned(), "x".to_owned())];
        for (changed, expected) in [
            (
                OAuth2Client { token_url: "http://auth.example/".into(), ..client() },
                "auth.oauth2.token_url: plain http",
            ),
            (
                OAuth2Client { token_url: "https://a:b@auth.example/".into(), ..client() },
                "auth.oauth2.token_url: must not",
            ),
            (OAuth2Client { client_id: String::new(), ..client() }, "auth.oauth2.client_id: has to be one line"),
            (OAuth2Client { scope: "a\nb".into(), ..client() }, "auth.oauth2.scope: has to be one line"),
            (
                OAuth2Client { parameters: with("client_secret"), ..client() },
                "auth.oauth2.parameters: \"client_secret\" is",
            ),
            (OAuth2Client { parameters: with(""), ..client() }, "auth.oauth2.parameters: each name"),
            (
                OAuth2Client { parameters: vec![with("a").remove(0); 21], ..client() },
                "auth.oauth2.parameters: has 21 entries, and 20 is",
            ),
        ] {
            let problem = refused(changed);
            assert!(problem.starts_with(expected), "{problem}");
        }
    }
}
