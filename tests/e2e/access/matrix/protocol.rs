//! A call over each protocol of the API.

use bytes::Bytes;
use prost_reflect::{DynamicMessage, MethodDescriptor, prost::Message as _};
use tonic::{Code, Request, Status, client::Grpc};

use super::raw::Raw;
use crate::{
    web::streams::{prefixed, taken},
    world::{World, web},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::access) enum Protocol {
    Grpc,
    Connect,
    GrpcWeb,
}

impl Protocol {
    pub(in crate::access) const ALL: [Self; 3] = [Self::Grpc, Self::Connect, Self::GrpcWeb];

    /// Returns once the server has begun to answer.
    pub(super) async fn call(
        self,
        world: &World,
        method: &MethodDescriptor,
        key: &str,
        request: &DynamicMessage,
    ) -> Result<(), Status> {
        match self {
            Self::Grpc => over_grpc(world, method, key, request).await,
            Self::Connect => over_connect(world, method, key, request).await,
            Self::GrpcWeb => over_grpc_web(world, method, key, request).await,
        }
    }

    /// Reads the answer, with its headers and its error, until it ends or `enough` accepts it.
    pub(in crate::access) async fn answer(
        self,
        world: &World,
        method: &MethodDescriptor,
        key: &str,
        request: &DynamicMessage,
        enough: impl Fn(&[u8]) -> bool,
    ) -> Vec<u8> {
        let is_stream = method.is_client_streaming() || method.is_server_streaming();
        let json = || serde_json::to_vec(request).unwrap();
        let (content_type, body) = match self {
            Self::Grpc => return all_over_grpc(world, method, key, request, enough).await,
            Self::Connect if is_stream => ("application/connect+json", prefixed(0, &json())),
            Self::Connect => ("application/json", json()),
            Self::GrpcWeb => ("application/grpc-web+proto", prefixed(0, &request.encode_to_vec())),
        };
        let mut answer = post(world, method, key, content_type, body).await;
        let mut all = format!("{:?}", answer.headers()).into_bytes();
        while !enough(&all)
            && let Some(part) = answer.chunk().await.unwrap()
        {
            all.extend_from_slice(&part);
        }
        all
    }
}

async fn all_over_grpc(
    world: &World,
    method: &MethodDescriptor,
    key: &str,
    request: &DynamicMessage,
    enough: impl Fn(&[u8]) -> bool,
) -> Vec<u8> {
    let request = Request::new(futures::stream::iter([Bytes::from(request.encode_to_vec())]));
    let mut client = Grpc::new(world.called_with(key).await);
    client.ready().await.unwrap();
    let mut all = vec![];
    let failed = match client.streaming(request, path(method).try_into().unwrap(), Raw).await {
        Err(status) => Some(status),
        Ok(answer) => {
            let mut messages = answer.into_inner();
            loop {
                if enough(&all) {
                    break None;
                }
                match messages.message().await {
                    Ok(Some(message)) => all.extend_from_slice(&message),
                    Ok(None) => break None,
                    Err(status) => break Some(status),
                }
            }
        }
    };
    if let Some(status) = failed {
        all.extend_from_slice(status.message().as_bytes());
        all.extend_from_slice(status.details());
        all.extend_from_slice(format!("{:?}", status.metadata()).as_bytes());
    }
    all
}

fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// Calls every method as a stream; the wire format is the same.
async fn over_grpc(
    world: &World,
    method: &MethodDescriptor,
    key: &str,
    request: &DynamicMessage,
) -> Result<(), Status> {
    let path = path(method).try_into().unwrap();
    let request = Request::new(futures::stream::iter([Bytes::from(request.encode_to_vec())]));
    if key.is_empty() {
        let channel = tonic::transport::Channel::from_shared(world.grpc.clone()).unwrap().connect().await.unwrap();
        let mut client = Grpc::new(channel);
        client.ready().await.unwrap();
        return client.streaming(request, path, Raw).await.map(drop);
    }
    let mut client = Grpc::new(world.called_with(key).await);
    client.ready().await.unwrap();
    client.streaming(request, path, Raw).await.map(drop)
}

async fn post(
    world: &World,
    method: &MethodDescriptor,
    key: &str,
    content_type: &str,
    body: Vec<u8>,
) -> reqwest::Response {
    let request = web().post(format!("{}{}", world.http, path(method))).header("content-type", content_type);
    let request = if key.is_empty() { request } else { request.bearer_auth(key) };
    request.body(body).send().await.unwrap()
}

async fn over_connect(
    world: &World,
    method: &MethodDescriptor,
    key: &str,
    request: &DynamicMessage,
) -> Result<(), Status> {
    let json = serde_json::to_vec(request).unwrap();
    let error = if method.is_client_streaming() || method.is_server_streaming() {
        let answer = post(world, method, key, "application/connect+json", prefixed(0, &json)).await;
        assert_eq!(answer.status().as_u16(), 200);
        // A stream that has begun has no length yet.
        if answer.content_length().is_none() {
            return Ok(());
        }
        let mut body = answer.bytes().await.unwrap().to_vec();
        let (flags, end) = taken(&mut body).pop().unwrap();
        assert_eq!(flags, 2);
        serde_json::from_slice::<serde_json::Value>(&end).unwrap()["error"].clone()
    } else {
        let answer = post(world, method, key, "application/json", json).await;
        if answer.status().is_success() {
            return Ok(());
        }
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    };
    let code = match error["code"].as_str().unwrap() {
        "unauthenticated" => Code::Unauthenticated,
        "permission_denied" => Code::PermissionDenied,
        "not_found" => Code::NotFound,
        _ => Code::Unknown,
    };
    Err(Status::new(code, error["message"].as_str().unwrap_or_default()))
}

async fn over_grpc_web(
    world: &World,
    method: &MethodDescriptor,
    key: &str,
    request: &DynamicMessage,
) -> Result<(), Status> {
    let body = prefixed(0, &request.encode_to_vec());
    let answer = post(world, method, key, "application/grpc-web+proto", body).await;
    assert_eq!(answer.status().as_u16(), 200);
    Status::from_header_map(answer.headers()).filter(|status| status.code() != Code::Ok).map_or(Ok(()), Err)
}
