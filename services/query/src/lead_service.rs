//! `leadline.v1.LeadService`: leads, and what became of them.

use domain::{AccountId, InterfaceId, LeadId, ids::IdError};
use tonic::{Request, Response, Status};
use wire::{
    api::{self, lead_service_server::LeadServiceServer},
    status::invalid,
    timestamp, timestamp_to_api,
};

use crate::{
    failed,
    page::{Page, Place},
    store::{
        Store,
        leads::{Lead, LeadFilter},
        log::LogEntry,
    },
};

struct LeadService {
    store: Store,
}

pub(crate) fn service(store: Store) -> LeadServiceServer<impl api::lead_service_server::LeadService> {
    LeadServiceServer::new(LeadService { store })
}

#[tonic::async_trait]
impl api::lead_service_server::LeadService for LeadService {
    async fn get_lead(&self, request: Request<api::GetLeadRequest>) -> Result<Response<api::Lead>, Status> {
        let request = request.get_ref();
        let account = required("account_id", &request.account_id, AccountId::parse)?;
        let lead = required("lead_id", &request.lead_id, LeadId::parse)?;
        let found = self.store.lead(&account, &lead).await.map_err(failed)?;
        found.map(|lead| Response::new(shown(lead))).ok_or_else(|| no_lead(&account, &lead))
    }

    async fn list_leads(
        &self,
        request: Request<api::ListLeadsRequest>,
    ) -> Result<Response<api::ListLeadsResponse>, Status> {
        let request = request.into_inner();
        let filter = filter(&request)?;
        let page = Page::of(request.page_size, &request.page_token, &filter)?;
        let mut found = self.store.leads(&filter, &page).await.map_err(failed)?;
        let next_page_token =
            page.cut(&mut found, |lead| Place { at: lead.created_at.as_microsecond(), id: lead.lead.clone() });
        let leads = found.into_iter().map(shown).collect();
        Ok(Response::new(api::ListLeadsResponse { leads, next_page_token }))
    }

    async fn get_lead_log(
        &self,
        request: Request<api::GetLeadLogRequest>,
    ) -> Result<Response<api::GetLeadLogResponse>, Status> {
        let request = request.get_ref();
        let account = required("account_id", &request.account_id, AccountId::parse)?;
        let lead = required("lead_id", &request.lead_id, LeadId::parse)?;
        let page = Page::of(request.page_size, &request.page_token, (&account, &lead))?;
        let mut found = self.store.lead_log(&account, &lead, &page).await.map_err(failed)?;
        if found.is_empty() && self.store.lead(&account, &lead).await.map_err(failed)?.is_none() {
            return Err(no_lead(&account, &lead));
        }
        let next_page_token =
            page.cut(&mut found, |entry| Place { at: entry.at.as_microsecond(), id: entry.fact.clone() });
        let entries = found.into_iter().map(shown_entry).collect();
        Ok(Response::new(api::GetLeadLogResponse { entries, next_page_token }))
    }
}

fn no_lead(account: &AccountId, lead: &LeadId) -> Status {
    Status::not_found(format!("account {account} has no lead {lead}"))
}

fn required<T>(field: &str, text: &str, parse: impl FnOnce(&str) -> Result<T, IdError>) -> Result<T, Status> {
    if text.is_empty() {
        return Err(invalid(field, "is missing"));
    }
    parse(text).map_err(|e| invalid(field, e))
}

fn filter(request: &api::ListLeadsRequest) -> Result<LeadFilter, Status> {
    let time = |field: &str, given: &Option<prost_types::Timestamp>| {
        given.as_ref().map(|time| timestamp(time).ok_or_else(|| invalid(field, "is out of range"))).transpose()
    };
    Ok(LeadFilter {
        account: required("account_id", &request.account_id, AccountId::parse)?,
        interface: match request.interface_id.as_str() {
            "" => None,
            text => Some(required("interface_id", text, InterfaceId::parse)?),
        },
        failed: request.failed,
        created_from: time("created_from", &request.created_from)?,
        created_before: time("created_before", &request.created_before)?,
    })
}

fn shown(lead: Lead) -> api::Lead {
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
    }
}

fn shown_entry(entry: LogEntry) -> api::LeadLogEntry {
    api::LeadLogEntry {
        at: Some(timestamp_to_api(entry.at)),
        entry: entry.entry.to_owned(),
        detail: entry.detail,
        event_id: entry.event_id,
        delivery_id: entry.delivery,
        destination_id: entry.destination,
    }
}
