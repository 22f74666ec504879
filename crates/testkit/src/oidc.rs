//! An identity provider (OpenID Connect): discovery, keys, authorization codes with PKCE, and signed ID tokens.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::receiver::{Answer, Receiver, Seen};

/// A key for tests only. To make a new one would take seconds.
const RSA: &str = include_str!("oidc/rsa.txt");

/// An identity provider on a loopback port, with one client and one person, who agrees to everything at once. It ends
/// when it is dropped.
#[derive(Debug)]
pub struct IdentityProvider {
    receiver: Receiver,
    state: Arc<Mutex<State>>,
}

/// A change of the claims of an ID token before it is signed.
type Tamper = Box<dyn Fn(&mut Value) + Send>;

struct State {
    issuer: String,
    client: (String, String),
    /// The claims about the person.
    person: Value,
    key: Key,
    /// The published key; `None` if it is the one that signs.
    shown: Option<Value>,
    codes: HashMap<String, Pending>,
    issued: usize,
    tamper: Option<Tamper>,
    failure: Option<u16>,
    denies: bool,
}

/// The log-in of a code.
struct Pending {
    nonce: String,
    challenge: String,
    redirect_uri: String,
}

enum Signing {
    Rs256(RsaKeyPair),
    Es256(EcdsaKeyPair),
}

struct Key {
    id: String,
    signing: Signing,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("issuer", &self.issuer).field("issued", &self.issued).finish_non_exhaustive()
    }
}

impl Key {
    fn rs256(id: &str) -> Self {
        let der = STANDARD.decode(RSA.replace('\n', "")).expect("the key is in base64");
        Self { id: id.into(), signing: Signing::Rs256(RsaKeyPair::from_pkcs8(&der).expect("the key is valid")) }
    }

    fn es256(id: &str) -> Self {
        let (way, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let made = EcdsaKeyPair::generate_pkcs8(way, &random).expect("a key can be made");
        let pair = EcdsaKeyPair::from_pkcs8(way, made.as_ref(), &random).expect("the key is valid");
        Self { id: id.into(), signing: Signing::Es256(pair) }
    }

    fn algorithm(&self) -> &'static str {
        match self.signing {
            Signing::Rs256(_) => "RS256",
            Signing::Es256(_) => "ES256",
        }
    }

    /// The public key (RFC 7517).
    fn public(&self) -> Value {
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (kid, alg) = (&self.id, self.algorithm());
        match &self.signing {
            Signing::Rs256(pair) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "use": "sig", "kid": kid, "alg": alg, "n": number(&n), "e": number(&e)})
            }
            Signing::Es256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "use": "sig", "kid": kid, "alg": alg, "crv": "P-256", "x": number(x), "y": number(y)})
            }
        }
    }

    fn token(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": self.algorithm(), "kid": self.id, "typ": "JWT"});
        let message = format!("{}.{}", part(&header), part(claims));
        let random = SystemRandom::new();
        let signature = match &self.signing {
            Signing::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).expect("the key signs");
                signature
            }
            Signing::Es256(pair) => pair.sign(&random, message.as_bytes()).expect("the key signs").as_ref().to_vec(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl State {
    fn answer(&mut self, request: &Seen) -> Answer {
        if let Some(status) = self.failure {
            return Answer::Status(status);
        }
        let path = request.path.split('?').next().unwrap_or_default();
        match (request.method.as_str(), path) {
            ("GET", "/.well-known/openid-configuration") => json_answer(200, &self.configuration()),
            ("GET", "/keys") => {
                // A provider may have keys of unknown kinds.
                let unknown = json!({"kty": "NEW", "kid": "unknown"});
                json_answer(200, &json!({"keys": [unknown, self.shown.clone().unwrap_or_else(|| self.key.public())]}))
            }
            ("GET", "/authorize") => self.authorize(&request.path),
            ("POST", "/token") => self.exchange(request),
            _ => Answer::Status(404),
        }
    }

    fn configuration(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "jwks_uri": at("/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        })
    }

    fn authorize(&mut self, path: &str) -> Answer {
        let query: HashMap<_, _> =
            form_urlencoded::parse(path.split_once('?').map_or("", |(_, query)| query).as_bytes())
                .into_owned()
                .collect();
        let given = |name: &str| query.get(name).cloned().unwrap_or_default();
        let is_good = given("response_type") == "code"
            && given("client_id") == self.client.0
            && given("code_challenge_method") == "S256"
            && given("scope").split(' ').any(|scope| scope == "openid");
        let Some(mut back) = Url::parse(&given("redirect_uri")).ok().filter(|_| is_good) else {
            return json_answer(400, &json!({"error": "invalid_request"}));
        };
        if self.denies {
            back.query_pairs_mut().append_pair("error", "access_denied");
        } else {
            self.issued += 1;
            let code = format!("code-number-{}", self.issued);
            let pending = Pending {
                nonce: given("nonce"),
                challenge: given("code_challenge"),
                redirect_uri: given("redirect_uri"),
            };
            back.query_pairs_mut().append_pair("code", &code);
            self.codes.insert(code, pending);
        }
        back.query_pairs_mut().append_pair("state", &given("state")).append_pair("iss", &self.issuer);
        Answer::With(303, vec![("location", back.into())], "".into())
    }

    fn exchange(&mut self, request: &Seen) -> Answer {
        let refused = |status, error: &str| json_answer(status, &json!({"error": error}));
        let form: HashMap<_, _> = form_urlencoded::parse(&request.body).into_owned().collect();
        let given = |name: &str| form.get(name).cloned().unwrap_or_default();
        // Both parts are encoded as in a form (RFC 6749, 2.3.1).
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(&self.client.0), encoded(&self.client.1));
        if request.header("authorization") != format!("Basic {}", STANDARD.encode(pair)) {
            return refused(401, "invalid_client");
        }
        // A code can be used once.
        let Some(pending) = self.codes.remove(&given("code")) else { return refused(400, "invalid_grant") };
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, given("code_verifier").as_bytes()));
        let is_good = given("grant_type") == "authorization_code"
            && challenge == pending.challenge
            && given("redirect_uri") == pending.redirect_uri;
        if !is_good {
            return refused(400, "invalid_grant");
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let mut claims = self.person.clone();
        for (claim, value) in [
            ("iss", json!(self.issuer)),
            ("aud", json!(self.client.0)),
            ("iat", json!(now)),
            ("exp", json!(now + 300)),
            ("nonce", json!(pending.nonce)),
        ] {
            claims[claim] = value;
        }
        if let Some(tamper) = &self.tamper {
            tamper(&mut claims);
        }
        let token = self.key.token(&claims);
        json_answer(200, &json!({"access_token": "unused", "token_type": "Bearer", "id_token": token}))
    }
}

