//! Sessions of the console. A person logs in with an API key, with a link that an authenticated caller created, or at
//! the identity provider.
//!
//! A session is stored in its cookie only, so it is valid in every process and after a restart. The cookie contains the
//! holder, the bounds and the end of the session, and a code that only the master key can make. Each call
//! looks up the API key in the registry view, so a session ends when its key is revoked or expires. A session from the
//! identity provider ends when no rule names the groups of its person any more. A call also needs a header that pages
//! of other sites can neither read nor send.

use std::sync::{Arc, OnceLock};

use crypto::{Links, MasterKey};
use domain::{
    AccountId, ClientId, KeyId, Principal,
    access::{Bounds, GroupRule, Holder, Person, Scope, rights_of},
};
use http::{HeaderMap, HeaderName, header};
use jiff::Timestamp;
use runtime::Addresses;
use serde::{Deserialize, Serialize};
use url::Url;

/// The header that each call in a session must carry.
pub const CSRF: HeaderName = HeaderName::from_static("x-leadline-csrf");
/// Says whether a page of another site caused the request (Fetch Metadata). Browsers set this header, and pages cannot
/// change it.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The name of the cookie. Over https it has a prefix, so that browsers accept it from this host only (RFC 6265bis,
/// 4.1.3.2).
const COOKIE: &str = "leadline_session";
const COOKIE_OVER_HTTPS: &str = "__Host-leadline_session";
/// The purposes of the signed texts ([`Links`]). A text that was signed for one purpose is not valid for another.
const OF_COOKIES: &str = "leadline console session";
const OF_CSRF: &str = "leadline console csrf";
const OF_TOKENS: &str = "leadline console login";
const OF_LOG_INS: &str = "leadline console log-in at the identity provider";
/// The name of the cookie of an unfinished log-in at the identity provider. Over https it has the same prefix.
const LOG_IN_COOKIE: &str = "leadline_log_in";
const LOG_IN_COOKIE_OVER_HTTPS: &str = "__Host-leadline_log_in";

/// The addresses under which browsers reach this installation.
#[derive(Debug, Clone)]
pub struct Site {
    /// `None` if browsers use the address of the HTTP listener.
    public_url: Option<Url>,
    /// The addresses of the process, once it listens.
    addresses: Arc<OnceLock<Addresses>>,
}

/// The public URL is not the address of a web site.
#[derive(Debug, thiserror::Error)]
#[error("--public-url: {0:?} is not a URL such as https://leads.example, without a query or a fragment")]
pub struct NoSite(String);

impl Site {
    /// The site at this public URL, or at the addresses of the process if there is no public URL.
    ///
    /// # Errors
    /// If the text is not a URL with http or https, or has a query or a fragment.
    pub fn new(public_url: Option<&str>, addresses: Arc<OnceLock<Addresses>>) -> Result<Self, NoSite> {
        let is_site =
            |url: &Url| ["https", "http"].contains(&url.scheme()) && url.query().is_none() && url.fragment().is_none();
        let parse = |text: &str| Url::parse(text).ok().filter(is_site).ok_or_else(|| NoSite(text.to_owned()));
        Ok(Self { public_url: public_url.map(parse).transpose()?, addresses })
    }

    /// Whether browsers use https.
    pub fn is_https(&self) -> bool {
        let is_tls = self.addresses.get().is_some_and(|addresses| addresses.tls);
        is_tls || self.public_url.as_ref().is_some_and(|url| url.scheme() == "https")
    }

    /// The URL of a path, such as `console/`.
    pub fn at(&self, path: &str) -> String {
        let of_listener = || self.addresses.get().map(Addresses::http_url).unwrap_or_default();
        let base = self.public_url.as_ref().map_or_else(of_listener, Url::to_string);
        format!("{}/{path}", base.trim_end_matches('/'))
    }

    /// The name of the cookie of a session.
    pub fn cookie(&self) -> &'static str {
        if self.is_https() { COOKIE_OVER_HTTPS } else { COOKIE }
    }

    /// The name of the cookie of a log-in at the identity provider.
    pub fn log_in_cookie(&self) -> &'static str {
        if self.is_https() { LOG_IN_COOKIE_OVER_HTTPS } else { LOG_IN_COOKIE }
    }
}

