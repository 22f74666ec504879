//! The API over HTTP, for callers that do not speak gRPC: browsers, scripts and tools.
//!
//! * `application/grpc-web…` is gRPC-Web, which [`tonic_web`] translates
//! * `application/json`, `application/proto` and `application/connect+…` are the Connect protocol ([`connect`]): a
//!   method is called with POST at `/leadline.v1.LeadService/GetLead`, in JSON or in protobuf
//!
//! Every call becomes a gRPC request to the same routes in the same process ([`call`]), so authentication, access rules
//! and limits are those of gRPC. [`methods`] reads the methods from the descriptors, so a new method needs no code
//! here. [`openapi`] serves their description at `/openapi.json`, and a page that shows it at `/docs`. [`runbook`] is
//! the page that the links of alerts open. The error for an unknown path points to the description.
//!
//! Guarantees: the body of a call is read after its API key is accepted, up to [`call::MAX_MESSAGE`].

mod call;
mod connect;
mod json;
mod methods;
mod openapi;
mod page;
mod runbook;

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::any,
};
use domain::text::bounded;
use runtime::RequestId;
use serde_json::json;
use tonic::{Status, service::Routes};
use tower::{Layer as _, ServiceExt as _};

use self::{
    call::SharedBody,
    connect::Connect,
    methods::{Methods, Served},
};

/// The methods of the API, before they are connected to the routes of gRPC.
#[derive(Debug)]
pub struct OverHttp(Methods);

#[derive(Clone)]
struct Web {
    methods: Arc<Methods>,
    grpc: Router,
}

impl OverHttp {
    /// # Errors
    /// If the descriptors of the API are broken.
    pub fn new() -> Result<Self, prost_reflect::DescriptorError> {
        Methods::of_api().map(Self)
    }

    /// The HTTP routes of the API. `grpc` are the routes of gRPC, and `served` the names of their services.
    pub fn routes(mut self, grpc: Routes, served: &[&str]) -> Router {
        self.0.serve(served);
        let services = self.0.services();
        let described = openapi::routes(self.0.pool(), &self.0.served());
        let web = Web { methods: Arc::new(self.0), grpc: grpc.prepare().into_axum_router() };
        let routes = services
            .into_iter()
            .fold(Router::new(), |router, service| router.route(&format!("/{service}/{{method}}"), any(answer)));
        routes.with_state(web).merge(described).merge(runbook::routes()).fallback(unknown_path)
    }
}

/// The answer for a path that no service of this process has, in the format of the errors of `/v1/leads`.
async fn unknown_path(Extension(id): Extension<RequestId>, address: Uri) -> Response {
    let message = bounded(format!("there is no path {}; /openapi.json lists the paths of the API", address.path()));
    let error = json!({"error": {"code": "not_found", "message": message, "request_id": id.as_str()}});
    (StatusCode::NOT_FOUND, Json(error)).into_response()
}

async fn answer(State(web): State<Web>, request: Request) -> Response {
    let connect = match web.methods.find(request.uri().path()) {
        Ok(Served { method, .. }) => Connect { method: method.clone(), grpc: web.grpc.clone() },
        Err(unserved) => return connect::refused(&Status::unimplemented(unserved.to_string())),
    };
    let media_type = media_type(request.headers());
    match (request.method(), media_type.as_str()) {
        (&Method::POST, grpc_web) if grpc_web.starts_with("application/grpc-web") => over_grpc_web(web, request).await,
        (&Method::POST | &Method::GET, _) => connect.answer(request, &media_type).await,
        _ => (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, connect.allowed())]).into_response(),
    }
}

async fn over_grpc_web(web: Web, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = SharedBody::new(body);
    let request = Request::from_parts(parts, body.clone());
    let Ok(answer) = tonic_web::GrpcWebLayer::new().layer(web.grpc).oneshot(request).await;
    if answer.headers().contains_key("grpc-status") {
        body.discard().await;
    }
    answer.into_response()
}

/// The media type of a request in lower case, without parameters.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
