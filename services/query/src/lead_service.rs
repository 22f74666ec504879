//! `leadline.v1.LeadService`: shows leads, their events and their logs, exports leads, and anonymises them.

mod anonymise;
mod events;
mod export;
mod requested;

use std::pin::Pin;

use api::{
    deliveries::http_status,
    lead_service_server::LeadServiceServer,
    request::{Violations, optional, required, time},
    timestamp_to_api,
};
use domain::{AccountId, ClientId, EventId, InterfaceId, LeadId};
use futures::Stream;
use journal::{Journal, RegistryView};
use read_model::{
    History, Store,
    hashing::Hashing,
    page::Place,
    read_barrier::ReadBarrier,
    tables::{
        leads::{Lead, LeadFilter},
        log::LogEntry,
    },
};
use runtime::{Drain, trace::TraceContext};
use tonic::{Request, Response, Status, codec::CompressionEncoding};

use self::{
    export::{EXPORTED, Export, place},
    requested::Requested,
};
use crate::call::{
    caller::Caller,
    errors::{failed, impossible},
    for_clients, listing, not_found,
    payload_views::PayloadViews,
    search::wanted,
    spreadsheet::{BYTE_ORDER_MARK, Cell, Lines},
};

struct LeadService {
    store: Store,
    registry: RegistryView,
    journal: Journal,
    hashing: Hashing,
    read_barrier: ReadBarrier,
    payloads: PayloadViews,
    history: History,
    drain: Drain,
}

pub(crate) fn service(
    journal: Journal,
    store: Store,
    registry: RegistryView,
    hashing: Hashing,
    history: History,
    drain: Drain,
) -> LeadServiceServer<impl api::lead_service_server::LeadService> {
    let read_barrier = ReadBarrier::new(journal.clone(), store.clone());
    let payloads = PayloadViews::new(journal.clone(), store.clone());
    LeadServiceServer::new(LeadService { journal, store, registry, hashing, read_barrier, payloads, history, drain })
        .accept_compressed(CompressionEncoding::Gzip)
}

type Pieces = Pin<Box<dyn Stream<Item = Result<api::ExportLeadsResponse, Status>> + Send>>;

#[tonic::async_trait]
impl api::lead_service_server::LeadService for LeadService {
    async fn get_lead(&self, request: Request<api::GetLeadRequest>) -> Result<Response<api::Lead>, Status> {
        let (caller, request) = (Caller::of(&request)?, request.get_ref());
        let lead = required("lead_id", &request.lead_id, LeadId::parse);
        let (account, lead) = caller.account_and(&request.account_id, lead)?;
        let found = self.store.lead(&account, &lead).await.map_err(failed)?;
        let found = found.filter(|lead| caller.may_see_client(Some(&lead.client)));
        let found = found.map(|lead| Response::new(lead_to_api(for_clients::lead(&caller, lead))));
        found.ok_or_else(|| self.no_lead(&account, &lead))
    }

    async fn get_event(&self, request: Request<api::GetEventRequest>) -> Result<Response<api::Event>, Status> {
        let (caller, request) = (Caller::of(&request)?, request.get_ref());
        let event = required("event_id", &request.event_id, EventId::parse);
        let (account, event) = caller.account_and(&request.account_id, event)?;
        self.event(&caller, &account, &event).await.map(Response::new)
    }

    async fn list_leads(
        &self,
        request: Request<api::ListLeadsRequest>,
    ) -> Result<Response<api::ListLeadsResponse>, Status> {
        let (caller, request) = (Caller::of(&request)?, request.into_inner());
        let mut fields = Violations::default();
        let filter = self.filter(&mut fields, &caller, &request);
        let page = listing::page(&mut fields, request.page_size, &request.page_token, filter.as_ref());
        let (filter, page) = fields.end(|| filter.zip(page))?;
        let mut found = self.store.leads(&filter, &page).await.map_err(failed)?;
        let next_page_token = page.cut(&mut found, place);
        let leads = found.into_iter().map(|lead| lead_to_api(for_clients::lead(&caller, lead))).collect();
        Ok(Response::new(api::ListLeadsResponse { leads, next_page_token }))
    }

    type ExportLeadsStream = Pieces;

    async fn export_leads(&self, request: Request<api::ExportLeadsRequest>) -> Result<Response<Pieces>, Status> {
        let (caller, r) = (Caller::of(&request)?, request.into_inner());
        let list = api::ListLeadsRequest {
            account_id: r.account_id,
            interface_id: r.interface_id,
            failed: r.failed,
            created_from: r.created_from,
            created_before: r.created_before,
            client_id: r.client_id,
            http_status_code: r.http_status_code,
            r#where: r.r#where,
            ..api::ListLeadsRequest::default()
        };
        let mut fields = Violations::default();
        let filter = self.filter(&mut fields, &caller, &list);
        let filter = fields.end(|| filter)?;
        let mut title = if r.byte_order_mark { BYTE_ORDER_MARK.to_string().into_bytes() } else { vec![] };
        let mut names = Lines::new();
        names.add(EXPORTED.map(Cell::Text)).map_err(impossible)?;
        title.extend_from_slice(names.bytes());
        let export = Export {
            ids_as_text: r.ids_as_text,
            store: self.store.clone(),
            drain: self.drain.clone(),
            filter,
            caller,
            next_page: Some(String::new()),
            ready: [title.into()].into(),
        };
        Ok(Response::new(Box::pin(futures::stream::unfold(Box::new(export), Export::next))))
    }

