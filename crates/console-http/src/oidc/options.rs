//! The settings of the log-in at an identity provider.

use std::{fs, path::PathBuf, time::Duration};

use access::People;
use domain::access::GroupRule;
use runtime::{ErrorChain as _, duration};
use url::Url;

use super::provider::{Provider, is_safe};
use crate::links::SESSION_LIFETIME;

/// The minimum lifetime of a session.
const MIN_LIFETIME: Duration = Duration::from_secs(60);
/// The maximum length of the URL of the provider, in bytes: the cookie of a session holds it.
const MAX_ISSUER: usize = 300;

/// Options of the log-in at an identity provider.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(id = "oidc")]
pub struct Options {
    /// Issuer URL of the OpenID Connect provider where people log in to the console, exactly as its configuration names
    /// it; its redirect URI is PUBLIC_URL/console/oidc/callback
    #[arg(long, env = "LEADLINE_OIDC_ISSUER", value_name = "URL")]
    pub oidc_issuer: Option<String>,
    /// Client ID of Leadline at the OpenID Connect provider
    #[arg(long, env = "LEADLINE_OIDC_CLIENT_ID", value_name = "ID")]
    pub oidc_client_id: Option<String>,
    /// Client secret of Leadline at the OpenID Connect provider [default: none, for a public client]
    #[arg(long, env = "LEADLINE_OIDC_CLIENT_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub oidc_client_secret: Option<String>,
    /// File with the client secret
    #[arg(long, env = "LEADLINE_OIDC_CLIENT_SECRET_FILE", value_name = "FILE", conflicts_with = "oidc_client_secret")]
    pub oidc_client_secret_file: Option<PathBuf>,
    /// Scopes of people by their groups: GROUP=SCOPE+SCOPE[@ACCOUNT[/CLIENT]], separated by commas, such as
    /// support=operate+payload@acme; without an account the scopes are platform-wide. The first rule that matches
    /// decides the account
    #[arg(long, env = "LEADLINE_OIDC_GROUPS", value_name = "RULES", value_delimiter = ',')]
    pub oidc_groups: Vec<GroupRule>,
    /// Claim of the ID token that lists a person's groups
    #[arg(long, env = "LEADLINE_OIDC_GROUPS_CLAIM", value_name = "CLAIM", default_value = "groups")]
    pub oidc_groups_claim: String,
    /// Scopes to request besides openid, email and profile, separated by commas
    #[arg(long, env = "LEADLINE_OIDC_SCOPES", value_name = "SCOPES", value_delimiter = ',')]
    pub oidc_scopes: Vec<String>,
    /// Name of the OpenID Connect provider on the button of the log-in [default: its host]
    #[arg(long, env = "LEADLINE_OIDC_NAME", value_name = "NAME")]
    pub oidc_name: Option<String>,
    /// How long a session that began at the OpenID Connect provider lasts, 1m to 12h; changes at the provider take
    /// effect when the session ends
    #[arg(long, env = "LEADLINE_OIDC_SESSION_LIFETIME", value_name = "DURATION", default_value = "12h", value_parser = lifetime)]
    pub oidc_session_lifetime: Duration,
    /// File in PEM with the certificates of the authorities of the OpenID Connect provider [default: the public ones]
    #[arg(long, env = "LEADLINE_OIDC_CA_FILE", value_name = "FILE")]
    pub oidc_ca_file: Option<PathBuf>,
}

/// The identity provider, and the rights of the groups of its people.
pub(crate) struct Oidc {
    pub(super) provider: Provider,
    /// The name on the button of the log-in.
    pub(super) name: String,
    pub(super) rules: Vec<GroupRule>,
    pub(super) groups_claim: String,
    pub(super) session_lifetime: Duration,
}

/// The settings of the provider cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NoOidc {
    #[error("--oidc-issuer, --oidc-client-id and --oidc-groups need each other; give all three")]
    Incomplete,
    #[error(
        "--oidc-issuer: {0:?} is not an https URL of at most {MAX_ISSUER} bytes that has neither a query nor a fragment \
         (http is for a provider on this machine)"
    )]
    Issuer(String),
    #[error("{setting}: cannot use {}: {why}", .file.display())]
    File { setting: &'static str, file: PathBuf, why: String },
}

impl Options {
    /// The people who may log in at the provider; `None` without a provider.
    ///
    /// # Errors
    /// If a setting is missing or wrong.
    pub fn people(&self) -> Result<Option<People>, NoOidc> {
        let (issuer, rules) = match (&self.oidc_issuer, &self.oidc_client_id, &self.oidc_groups) {
            (None, None, rules) if rules.is_empty() => return Ok(None),
            (Some(issuer), Some(_), rules) if !rules.is_empty() => (issuer, rules),
            _ => return Err(NoOidc::Incomplete),
        };
        let url = Url::parse(issuer).ok().filter(|url| issuer.len() <= MAX_ISSUER && is_issuer(url));
        url.ok_or_else(|| NoOidc::Issuer(issuer.clone()))?;
        Ok(Some(People { issuer: issuer.clone(), rules: rules.clone() }))
    }

    pub(crate) fn oidc(&self) -> Result<Option<Oidc>, NoOidc> {
        let (Some(People { issuer, rules }), Some(client_id)) = (self.people()?, self.oidc_client_id.clone()) else {
            return Ok(None);
        };
        let scopes = ["openid", "email", "profile"].into_iter().chain(self.oidc_scopes.iter().map(String::as_str));
        let scope = scopes.collect::<Vec<_>>().join(" ");
        let host = Url::parse(&issuer).ok().and_then(|url| url.host_str().map(str::to_owned));
        let name = self.oidc_name.clone().or(host).unwrap_or_default();
        let authorities = self.oidc_ca_file.as_ref().map(|file| read("--oidc-ca-file", file)).transpose()?;
        let provider = Provider::new(issuer, client_id, self.secret()?, scope, authorities.as_deref());
        let provider = provider.map_err(|why| NoOidc::File {
            setting: "--oidc-ca-file",
            file: self.oidc_ca_file.clone().unwrap_or_default(),
            why,
        })?;
        let (groups_claim, session_lifetime) = (self.oidc_groups_claim.clone(), self.oidc_session_lifetime);
        Ok(Some(Oidc { provider, name, rules, groups_claim, session_lifetime }))
    }

    fn secret(&self) -> Result<Option<String>, NoOidc> {
        match &self.oidc_client_secret_file {
            Some(file) => Ok(Some(read("--oidc-client-secret-file", file)?.trim().to_owned())),
            None => Ok(self.oidc_client_secret.clone()),
        }
    }
}

fn read(setting: &'static str, file: &PathBuf) -> Result<String, NoOidc> {
    fs::read_to_string(file).map_err(|error| NoOidc::File { setting, file: file.clone(), why: error.chain() })
}

fn is_issuer(url: &Url) -> bool {
    let is_bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    is_bare && is_safe(url)
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = duration::parse(text)?;
    if (MIN_LIFETIME..=SESSION_LIFETIME).contains(&lifetime) {
        Ok(lifetime)
    } else {
        Err(format!("{text:?} is not from 1m to 12h"))
    }
}
