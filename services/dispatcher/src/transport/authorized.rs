//! Sends a request, with an access token if its destination needs one.

use std::time::Duration;

use domain::{AccountId, AttemptOutcome};
use http::{StatusCode, header::AUTHORIZATION};
use tokio::time::Instant;

use crate::{
    shared::Shared,
    transport::{
        client::wire::Seen, exchange::Sent, grant::Grant, oauth::AccessToken, outcome::NotSent, redaction::Redaction,
        request::Request,
    },
};

/// Sends a request. If a receiver refuses a token from memory (401), the request is sent once more with a new token, in
/// the same attempt. The old token may have expired earlier than its server announced.
///
/// # Errors
/// When nothing was sent for a reason that does not concern the receiver.
pub(crate) async fn send(
    shared: &Shared,
    account: &AccountId,
    mut request: Request,
    timeout: Duration,
) -> Result<Sent, NotSent> {
    match request.grant.take() {
        None => shared.client.send(account, &request, timeout).await,
        // Boxed, because this future is large and seldom needed.
        Some(grant) => Box::pin(send_with_token(shared, account, request, &grant, timeout)).await,
    }
}

async fn send_with_token(
    shared: &Shared,
    account: &AccountId,
    mut request: Request,
    grant: &Grant,
    timeout: Duration,
) -> Result<Sent, NotSent> {
    let begun = Instant::now();
    let token = match shared.tokens.get(&shared.client, account, grant, request.route.as_ref()).await {
        Ok(token) => token,
        Err(error) => return error.into_outcome().map(|outcome| without_token(&request, outcome)),
    };
    let sent = Instant::now();
    let answered = send_once(shared, account, &mut request, &token, timeout).await?;
    if answered.outcome.status_code() != StatusCode::UNAUTHORIZED.as_u16() {
        return Ok(answered);
    }
    shared.tokens.discard(grant, &token).await;
    let left = timeout.saturating_sub(sent.elapsed());
    if token.fetched_at >= begun || left.is_zero() {
        // The token was new, so another one would not help.
        return Ok(answered);
    }
    match shared.tokens.get(&shared.client, account, grant, request.route.as_ref()).await {
        Ok(renewed) => send_once(shared, account, &mut request, &renewed, left).await,
        Err(error) => error.into_outcome().map(|outcome| Sent { outcome, ..answered }),
    }
}

/// The result of an attempt without an access token. Nothing was sent to the receiver.
fn without_token(request: &Request, outcome: AttemptOutcome) -> Sent {
    Sent::of(request, &[], outcome, None, Seen::default())
}

async fn send_once(
    shared: &Shared,
    account: &AccountId,
    request: &mut Request,
    token: &AccessToken,
    timeout: Duration,
) -> Result<Sent, NotSent> {
    request.headers.insert(AUTHORIZATION, token.header.clone());
    let sent = shared.client.send(account, request, timeout).await?;
    Ok(sent.redacted(&Redaction::of_header(token.header.as_bytes())))
}