fn json_answer(status: u16, body: &Value) -> Answer {
    Answer::With(status, vec![("content-type", "application/json".into())], body.to_string().into())
}

impl IdentityProvider {
    /// Starts a provider with one client, and with these claims about its person. It signs with RS256.
    pub async fn start(client_id: &str, secret: &str, person: Value) -> Self {
        let receiver = Receiver::start().await;
        let state = State {
            issuer: receiver.url().trim_end_matches("/hook").to_owned(),
            client: (client_id.to_owned(), secret.to_owned()),
            person,
            key: Key::rs256("first"),
            shown: None,
            codes: HashMap::new(),
            issued: 0,
            tamper: None,
            failure: None,
            denies: false,
        };
        let state = Arc::new(Mutex::new(state));
        let deciding = Arc::clone(&state);
        receiver.answer_by(move |request| locked(&deciding).answer(request));
        Self { receiver, state }
    }

    pub fn issuer(&self) -> String {
        locked(&self.state).issuer.clone()
    }

    /// Sets the claims about the person in further ID tokens.
    pub fn says(&self, person: Value) {
        locked(&self.state).person = person;
    }

    /// Replaces its key by one of this id, which signs with ES256.
    pub fn rotate_to_es256(&self, id: &str) {
        let mut state = locked(&self.state);
        state.key = Key::es256(id);
        state.shown = None;
    }

    /// Signs further ID tokens with a key that is not published, under the id of the published key.
    pub fn signs_with_another_key(&self) {
        let mut state = locked(&self.state);
        let shown = state.key.public();
        state.key = Key::es256(&state.key.id.clone());
        state.shown = Some(shown);
    }

    /// Changes the claims of further ID tokens.
    pub fn tampers(&self, tamper: impl Fn(&mut Value) + Send + 'static) {
        locked(&self.state).tamper = Some(Box::new(tamper));
    }

    /// Makes correct ID tokens again.
    pub fn is_honest(&self) {
        locked(&self.state).tamper = None;
    }

    /// Answers every request with this status; `None` restores correct answers.
    pub fn fails(&self, status: Option<u16>) {
        locked(&self.state).failure = status;
    }

    /// Whether the person refuses to log in.
    pub fn denies(&self, denies: bool) {
        locked(&self.state).denies = denies;
    }

    /// Every request, the oldest first.
    pub fn requests(&self) -> Vec<Seen> {
        self.receiver.requests()
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