/// A session, or a link that begins one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Unique to the session.
    pub id: String,
    pub of: Holder,
    pub bounds: Bounds,
    /// When a link expires; in a session, the same as `bounds.until`, which is the end of the session.
    pub good_until: Timestamp,
}

/// The JSON form of a grant. The names of its fields are short, because a cookie has to be short.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    /// The id of the session.
    i: String,
    /// The id of the API key; empty if the holder is a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    k: String,
    /// The person who holds the session; `None` if the holder is an API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    o: Option<WrittenPerson>,
    /// The account.
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<String>,
    /// The client.
    #[serde(skip_serializing_if = "Option::is_none")]
    c: Option<String>,
    /// The scopes.
    s: Vec<String>,
    /// The name that the person gave.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    n: String,
    /// Whether the session is a portal.
    #[serde(default)]
    p: bool,
    /// The end of the session, in seconds.
    u: i64,
    /// `good_until`, in seconds.
    g: i64,
}

/// Issuer, subject, name and groups of a person.
#[derive(Debug, Serialize, Deserialize)]
struct WrittenPerson {
    i: String,
    s: String,
    #[serde(default)]
    n: String,
    g: Vec<String>,
}

impl Grant {
    fn write(&self) -> String {
        let bounds = &self.bounds;
        let (key, person) = match &self.of {
            Holder::Key(key) => (key.to_string(), None),
            Holder::Person(person) => {
                let Person { issuer, subject, name, groups } = Person::clone(person);
                (String::new(), Some(WrittenPerson { i: issuer, s: subject, n: name, g: groups }))
            }
        };
        let written = Written {
            i: self.id.clone(),
            k: key,
            o: person,
            a: bounds.account.as_ref().map(ToString::to_string),
            c: bounds.client.as_ref().map(ToString::to_string),
            s: bounds.scopes.named().map(|scope| scope.as_str().to_owned()).collect(),
            n: bounds.person.clone(),
            p: bounds.is_portal,
            u: bounds.until.as_second(),
            g: self.good_until.as_second(),
        };
        serde_json::to_string(&written).unwrap_or_default()
    }

    fn read(text: &str) -> Option<Self> {
        let written: Written = serde_json::from_str(text).ok()?;
        let bounds = Bounds {
            account: written.a.map(|id| AccountId::parse(&id)).transpose().ok()?,
            client: written.c.map(|id| ClientId::parse(&id)).transpose().ok()?,
            scopes: written.s.iter().map(|word| Scope::parse(word)).collect::<Option<_>>()?,
            until: Timestamp::from_second(written.u).ok()?,
            person: written.n,
            is_portal: written.p,
        };
        let good_until = Timestamp::from_second(written.g).ok()?;
        let of = match written.o {
            Some(WrittenPerson { i: issuer, s: subject, n: name, g: groups }) => {
                Holder::Person(Person { issuer, subject, name, groups }.into())
            }
            None => Holder::Key(KeyId::parse(&written.k).ok()?),
        };
        Some(Self { id: written.i, of, bounds, good_until })
    }
}

/// Why a session is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSession {
    #[error("the session has ended; log in to the console again")]
    Ended,
    #[error(
        "the call has a session cookie, but no header x-leadline-csrf of that session; GET /console/session returns it"
    )]
    Csrf,
    #[error("this call comes from a page of another site; only the console can call in its session")]
    CrossSite,
}

/// Who may log in at the identity provider.
#[derive(Debug, Clone)]
pub struct People {
    /// The identity provider.
    pub issuer: String,
    pub rules: Vec<GroupRule>,
}

impl People {
    /// The principal of a person until this time; `None` if no rule names one of their groups, or if they logged in at
    /// another provider.
    pub fn principal(&self, person: &Arc<Person>, until: Timestamp) -> Option<Principal> {
        let (rights, _) = rights_of(&self.rules, &person.groups).filter(|_| person.issuer == self.issuer)?;
        person.principal(&rights, until)
    }
}

