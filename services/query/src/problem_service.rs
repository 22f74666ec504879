//! `leadline.v1.ProblemService`: problems, and the health of destinations.

mod counts;
mod health;
mod to_api;

use api::{
    problem_service_server::ProblemServiceServer,
    request::{Violations, WrongField, optional, required},
    status::{not_found, unavailable},
};
use domain::{
    AccountId, DestinationId, NoticeFact, Registry, notice::ProblemAcknowledged, problem::Cause, registry::Destination,
    text::quoted,
};
use jiff::Timestamp;
use journal::{Journal, RegistryView, StreamName};
use read_model::{
    Store,
    page::Place,
    read_barrier::ReadBarrier,
    tables::problems::{ProblemFilter, ProblemRow},
};
use runtime::{ErrorChain as _, publishing, trace::TraceContext};
use tonic::{Request, Response, Status, codec::CompressionEncoding};
use tracing::Instrument as _;

pub(crate) use self::health::HealthView;
use self::to_api::problem_to_api;
use crate::call::{caller::Caller, errors::failed, listing};

struct ProblemService {
    journal: Journal,
    store: Store,
    registry: RegistryView,
    read_barrier: ReadBarrier,
    health: HealthView,
}

pub(crate) fn service(
    journal: Journal,
    store: Store,
    registry: RegistryView,
    health: HealthView,
) -> ProblemServiceServer<impl api::problem_service_server::ProblemService> {
    let read_barrier = ReadBarrier::new(journal.clone(), store.clone());
    ProblemServiceServer::new(ProblemService { journal, store, registry, read_barrier, health })
        .accept_compressed(CompressionEncoding::Gzip)
}

#[tonic::async_trait]
impl api::problem_service_server::ProblemService for ProblemService {
    async fn list_problems(
        &self,
        request: Request<api::ListProblemsRequest>,
    ) -> Result<Response<api::ListProblemsResponse>, Status> {
        let (caller, request) = (Caller::of(&request)?, request.get_ref());
        let mut fields = Violations::default();
        let destination = optional("destination_id", &request.destination_id, DestinationId::parse);
        let (account, destination) =
            (fields.note(caller.narrowed_account(&request.account_id)), fields.note(destination));
        let (of, include_closed) = (account.zip(destination), request.include_closed);
        let filter = of.map(|(account, destination)| ProblemFilter { account, destination, include_closed });
        let page = listing::page(&mut fields, request.page_size, &request.page_token, filter.as_ref());
        let (filter, page) = fields.end(|| filter.zip(page))?;
        let registry = self.registry.snapshot();
        if let Some(id) = &filter.destination {
            ever(&registry, filter.account.as_ref(), id)?;
        }
        let mut found = self.store.problems(&filter, &page).await.map_err(failed)?;
        let place = |row: &ProblemRow| Place { at: row.problem.last_at.as_microsecond(), id: row.key.clone() };
        let next_page_token = page.cut(&mut found, place);
        let problems = found.iter().map(|row| problem_to_api(row, &registry)).collect();
        Ok(Response::new(api::ListProblemsResponse { problems, next_page_token }))
    }

    async fn acknowledge_problem(
        &self,
        request: Request<api::AcknowledgeProblemRequest>,
    ) -> Result<Response<api::Problem>, Status> {
        let trace = TraceContext::of_request(request.metadata().as_ref());
        let (caller, request) = (Caller::of(&request)?, request.get_ref());
        let mut fields = Violations::default();
        let caller = caller.with_requester(&mut fields, &request.requested_by);
        let id = required("destination_id", &request.destination_id, DestinationId::parse);
        let of = fields.note(caller.account_and(&request.account_id, id));
        let unknown = || format!("{} is neither a status nor a kind of error", quoted(&request.cause));
        let cause = Cause::parse(&request.cause).ok_or_else(|| WrongField::new("cause", unknown()));
        let cause = fields.note(cause);
        let ((account, destination), cause) = fields.end(|| of.zip(cause))?;
        let open = self.problem(&account, &destination, cause).await?.filter(|row| row.problem.deliveries > 0);
        if open.is_none() {
            return Err(not_found(
                "PROBLEM",
                format!("destination {destination} has no open problem with the cause {cause}"),
            ));
        }
        let (at, by) = (Timestamp::now(), caller.by());
        let fact = NoticeFact::Acknowledged(ProblemAcknowledged {
            account: account.clone(),
            destination: destination.clone(),
            cause,
            by,
            at,
        });
        let (span, trace) = TraceContext::enter(
            trace.as_ref(),
            || publishing!(StreamName::Notices, leadline.destination.id = %destination),
        );
        let appended = self.journal.notices().append(&fact, &trace).instrument(span).await.map_err(|error| {
            tracing::warn!(error = error.chain(), "cannot append the acknowledgement of a problem; refused the call");
            unavailable(format!("cannot confirm that the acknowledgement was stored: {error}; repeat the call"))
        })?;
        self.read_barrier.shows(StreamName::Notices, appended.sequence).await.map_err(failed)?;
        let row = self.problem(&account, &destination, cause).await?;
        let row = row.ok_or_else(|| not_found("PROBLEM", "the problem was deleted meanwhile"))?;
        Ok(Response::new(problem_to_api(&row, &self.registry.snapshot())))
    }

