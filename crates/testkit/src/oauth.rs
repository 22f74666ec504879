//! A token server of OAuth 2.0 for client credentials (RFC 6749, 4.4), and a receiver that requires its access tokens.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use url::form_urlencoded;

use crate::receiver::{Answer, Receiver, Seen};

/// A token server on a loopback port. It ends when it is dropped.
#[derive(Debug)]
pub struct TokenServer {
    receiver: Receiver,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    client: (String, String),
    expires_in: u64,
    issued: usize,
    valid: BTreeSet<String>,
    failure: Option<(u16, String)>,
}

impl State {
    fn answer(&mut self, request: &Seen) -> Answer {
        if let Some((status, body)) = &self.failure {
            return Answer::With(*status, vec![], body.clone().into());
        }
        let form: BTreeMap<_, _> = form_urlencoded::parse(&request.body).into_owned().collect();
        if form.get("grant_type").map(String::as_str) != Some("client_credentials") {
            return json(400, r#"{"error":"unsupported_grant_type"}"#.into());
        }
        if login(request, &form).as_ref() != Some(&self.client) {
            return json(401, r#"{"error":"invalid_client","error_description":"no such client"}"#.into());
        }
        self.issued += 1;
        let token = format!("access-token-number-{}", self.issued);
        self.valid.insert(token.clone());
        let expires_in = self.expires_in;
        json(200, format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{expires_in}}}"#))
    }
}

fn json(status: u16, body: String) -> Answer {
    Answer::With(status, vec![("content-type", "application/json".into())], body.into())
}

/// The client of a token request, from its header or body (RFC 6749, 2.3.1).
fn login(request: &Seen, form: &BTreeMap<String, String>) -> Option<(String, String)> {
    let Some(pair) = request.header("authorization").strip_prefix("Basic ") else {
        return Some((form.get("client_id")?.clone(), form.get("client_secret")?.clone()));
    };
    let pair = String::from_utf8(STANDARD.decode(pair).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let decoded =
        |text: &str| form_urlencoded::parse(format!("x={text}").as_bytes()).next().map(|(_, v)| v.into_owned());
    Some((decoded(id)?, decoded(secret)?))
}

impl TokenServer {
    /// Starts a token server that knows one client. Its tokens last for an hour.
    pub async fn start(client_id: &str, secret: &str) -> Self {
        let receiver = Receiver::start().await;
        let client = (client_id.to_owned(), secret.to_owned());
        let state = State { client, expires_in: 3_600, issued: 0, valid: BTreeSet::new(), failure: None };
        let state = Arc::new(Mutex::new(state));
        let deciding = Arc::clone(&state);
        receiver.answer_by(move |request| locked(&deciding).answer(request));
        Self { receiver, state }
    }

    /// The URL for token requests.
    pub fn url(&self) -> String {
        self.receiver.url().replace("/hook", "/token")
    }

    /// Every token request, the oldest first.
    pub fn requests(&self) -> Vec<Seen> {
        self.receiver.requests()
    }

    /// The number of token requests.
    pub fn count(&self) -> usize {
        self.receiver.count()
    }

    /// Answers every further token request with this; `None` restores correct answers.
    pub fn fail(&self, failure: Option<(u16, &str)>) {
        locked(&self.state).failure = failure.map(|(status, body)| (status, body.to_owned()));
    }

    /// Sets the lifetime in seconds that further answers give for tokens.
    pub fn expires_in(&self, seconds: u64) {
        locked(&self.state).expires_in = seconds;
    }

    /// Revokes all tokens before their lifetime ends.
    pub fn revoke_all(&self) {
        locked(&self.state).valid.clear();
    }

    /// Makes a receiver answer 401 to requests without a valid token.
    pub fn protect(&self, receiver: &Receiver) {
        let state = Arc::clone(&self.state);
        receiver.answer_by(move |request| {
            let token = request.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
            if locked(&state).valid.contains(token) {
                Answer::Status(200)
            } else {
                Answer::With(401, vec![], format!("the token {token} is not known").into())
            }
        });
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
