//! The page `/docs`: it shows `/openapi.json` and calls methods. Everything that it needs comes from this server.

use axum::{
    Router,
    http::header,
    response::IntoResponse,
    routing::{MethodRouter, get},
};

/// The page loads nothing from elsewhere, and no other page shows it in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

pub(super) fn routes() -> Router {
    Router::new()
        .route("/docs", page("text/html; charset=utf-8", include_str!("../../assets/docs.html")))
        .route("/docs/docs.js", page("text/javascript; charset=utf-8", include_str!("../../assets/docs.js")))
        .route("/docs/docs.css", page("text/css; charset=utf-8", include_str!("../../assets/docs.css")))
}

/// A file that everyone may read.
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
