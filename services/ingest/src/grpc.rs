//! `leadline.v1.IngestService`.

use std::pin::Pin;

use domain::Principal;
use futures::{Stream, StreamExt as _};
use runtime::{Drain, trace::TraceContext};
use tonic::{Request, Response, Status, Streaming};
use wire::{
    api::{
        PublishLeadRequest, PublishLeadResponse, PublishLeadsResult, PublishRefused,
        ingest_service_server::{IngestService, IngestServiceServer},
        publish_leads_result::Result as Outcome,
    },
    publish::{Publish, PublishError},
    status,
};

use crate::publisher::{IN_FLIGHT, Published, Publisher, Sent};

struct Door {
    publisher: Publisher,
    max_event: usize,
    drain: Drain,
}

pub(crate) fn service(publisher: Publisher, max_event: usize, drain: Drain) -> IngestServiceServer<impl IngestService> {
    IngestServiceServer::new(Door { publisher, max_event, drain })
}

type Results = Pin<Box<dyn Stream<Item = Result<PublishLeadsResult, Status>> + Send>>;

#[tonic::async_trait]
impl IngestService for Door {
    async fn publish_lead(
        &self,
        request: Request<PublishLeadRequest>,
    ) -> Result<Response<PublishLeadResponse>, Status> {
        let caller = TraceContext::of_request(request.metadata().as_ref());
        let by = principal(&request)?;
        let sent = send(&self.publisher, &by, request.into_inner(), self.max_event, caller.as_ref()).await;
        let published = match sent {
            Ok(sent) => self.publisher.stored(sent).await,
            Err(error) => Err(error),
        };
        published.map(|published| Response::new(answer(published))).map_err(|error| status::publish_error(&error))
    }

    type PublishLeadsStream = Results;

    async fn publish_leads(
        &self,
        request: Request<Streaming<PublishLeadRequest>>,
    ) -> Result<Response<Results>, Status> {
        let caller = TraceContext::of_request(request.metadata().as_ref());
        let (publisher, by, max_event) = (self.publisher.clone(), principal(&request)?, self.max_event);
        // What was taken before the end is answered; what was not, the publisher sends again.
        let drain = self.drain.clone();
        let taken = request.into_inner().take_until(async move { drain.stopping().await });
        let numbered = futures::stream::iter(0..).zip(taken);
        let at_the_end = publisher.clone();
        // One after another to the broker; their acknowledgements come when they come.
        let sent = numbered.then(move |(index, request)| {
            let (publisher, by, caller) = (publisher.clone(), by.clone(), caller.clone());
            async move { Ok::<_, Status>((index, send(&publisher, &by, request?, max_event, caller.as_ref()).await)) }
        });
        let results = sent.map(move |sent| {
            let publisher = at_the_end.clone();
            async move {
                let (index, sent) = sent?;
                let answer = match sent {
                    // In a task of its own: what is on its way takes room on the connection, whether or not the caller
                    // reads its results.
                    Ok(sent) => tokio::spawn(async move { publisher.stored(sent).await.map(answer) })
                        .await
                        .map_err(|_| Status::internal("the event may or may not be stored; send it again"))?,
                    Err(error) => Err(error),
                };
                Ok(PublishLeadsResult { index, result: Some(outcome(answer)) })
            }
        });
        Ok(Response::new(Box::pin(results.buffer_unordered(IN_FLIGHT))))
    }
}

/// Who publishes; the door has put him there.
fn principal<T>(request: &Request<T>) -> Result<Principal, Status> {
    let principal = request.extensions().get::<Principal>().cloned();
    principal.ok_or_else(|| Status::internal("a call came in past the door"))
}

async fn send(
    publisher: &Publisher,
    by: &Principal,
    request: PublishLeadRequest,
    max_event: usize,
    caller: Option<&TraceContext>,
) -> Result<Sent, PublishError> {
    let invalid = |problem: String| Err(PublishError::invalid("payload", problem));
    if request.payload.len() > max_event {
        return invalid(format!("has {} bytes, and {max_event} is the limit", request.payload.len()));
    }
    if !request.payload.is_empty()
        && let Err(error) = serde_json::from_slice::<&serde_json::value::RawValue>(&request.payload)
    {
        return invalid(format!("is no JSON: {error}"));
    }
    let publish = Publish::try_from(request)?;
    let event = Publisher::check(&*publisher.latest().await?, by, publish)?;
    Ok(publisher.send(event, caller).await)
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
        Err(error) => Outcome::Refused(PublishRefused {
            code: status::publish_error(&error).code().into(),
            field: error.field().unwrap_or_default().to_owned(),
            message: error.to_string(),
        }),
    }
}
