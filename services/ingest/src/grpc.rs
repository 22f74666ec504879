//! `leadline.v1.IngestService`: publishes single lead events, and streams of them.

use std::pin::Pin;

use api::{
    PublishLeadRequest, PublishLeadResponse, PublishLeadsResult, PublishRefused,
    ingest_service_server::{IngestService, IngestServiceServer},
    publish::{Publish, PublishError},
    publish_leads_result::Result as Outcome,
    status,
};
use domain::Principal;
use futures::{Stream, StreamExt as _};
use runtime::{Drain, RequestId, trace::TraceContext};
use tonic::{Request, Response, Status, Streaming, codec::CompressionEncoding};

use crate::{
    http::hops,
    measured,
    publisher::{CalledFrom, Checked, IN_FLIGHT, Published, Publisher},
};

struct Ingest {
    publisher: Publisher,
    max_event: usize,
    max_hops: u32,
    drain: Drain,
}

/// The properties that all events of a call share.
#[derive(Clone)]
struct Call {
    by: Principal,
    from: CalledFrom,
    hops: u32,
    max_event: usize,
}

pub(crate) fn service(
    publisher: Publisher,
    max_event: usize,
    max_hops: u32,
    drain: Drain,
) -> IngestServiceServer<impl IngestService> {
    IngestServiceServer::new(Ingest { publisher, max_event, max_hops, drain })
        .accept_compressed(CompressionEncoding::Gzip)
}

type Results = Pin<Box<dyn Stream<Item = Result<PublishLeadsResult, Status>> + Send>>;

#[tonic::async_trait]
impl IngestService for Ingest {
    async fn publish_lead(
        &self,
        request: Request<PublishLeadRequest>,
    ) -> Result<Response<PublishLeadResponse>, Status> {
        let call = self.call(&request)?;
        let refused = |error: PublishError| refusal(&error);
        let checked = check(&self.publisher, &call, request.into_inner()).await.map_err(refused)?;
        self.publisher.rates().admit([&checked.event.account]).map_err(refused)?;
        let looked_up = self.publisher.look_up(checked).await;
        let sent = self.publisher.send(looked_up, &call.from).await;
        let published = self.publisher.stored(sent).await.map_err(refused)?;
        Ok(Response::new(answer(published)))
    }

    type PublishLeadsStream = Results;

    async fn publish_leads(
        &self,
        request: Request<Streaming<PublishLeadRequest>>,
    ) -> Result<Response<Results>, Status> {
        let (publisher, call) = (self.publisher.clone(), self.call(&request)?);
        // The drain ends the stream. Events that were read get a result; the publisher has to send the others again.
        let drain = self.drain.clone();
        let taken = request.into_inner().take_until(async move { drain.stopping().await });
        let numbered = futures::stream::iter(0..).zip(taken);
        let (looks_up, sends, stores) = (publisher.clone(), publisher.clone(), publisher.clone());
        let from = call.from.clone();
        let checked = numbered.then(move |(index, request)| {
            let (publisher, call) = (publisher.clone(), call.clone());
            async move { Ok::<_, Status>((index, check_within_rate(&publisher, &call, request?).await)) }
        });
        let looked_up = checked.map(move |checked| {
            let publisher = looks_up.clone();
            async move {
                let (index, checked) = checked?;
                Ok::<_, Status>(match checked {
                    Ok(checked) => (index, Ok(publisher.look_up(checked).await)),
                    Err(error) => (index, Err(error)),
                })
            }
        });
        // Events go to the broker one after another, in the order of the stream. The broker may acknowledge them in any
        // order.
        let sent = looked_up.buffered(IN_FLIGHT).then(move |looked_up| {
            let (publisher, from) = (sends.clone(), from.clone());
            async move {
                let (index, looked_up) = looked_up?;
                Ok::<_, Status>(match looked_up {
                    Ok(looked_up) => (index, Ok(publisher.send(looked_up, &from).await)),
                    Err(error) => (index, Err(error)),
                })
            }
        });
        let results = sent.map(move |sent| {
            let publisher = stores.clone();
            async move {
                let (index, sent) = sent?;
                let answer = match sent {
                    // A separate task waits for the broker, even if the caller does not read the results. Until the
                    // broker answers, the event counts against the connection's limit of messages in flight.
                    Ok(sent) => tokio::spawn(async move { publisher.stored(sent).await.map(answer) })
                        .await
                        .map_err(|_| status::internal("the event may or may not be stored; send it again"))?,
                    Err(error) => Err(error),
                };
                Ok(PublishLeadsResult { index, result: Some(outcome(answer)) })
            }
        });
        Ok(Response::new(Box::pin(results.buffer_unordered(IN_FLIGHT))))
    }
}

impl Ingest {
    fn call<T>(&self, request: &Request<T>) -> Result<Call, Status> {
        let headers = request.metadata().as_ref();
        let principal = request.extensions().get::<Principal>().cloned();
        Ok(Call {
            by: principal.ok_or_else(|| status::internal("the call was not authenticated"))?,
            from: CalledFrom {
                trace: TraceContext::of_request(headers),
                request_id: request.extensions().get::<RequestId>().cloned(),
            },
            hops: hops::of_request(headers, self.max_hops).map_err(|error| refusal(&error))?,
            max_event: self.max_event,
        })
    }
}

async fn check(publisher: &Publisher, call: &Call, request: PublishLeadRequest) -> Result<Checked, PublishError> {
    let max_event = call.max_event;
    let invalid = |problem: String| Err(PublishError::invalid("payload", problem));
    if request.payload.len() > max_event {
        return invalid(format!("has {} bytes, and {max_event} is the limit", request.payload.len()));
    }
    if !request.payload.is_empty()
        && let Err(error) = serde_json::from_slice::<&serde_json::value::RawValue>(&request.payload)
    {
        return invalid(format!("is not JSON; the mistake is at line {}, column {}", error.line(), error.column()));
    }
    let publish = Publish { hops: call.hops, ..Publish::try_from(request)? };
    Publisher::check(&*publisher.latest().await?, &call.by, publish)
}

/// Checks an event of a stream, and waits for the rate limit of its account. The stream is not read meanwhile.
async fn check_within_rate(
    publisher: &Publisher,
    call: &Call,
    request: PublishLeadRequest,
) -> Result<Checked, PublishError> {
    let checked = check(publisher, call, request).await?;
    publisher.rates().wait(&checked.event.account).await;
    Ok(checked)
}

fn refusal(error: &PublishError) -> Status {
    measured::refused(error);
    status::publish_error(error)
}

fn answer(published: Published) -> PublishLeadResponse {
    PublishLeadResponse {
        event_id: published.event_id.to_string(),
        lead_id: published.lead.to_string(),
        duplicate: published.duplicate,
    }
}

fn outcome(answer: Result<PublishLeadResponse, PublishError>) -> Outcome {
    match answer {
        Ok(published) => Outcome::Published(published),
        Err(error) => {
            let status = refusal(&error);
            Outcome::Refused(PublishRefused {
                code: status.code().into(),
                field: error.field().unwrap_or_default().to_owned(),
                message: status.message().to_owned(),
                reason: status::reason(&status),
            })
        }
    }
}