    async fn get_destination_health(
        &self,
        request: Request<api::GetDestinationHealthRequest>,
    ) -> Result<Response<api::DestinationHealth>, Status> {
        let (caller, request) = (Caller::of(&request)?, request.get_ref());
        let id = required("destination_id", &request.destination_id, DestinationId::parse);
        let (account, id) = caller.account_and(&request.account_id, id)?;
        let registry = self.registry.snapshot();
        let found = registry.destination(&id).filter(|destination| destination.account == account);
        let found = found.ok_or_else(|| no_destination(&account, &id))?;
        let mut health = self.health.of(&[found]).await?;
        health.pop().map(Response::new).ok_or_else(|| no_destination(&account, &id))
    }

    async fn list_destination_health(
        &self,
        request: Request<api::ListDestinationHealthRequest>,
    ) -> Result<Response<api::ListDestinationHealthResponse>, Status> {
        let (caller, request) = (Caller::of(&request)?, request.get_ref());
        let mut fields = Violations::default();
        let account = fields.note(caller.account(&request.account_id));
        let list = account.as_ref().map(|account| ("health", account));
        let page = listing::page(&mut fields, request.page_size, &request.page_token, list);
        let (account, page) = fields.end(|| account.zip(page))?;
        let registry = self.registry.snapshot();
        let entry = registry.account(&account);
        let entry = entry.ok_or_else(|| not_found("ACCOUNT", format!("there is no account {account}")))?;
        let after = page.after().map_or("", |after| after.id.as_str());
        let rest = entry.destinations().filter(|destination| !destination.deleted && destination.id.as_str() > after);
        let max = usize::try_from(page.limit()).unwrap_or(usize::MAX);
        let mut chosen: Vec<_> = rest.take(max).collect();
        let next_page_token = page.cut(&mut chosen, |last| Place { at: 0, id: last.id.to_string() });
        let health = self.health.of(&chosen).await?;
        Ok(Response::new(api::ListDestinationHealthResponse { health, next_page_token }))
    }

    async fn query_delivery_counts(
        &self,
        request: Request<api::QueryDeliveryCountsRequest>,
    ) -> Result<Response<api::QueryDeliveryCountsResponse>, Status> {
        let (caller, request) = (Caller::of(&request)?, request.get_ref());
        let mut fields = Violations::default();
        let filter = counts::filter(&mut fields, &caller, request);
        let page = listing::page(&mut fields, request.page_size, &request.page_token, filter.as_ref());
        let (filter, page) = fields.end(|| filter.zip(page))?;
        if let Some(id) = &filter.destination {
            ever(&self.registry.snapshot(), Some(&filter.account), id)?;
        }
        let mut found = self.store.counts(&filter, &page).await.map_err(failed)?;
        let next_page_token =
            page.cut(&mut found, |bucket| Place { at: bucket.start, id: bucket.destination.to_string() });
        let counts = found.iter().map(counts::bucket_to_api).collect();
        Ok(Response::new(api::QueryDeliveryCountsResponse { counts, next_page_token }))
    }
}

impl ProblemService {
    async fn problem(
        &self,
        account: &AccountId,
        destination: &DestinationId,
        cause: Cause,
    ) -> Result<Option<ProblemRow>, Status> {
        self.store.problem(account, destination, cause).await.map_err(failed)
    }
}

/// A destination, deleted or not, of this account. If `account` is `None`, the destination may belong to any account.
fn ever<'a>(
    registry: &'a Registry,
    account: Option<&AccountId>,
    id: &DestinationId,
) -> Result<&'a Destination, Status> {
    let is_of = |destination: &Destination| account.is_none_or(|account| destination.account == *account);
    let found = registry.destination_ever(id).filter(|destination| is_of(destination));
    found.map(AsRef::as_ref).ok_or_else(|| match account {
        Some(account) => no_destination(account, id),
        None => not_found("DESTINATION", format!("there is no destination {id}")),
    })
}

fn no_destination(account: &AccountId, id: &DestinationId) -> Status {
    not_found("DESTINATION", format!("account {account} has no destination {id}"))
}