/// Writes and reads the cookies and the link tokens of sessions.
#[derive(Debug, Clone)]
pub struct Sessions {
    pub site: Site,
    /// `None` if the installation has no identity provider.
    pub people: Option<Arc<People>>,
    log_ins: Links,
    cookies: Links,
    csrf: Links,
    tokens: Links,
}

impl Sessions {
    pub fn new(site: Site, people: Option<People>, key: &MasterKey) -> Self {
        let links = |purpose| Links::new(key, purpose);
        Self {
            site,
            people: people.map(Arc::new),
            log_ins: links(OF_LOG_INS),
            cookies: links(OF_COOKIES),
            csrf: links(OF_CSRF),
            tokens: links(OF_TOKENS),
        }
    }

    /// The value of the cookie of a session.
    pub fn cookie(&self, grant: &Grant) -> String {
        self.cookies.write(&grant.write())
    }

    /// The value of the header [`CSRF`] that calls in this session need.
    pub fn csrf(&self, grant: &Grant) -> String {
        self.csrf.write(&grant.id)
    }

    /// The token of a log-in link.
    pub fn token(&self, grant: &Grant) -> String {
        self.tokens.write(&grant.write())
    }

    /// The grant of a log-in link; `None` if this installation did not make the token, or the token has expired.
    pub fn of_token(&self, token: &str) -> Option<Grant> {
        Grant::read(&self.tokens.read(token)?).filter(|grant| Timestamp::now() < grant.good_until)
    }

    /// The session of these headers; `None` if they have no session cookie. The API key of the session is not checked.
    ///
    /// # Errors
    /// If this installation did not make the cookie, or the session has ended.
    pub fn of_headers(&self, headers: &HeaderMap) -> Option<Result<Grant, NoSession>> {
        let value = cookie_of(headers, self.site.cookie())?;
        let grant = self.cookies.read(value).and_then(|text| Grant::read(&text));
        Some(grant.filter(|grant| Timestamp::now() < grant.good_until).ok_or(NoSession::Ended))
    }

    /// The value of the cookie of a log-in at the identity provider.
    pub fn log_in(&self, text: &str) -> String {
        self.log_ins.write(text)
    }

    /// The text in the cookie of a log-in at the identity provider; `None` if the headers have no such cookie of this
    /// installation.
    pub fn log_in_of(&self, headers: &HeaderMap) -> Option<String> {
        self.log_ins.read(cookie_of(headers, self.site.log_in_cookie())?)
    }

    /// Checks that a call in a session comes from the console.
    ///
    /// # Errors
    /// If it does not.
    pub fn check_origin(&self, grant: &Grant, headers: &HeaderMap) -> Result<(), NoSession> {
        from_here(headers)?;
        let given = headers.get(CSRF).and_then(|value| value.to_str().ok()).ok_or(NoSession::Csrf)?;
        if self.csrf.read(given).as_ref() == Some(&grant.id) { Ok(()) } else { Err(NoSession::Csrf) }
    }
}

fn cookie_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut named = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    named.find(|(cookie, _)| *cookie == name).map(|(_, value)| value)
}

/// Checks that no page of another site caused a request. Clients other than browsers do not send `sec-fetch-site`, so
/// they pass.
///
/// # Errors
/// If such a page caused it.
pub fn from_here(headers: &HeaderMap) -> Result<(), NoSession> {
    let mut sites = headers.get_all(FETCH_SITE).iter();
    if sites.all(|site| site == "same-origin" || site == "none") { Ok(()) } else { Err(NoSession::CrossSite) }
}

/// The bounds of a session with the present rights of the caller. The session ends at this time, or when the API key
/// expires if that is earlier.
pub fn bounds_of(principal: &Principal, person: String, until: Timestamp) -> Bounds {
    let key = principal.key();
    Bounds {
        account: key.account.clone(),
        client: key.client.clone(),
        scopes: key.scopes,
        until: key.expires_at.map_or(until, |end| end.min(until)),
        person: principal.person().map_or(person, str::to_owned),
        is_portal: principal.is_portal(),
    }
}