    async fn anonymize_leads(
        &self,
        request: Request<api::AnonymizeLeadsRequest>,
    ) -> Result<Response<api::AnonymizeLeadsResponse>, Status> {
        let trace = TraceContext::of_request(request.metadata().as_ref());
        let (caller, request) = (Caller::of(&request)?, request.get_ref());
        let (account, requested) = caller.account_and(&request.account_id, Requested::of(request))?;
        let done = self.anonymise(&account, requested, &caller, trace.as_ref()).await?;
        let leads = done.leads.into_iter().map(lead_to_api).collect();
        Ok(Response::new(api::AnonymizeLeadsResponse { leads, more: done.more }))
    }

    async fn get_lead_log(
        &self,
        request: Request<api::GetLeadLogRequest>,
    ) -> Result<Response<api::GetLeadLogResponse>, Status> {
        let (caller, request) = (Caller::of(&request)?, request.get_ref());
        let mut fields = Violations::default();
        let lead = required("lead_id", &request.lead_id, LeadId::parse);
        let of = fields.note(caller.account_and(&request.account_id, lead));
        let page = listing::page(&mut fields, request.page_size, &request.page_token, of.as_ref());
        let ((account, lead), page) = fields.end(|| of.zip(page))?;
        if caller.principal().client().is_some() {
            let lead_row = self.store.lead(&account, &lead).await.map_err(failed)?;
            lead_row
                .filter(|row| caller.may_see_client(Some(&row.client)))
                .ok_or_else(|| self.no_lead(&account, &lead))?;
        }
        let mut found = self.store.lead_log(&account, &lead, &page).await.map_err(failed)?;
        if found.is_empty() && self.store.lead(&account, &lead).await.map_err(failed)?.is_none() {
            return Err(self.no_lead(&account, &lead));
        }
        let next_page_token =
            page.cut(&mut found, |entry| Place { at: entry.at.as_microsecond(), id: entry.fact.clone() });
        let registry = self.registry.snapshot();
        let entries = found.into_iter().map(entry_to_api);
        let entries = entries.map(|entry| for_clients::entry(&caller, &registry, entry)).collect();
        Ok(Response::new(api::GetLeadLogResponse { entries, next_page_token }))
    }
}

impl LeadService {
    /// Reads the filter of a request, and notes what is wrong with it.
    fn filter(&self, fields: &mut Violations, caller: &Caller, request: &api::ListLeadsRequest) -> Option<LeadFilter> {
        let account = fields.note(caller.account(&request.account_id));
        let interface = fields.note(optional("interface_id", &request.interface_id, InterfaceId::parse));
        let client = fields.note(optional("client_id", &request.client_id, ClientId::parse));
        let client = client.and_then(|client| fields.note(caller.narrowed_client(client)));
        let http_status = fields.note(http_status("http_status_code", request.http_status_code));
        let created_from = fields.note(time("created_from", request.created_from.as_ref()));
        let created_before = fields.note(time("created_before", request.created_before.as_ref()));
        let account = account?;
        Some(LeadFilter {
            values: fields.note(wanted(&self.hashing, "where", &account, &request.r#where))?,
            account,
            interface: interface?,
            client: client?,
            failed: request.failed,
            http_status: http_status?,
            created_from: created_from?,
            created_before: created_before?,
        })
    }

    fn no_lead(&self, account: &AccountId, lead: &LeadId) -> Status {
        let what = format!("account {account} has no lead {lead}");
        not_found::in_history(self.history, &self.registry.snapshot(), Some(account), "LEAD", &what)
    }
}

fn lead_to_api(lead: Lead) -> api::Lead {
    api::Lead {
        account_id: lead.account,
        lead_id: lead.lead,
        interface_id: lead.interface,
        client_id: lead.client,
        created_at: Some(timestamp_to_api(lead.created_at)),
        updated_at: Some(timestamp_to_api(lead.updated_at)),
        events: lead.events,
        deliveries: lead.deliveries,
        failed_deliveries: lead.failed_deliveries,
        failed: lead.failed_deliveries > 0,
        http_status_code: lead.http_status_code,
        webhook_response: lead.webhook_response,
        anonymised: lead.anonymised_at.is_some(),
        anonymised_at: lead.anonymised_at.map(timestamp_to_api),
    }
}

fn entry_to_api(entry: LogEntry) -> api::LeadLogEntry {
    api::LeadLogEntry {
        at: Some(timestamp_to_api(entry.at)),
        entry: entry.entry.to_owned(),
        kind: api::LeadLogKind::of_entry(entry.entry).into(),
        detail: entry.detail,
        event_id: entry.event_id,
        delivery_id: entry.delivery,
        destination_id: entry.destination,
    }
}

#[cfg(test)]
mod tests {
    use read_model::tables::log::ENTRIES;

    #[test]
    fn each_entry_of_the_log_has_a_kind() {
        for entry in ENTRIES {
            assert_ne!(api::LeadLogKind::of_entry(entry), api::LeadLogKind::Unspecified, "{entry}");
        }
    }
}
