//! The page `/docs`: it shows `/openapi.json` and calls methods. It loads files only from this server.

use axum::Router;

use crate::page::page;

pub(super) fn routes() -> Router {
    Router::new()
        .route("/docs", page("text/html; charset=utf-8", include_str!("../../assets/docs.html")))
        .route("/docs/docs.js", page("text/javascript; charset=utf-8", include_str!("../../assets/docs.js")))
        .route("/docs/docs.css", page("text/css; charset=utf-8", include_str!("../../assets/docs.css")))
}
