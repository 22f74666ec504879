//! Authentication of HTTP routes.

use std::time::Duration;

use api::status;
use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use domain::access::Rule;
use futures::StreamExt as _;
use runtime::RequestId;
use serde_json::json;
use tonic::Status;

use crate::authenticator::{Authenticator, Refused};

/// The maximum number of bytes that are read of a refused request. A client that sends more may see a broken connection
/// instead of the answer.
const MAX_DISCARDED: usize = 256 * 1024;
/// The maximum time for which a refused request is read, so that a client without a key cannot keep a connection for
/// longer.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);
/// The value of `Retry-After`, in seconds, when the key cannot be checked.
const RETRY_AFTER: &str = "1";

impl Authenticator {
    /// Guards routes. The principal is in the extensions of each request that reaches them, as a [`domain::Principal`].
    pub fn guard_http(&self, rule: Rule, routes: Router) -> Router {
        routes.route_layer(middleware::from_fn_with_state((self.clone(), rule), enter))
    }
}

async fn enter(
    State((authenticator, rule)): State<(Authenticator, Rule)>,
    mut request: Request,
    next: Next,
) -> Response {
    match authenticator.admit(request.headers(), rule).await {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(refused) => {
            let id = request.extensions().get::<RequestId>().cloned();
            discard(request.into_body()).await;
            answer(&refused, id.as_ref())
        }
    }
}

async fn discard(body: Body) {
    let (mut length, mut chunks) = (0, body.into_data_stream());
    let reading = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            length += chunk.len();
            if length > MAX_DISCARDED {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, reading).await;
}

fn answer(refused: &Refused, id: Option<&RequestId>) -> Response {
    let status = Status::from(refused);
    let body = Json(json!({"error": {
        "code": status::word(status.code()),
        "reason": status::reason(&status),
        "message": status.message(),
        "request_id": id.map(RequestId::as_str),
    }}));
    match refused.http_status() {
        StatusCode::UNAUTHORIZED => {
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], body).into_response()
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER)], body).into_response()
        }
        status => (status, body).into_response(),
    }
}
