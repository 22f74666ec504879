//! `leadline.v1.AuditService`: the audit log.

use api::{
    audit_service_server::AuditServiceServer,
    request::{Violations, WrongField, time},
    timestamp_to_api,
};
use domain::{registry::EntityKind, text::quoted};
use read_model::{
    Store,
    page::Place,
    tables::audit::{AuditEntry, AuditFilter, FieldChange},
};
use tonic::{Request, Response, Status, codec::CompressionEncoding};

use crate::call::{caller::Caller, errors::failed, listing};

struct AuditService {
    store: Store,
}

pub(crate) fn service(store: Store) -> AuditServiceServer<impl api::audit_service_server::AuditService> {
    AuditServiceServer::new(AuditService { store }).accept_compressed(CompressionEncoding::Gzip)
}

#[tonic::async_trait]
impl api::audit_service_server::AuditService for AuditService {
    async fn list_audit_log(
        &self,
        request: Request<api::ListAuditLogRequest>,
    ) -> Result<Response<api::ListAuditLogResponse>, Status> {
        let (caller, request) = (Caller::of(&request)?, request.into_inner());
        let mut fields = Violations::default();
        let filter = filter(&mut fields, &caller, &request);
        let page = listing::page(&mut fields, request.page_size, &request.page_token, filter.as_ref());
        let (filter, page) = fields.end(|| filter.zip(page))?;
        let mut found = self.store.audit_log(&filter, &page).await.map_err(failed)?;
        // Entries are in the order of REGISTRY, because the clocks of the processes that stamp the time differ.
        let next_page_token =
            page.cut_to_bytes(&mut found, bytes, |entry| Place { at: entry.sequence.cast_signed(), id: String::new() });
        let entries = found.into_iter().map(entry_to_api).collect();
        Ok(Response::new(api::ListAuditLogResponse { entries, next_page_token }))
    }
}

/// Reads the filter of a request, and notes what is wrong with it.
fn filter(fields: &mut Violations, caller: &Caller, request: &api::ListAuditLogRequest) -> Option<AuditFilter> {
    let account = fields.note(caller.narrowed_account(&request.account_id));
    let kind = fields.note(kind(&request.entity_kind));
    let id = Some(request.entity_id.clone()).filter(|id| !id.is_empty());
    if id.is_some() && request.entity_kind.is_empty() {
        fields.wrong("entity_kind", "is missing; ids are unique within a kind only");
    }
    let from = fields.note(time("from", request.from.as_ref()));
    let before = fields.note(time("before", request.before.as_ref()));
    Some(AuditFilter { account: account?, kind: kind?, id, from: from?, before: before?, action: None })
}

fn kind(word: &str) -> Result<Option<EntityKind>, WrongField> {
    if word.is_empty() {
        return Ok(None);
    }
    EntityKind::parse(word).map(Some).ok_or_else(|| {
        let kinds = EntityKind::ALL.map(EntityKind::as_str).join(", ");
        WrongField::new("entity_kind", format!("{} is none of {kinds}", quoted(word)))
    })
}

/// The size of an entry in an answer, rounded up.
fn bytes(entry: &AuditEntry) -> usize {
    /// The size of the entry itself, and of each of its changes, without the texts.
    const OVERHEAD: usize = 64;
    let of_change = |change: &FieldChange| OVERHEAD + change.field.len() + change.old.len() + change.new.len();
    let texts = [&entry.by, &entry.account, &entry.kind, &entry.id, &entry.action].map(String::len);
    OVERHEAD + texts.into_iter().sum::<usize>() + entry.changes.iter().map(of_change).sum::<usize>()
}

fn entry_to_api(entry: AuditEntry) -> api::AuditEntry {
    api::AuditEntry {
        sequence: entry.sequence,
        at: Some(timestamp_to_api(entry.at)),
        by: entry.by,
        account_id: entry.account,
        entity_kind: entry.kind,
        entity_id: entry.id,
        action: entry.action,
        changes: entry.changes.into_iter().map(change_to_api).collect(),
    }
}

fn change_to_api(change: FieldChange) -> api::FieldChange {
    api::FieldChange { field: change.field, old_value: change.old, new_value: change.new, secret: change.secret }
}
