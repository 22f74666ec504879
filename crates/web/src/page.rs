//! Serves the files of pages that everyone may read. The pages load files only from this server.

use axum::{
    http::header,
    response::IntoResponse,
    routing::{MethodRouter, get},
};

/// A page loads files only from this server, and no other page may show it in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// A file of a page.
pub(crate) fn page(content_type: &'static str, text: &'static str) -> MethodRouter {
    get(move || async move {
        let headers = [
            (header::CONTENT_TYPE, content_type),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (headers, text).into_response()
    })
}
