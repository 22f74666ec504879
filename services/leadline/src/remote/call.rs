//! `leadline call`: calls any method of the API with a request in JSON.
//!
//! The methods are read from the API's descriptors, so a new method needs no code here.

use std::io::Read as _;

use anyhow::{Context as _, ensure};
use bytes::{Buf as _, BufMut as _};
use clap::Args;
use http::uri::PathAndQuery;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use tonic::{
    Request, Response, Status, Streaming,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::{
    remote::{client::ClientOptions, session::DEADLINE},
    terminal::output::{descriptors, message_to_json, print},
};

/// The package of the methods.
const PACKAGE: &str = "leadline.v1";

/// What to call.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  leadline call AuditService/ListAuditLog '{\"account_id\": \"acme\"}'")]
pub(crate) struct Call {
    /// Service and method, such as DeliveryService/ListDeliveries; if it is missing, all methods are listed
    method: Option<String>,
    /// The request in JSON; - reads it from standard input
    #[arg(default_value = "{}")]
    request: String,
    #[command(flatten)]
    client: ClientOptions,
}

impl Call {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let pool = descriptors()?;
        let Some(name) = &self.method else {
            let all: Vec<_> = methods(pool).map(|method| shown(&method)).collect();
            return print(&all.join("\n"));
        };
        let method =
            methods(pool).find(|method| short(method) == name.trim_start_matches(PACKAGE).trim_start_matches('.'));
        let method = method.with_context(|| format!("there is no method {name}; leadline call lists all methods"))?;
        ensure!(!method.is_client_streaming(), "{name} takes a stream of requests, which leadline call cannot send");
        let request = self.request(&method)?;
        let mut client = Grpc::new(self.client.connect().await?);
        client.ready().await?;
        let path = PathAndQuery::try_from(format!("/{}/{}", method.parent_service().full_name(), method.name()))?;
        let mut request = Request::new(request);
        let codec = DynamicCodec(method.output());
        if method.is_server_streaming() {
            return print_each(client.server_streaming(request, path, codec).await?).await;
        }
        request.set_timeout(DEADLINE);
        let answer = client.unary(request, path, codec).await?;
        print(&format!("{:#}", message_to_json(answer.get_ref())?))
    }

    fn request(&self, method: &MethodDescriptor) -> anyhow::Result<DynamicMessage> {
        let mut text = self.request.clone();
        if text == "-" {
            text.clear();
            std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
        }
        let mut json = serde_json::Deserializer::from_str(&text);
        let request = DynamicMessage::deserialize(method.input(), &mut json);
        request.with_context(|| format!("the request is not a {} in JSON", method.input().full_name()))
    }
}

/// Prints each answer of a stream on a line of its own as it arrives.
async fn print_each(answers: Response<Streaming<DynamicMessage>>) -> anyhow::Result<()> {
    let mut answers = answers.into_inner();
    while let Some(answer) = answers.message().await? {
        print(&message_to_json(&answer)?.to_string())?;
    }
    Ok(())
}

fn methods(pool: &DescriptorPool) -> impl Iterator<Item = MethodDescriptor> {
    let services: Vec<_> = pool.services().filter(|service| service.package_name() == PACKAGE).collect();
    services.into_iter().flat_map(|service| service.methods().collect::<Vec<_>>())
}

fn short(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().name(), method.name())
}

fn shown(method: &MethodDescriptor) -> String {
    let fields: Vec<_> = method.input().fields().map(|field| field.name().to_owned()).collect();
    format!("{:<44}{}", short(method), fields.join(", "))
}

/// Codec of messages whose type is known at run time only.
#[derive(Clone)]
struct DynamicCodec(MessageDescriptor);

impl Codec for DynamicCodec {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        self.clone()
    }

    fn decoder(&mut self) -> Self {
        self.clone()
    }
}

impl Encoder for DynamicCodec {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&prost::Message::encode_to_vec(&item));
        Ok(())
    }
}

impl Decoder for DynamicCodec {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        let message = DynamicMessage::decode(self.0.clone(), bytes);
        message.map(Some).map_err(|e| api::status::internal(format!("the answer cannot be read: {e}")))
    }
}
