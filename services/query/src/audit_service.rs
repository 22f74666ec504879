//! `leadline.v1.AuditService`: the audit log.

use api::{
    audit_service_server::AuditServiceServer,
    registry::id,
    status::{invalid, refusal},
    timestamp, timestamp_to_api,
};
use domain::{AccountId, registry::EntityKind, text::quoted};
use read_model::{
    Store,
    page::Place,
    tables::audit::{AuditEntry, AuditFilter, FieldChange},
};
use tonic::{Request, Response, Status, codec::CompressionEncoding};

use crate::{caller::Caller, failed, listing};

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
        let filter = filter(caller.narrowed(account(&request.account_id)?)?, &request)?;
        let page = listing::page(request.page_size, &request.page_token, &filter)?;
        let mut found = self.store.audit_log(&filter, &page).await.map_err(failed)?;
        // The order is that of REGISTRY, because the clocks of the processes that stamp the time differ.
        let next_page_token =
            page.cut_to_bytes(&mut found, bytes, |entry| Place { at: entry.sequence.cast_signed(), id: String::new() });
        let entries = found.into_iter().map(shown).collect();
        Ok(Response::new(api::ListAuditLogResponse { entries, next_page_token }))
    }
}

fn account(text: &str) -> Result<Option<AccountId>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    id("account_id", text, AccountId::parse).map(Some).map_err(|e| refusal(&e))
}

fn filter(account: Option<AccountId>, request: &api::ListAuditLogRequest) -> Result<AuditFilter, Status> {
    let time = |field: &str, given: &Option<prost_types::Timestamp>| {
        given.as_ref().map(|time| timestamp(time).ok_or_else(|| invalid(field, "is out of range"))).transpose()
    };
    let kind = match request.entity_kind.as_str() {
        "" => None,
        word => Some(EntityKind::parse(word).ok_or_else(|| {
            let kinds = EntityKind::ALL.map(EntityKind::as_str).join(", ");
            invalid("entity_kind", format!("{} is not one of {kinds}", quoted(word)))
        })?),
    };
    let entity = Some(request.entity_id.clone()).filter(|id| !id.is_empty());
    if entity.is_some() && kind.is_none() {
        return Err(invalid("entity_kind", "is missing; ids are unique within a kind only"));
    }
    Ok(AuditFilter {
        account,
        kind,
        id: entity,
        from: time("from", &request.from)?,
        before: time("before", &request.before)?,
        action: None,
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

fn shown(entry: AuditEntry) -> api::AuditEntry {
    api::AuditEntry {
        sequence: entry.sequence,
        at: Some(timestamp_to_api(entry.at)),
        by: entry.by,
        account_id: entry.account,
        entity_kind: entry.kind,
        entity_id: entry.id,
        action: entry.action,
        changes: entry.changes.into_iter().map(shown_change).collect(),
    }
}

fn shown_change(change: FieldChange) -> api::FieldChange {
    api::FieldChange { field: change.field, old_value: change.old, new_value: change.new, secret: change.secret }
}
