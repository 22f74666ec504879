//! Sends a request, with an access token if its destination needs one.

use std::time::Duration;

use domain::{AccountId, AttemptOutcome};
use http::{StatusCode, header::AUTHORIZATION};
use tokio::time::Instant;

use crate::{
    Shared,
    transport::oauth::{AccessToken, Grant},
    transport::outcome::NotSent,
    transport::redaction::Redaction,
    transport::request::Request,
};

/// Sends a request. A receiver that refuses a token from memory (401) gets the request once more, with a new token, within
/// the same attempt: it may have forgotten the token earlier than its server said.
///
/// # Errors
/// When nothing was sent, and that says nothing about the receiver.
pub(crate) async fn send(
    shared: &Shared,
    account: &AccountId,
    mut request: Request,
    timeout: Duration,
) -> Result<AttemptOutcome, NotSent> {
    match request.grant.take() {
        None => shared.client.send(account, &request, timeout).await,
        // Boxed, because it is large and rare.
        Some(grant) => Box::pin(send_with_token(shared, account, request, &grant, timeout)).await,
    }
}

async fn send_with_token(
    shared: &Shared,
    account: &AccountId,
    mut request: Request,
    grant: &Grant,
    timeout: Duration,
) -> Result<AttemptOutcome, NotSent> {
    let begun = Instant::now();
    let token = match shared.tokens.get(&shared.client, account, grant, request.route.as_ref()).await {
        Ok(token) => token,
        Err(error) => return error.into_outcome(),
    };
    let sent = Instant::now();
    let outcome = send_once(shared, account, &mut request, &token, timeout).await?;
    if outcome.status_code() != StatusCode::UNAUTHORIZED.as_u16() {
        return Ok(outcome);
    }
    shared.tokens.discard(grant, &token).await;
    let left = timeout.saturating_sub(sent.elapsed());
    if token.fetched_at >= begun || left.is_zero() {
        // It was new, so another one is of no use.
        return Ok(outcome);
    }
    match shared.tokens.get(&shared.client, account, grant, request.route.as_ref()).await {
        Ok(renewed) => send_once(shared, account, &mut request, &renewed, left).await,
        Err(error) => error.into_outcome(),
    }
}

async fn send_once(
    shared: &Shared,
    account: &AccountId,
    request: &mut Request,
    token: &AccessToken,
    timeout: Duration,
) -> Result<AttemptOutcome, NotSent> {
    request.headers.insert(AUTHORIZATION, token.header.clone());
    let outcome = shared.client.send(account, request, timeout).await?;
    Ok(Redaction::of_header(token.header.as_bytes()).apply(outcome))
}
