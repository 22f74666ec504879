//! `--nats-url`: the addresses of the broker, and the login that the URL holds.

use std::{borrow::Cow, fmt};

use async_nats::{ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::error::JournalError;

/// The servers of a broker. Their addresses hold no login, because the client library logs them.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) addresses: Vec<ServerAddr>,
    login: Option<Login>,
}

enum Login {
    Password { user: String, password: String },
    Token(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

impl Servers {
    /// Parses server URLs, separated by commas. The first login counts for all servers.
    pub(crate) fn parse(text: &str) -> Result<Self, JournalError> {
        let refused = |problem| JournalError::Url { url: without_login(text).to_owned(), problem };
        let (mut addresses, mut login) = (vec![], None);
        for part in text.split(',') {
            let (address, named) = server(part.trim()).map_err(refused)?;
            addresses.push(address);
            login = login.or(named);
        }
        Ok(Self { addresses, login })
    }

    /// Sets the login of the URL, if there is one.
    pub(crate) fn log_in(&self, options: ConnectOptions) -> ConnectOptions {
        match &self.login {
            Some(Login::Password { user, password }) => options.user_and_password(user.clone(), password.clone()),
            Some(Login::Token(token)) => options.token(token.clone()),
            None => options,
        }
    }

    pub(crate) fn shown(&self) -> String {
        self.addresses.iter().map(ServerAddr::as_url_str).collect::<Vec<_>>().join(",")
    }
}

fn server(text: &str) -> Result<(ServerAddr, Option<Login>), String> {
    let text = if text.contains("://") { Cow::Borrowed(text) } else { Cow::Owned(format!("nats://{text}")) };
    let mut url = Url::parse(&text).map_err(|error| error.to_string())?;
    if !["nats", "tls"].contains(&url.scheme()) {
        return Err(format!("its scheme is {}; use nats or tls", url.scheme()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("it has no host".to_owned());
    }
    if url.port() == Some(0) {
        return Err("its port is 0".to_owned());
    }
    // The usual cause is a password with characters that have to be encoded.
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err("something follows its host and port".to_owned());
    }
    let login = login(&url)?;
    let cleared = url.set_password(None).and_then(|()| url.set_username(""));
    cleared.map_err(|()| "it has no host".to_owned())?;
    let address = ServerAddr::from_url(url).map_err(|error| error.to_string())?;
    Ok((address, login))
}

fn login(url: &Url) -> Result<Option<Login>, String> {
    let decoded = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded.map(Cow::into_owned).map_err(|_| "its user or password is not UTF-8 after decoding".to_owned())
    };
    Ok(match (url.username(), url.password()) {
        ("", None) => None,
        ("", Some(_)) => return Err("it has a password and no user".to_owned()),
        (token, None) => Some(Login::Token(decoded(token)?)),
        (user, Some(password)) => Some(Login::Password { user: decoded(user)?, password: decoded(password)? }),
    })
}

/// The text after the last `@`. Everything before may be secret, even in a malformed URL.
fn without_login(text: &str) -> &str {
    text.rsplit('@').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use runtime::ErrorChain as _;

    use super::*;

    fn logged_in(text: &str) -> (String, Option<(String, String)>) {
        let servers = Servers::parse(text).unwrap();
        let login = servers.login.as_ref().map(|login| match login {
            Login::Password { user, password } => (user.clone(), password.clone()),
            Login::Token(token) => (String::new(), token.clone()),
        });
        (servers.shown(), login)
    }

    #[test]
    fn user_password_and_token_are_decoded_and_leave_the_url() {
        let of = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        for (text, shown, login) in [
            ("localhost", "nats://localhost", None),
            ("nats://a:4222, tls://b", "nats://a:4222,tls://b", None),
            ("nats://leadline:p%40ss%2Fw%231@host:4222", "nats://host:4222", of("leadline", "p@ss/w#1")),
            ("nats://us%3Aer:%25@host", "nats://host", of("us:er", "%")),
            ("tls://s%2Fe%40c@[::1]:4222/", "tls://[::1]:4222/", of("", "s/e@c")),
            ("nats://a,nats://u:p@b,nats://v:q@c", "nats://a,nats://b,nats://c", of("u", "p")),
        ] {
            assert_eq!(logged_in(text), (shown.to_owned(), login), "{text}");
        }
    }

    #[test]
    fn a_malformed_url_is_refused_without_its_secrets() {
        for text in [
            "",
            "http://user:secret@host",
            "nats://",
            "nats://user:secret@",
            "nats://user:secret@host:70000",
            "nats://user:secret@host:0",
            "nats://:secret@host",
            "nats://user:sec/ret@host",
            "nats://user:sec#ret@host",
            "nats://user:sec?ret@host",
            "nats://user:secret,ret@host",
            "nats://user:secret@host,http://user:secret@other",
            "nats://user:secret%FF@host",
        ] {
            let error = Servers::parse(text).unwrap_err();
            let said = error.chain();
            assert!(said.contains("--nats-url") && !error.is_passing(), "{text}: {said}");
            assert!(!said.contains("secret") && !said.contains("user:"), "{text}: {said}");
        }
        assert!(!format!("{:?}", Servers::parse("nats://user:secret@host").unwrap()).contains("secret"));
    }
}
