//! Exports of leads as CSV.

use std::collections::VecDeque;

use api::status::unavailable;
use bytes::Bytes;
use read_model::{
    Store,
    page::Place,
    tables::leads::{Lead, LeadFilter},
};
use runtime::Drain;
use tonic::Status;

use crate::call::{
    caller::Caller,
    errors::{failed, impossible},
    for_clients, listing,
    spreadsheet::{Cell, Lines},
};

/// The number of leads that an export reads at once.
const EXPORT_PAGE: u32 = 500;
/// The size of a piece of an export, in bytes; a piece may be longer by one line.
const PIECE: usize = 64 * 1024;
/// The columns of an export.
#[rustfmt::skip]
pub(super) const EXPORTED: [&str; 13] = [
    "account_id", "interface_id", "client_id", "lead_id", "created_at", "updated_at", "events", "deliveries",
    "failed_deliveries", "failed", "http_status_code", "webhook_response",
    "anonymised_at",
];

/// An export in progress. It holds at most one page in memory, even if the export is long or its reader is slow.
pub(super) struct Export {
    pub(super) store: Store,
    pub(super) drain: Drain,
    pub(super) caller: Caller,
    pub(super) filter: LeadFilter,
    /// The token of the next page; `None` after the last page.
    pub(super) next_page: Option<String>,
    pub(super) ready: VecDeque<Bytes>,
    /// Whether ids that look like numbers or dates are marked as text.
    pub(super) ids_as_text: bool,
}

impl Export {
    pub(super) async fn next(mut self: Box<Self>) -> Option<(Result<api::ExportLeadsResponse, Status>, Box<Self>)> {
        loop {
            if let Some(csv) = self.ready.pop_front() {
                return Some((Ok(api::ExportLeadsResponse { csv }), self));
            }
            let token = self.next_page.take()?;
            if self.drain.is_stopping() {
                return Some((Err(unavailable("this server is stopping; request the export again")), self));
            }
            if let Err(status) = self.read(&token).await {
                return Some((Err(status), self));
            }
        }
    }

    async fn read(&mut self, token: &str) -> Result<(), Status> {
        let page = listing::own_page(EXPORT_PAGE, token, &self.filter)?;
        let mut found = self.store.leads(&self.filter, &page).await.map_err(failed)?;
        let next = page.cut(&mut found, place);
        self.next_page = Some(next).filter(|token| !token.is_empty());
        let mut piece = Lines::new();
        for lead in found {
            add_line(&mut piece, &for_clients::lead(&self.caller, lead), self.ids_as_text).map_err(impossible)?;
            if piece.bytes().len() >= PIECE {
                self.ready.push_back(Bytes::copy_from_slice(piece.bytes()));
                piece = Lines::new();
            }
        }
        if !piece.bytes().is_empty() {
            self.ready.push_back(Bytes::copy_from_slice(piece.bytes()));
        }
        Ok(())
    }
}

fn add_line(piece: &mut Lines, lead: &Lead, ids_as_text: bool) -> Result<(), csv::Error> {
    let id = if ids_as_text { Cell::TextId } else { Cell::Text };
    piece.add([
        id(&lead.account),
        id(&lead.interface),
        id(&lead.client),
        id(&lead.lead),
        Cell::Text(&lead.created_at.to_string()),
        Cell::Text(&lead.updated_at.to_string()),
        Cell::Text(&lead.events.to_string()),
        Cell::Text(&lead.deliveries.to_string()),
        Cell::Text(&lead.failed_deliveries.to_string()),
        Cell::Text(if lead.failed_deliveries > 0 { "true" } else { "false" }),
        Cell::Text(&lead.http_status_code.to_string()),
        Cell::Text(&lead.webhook_response),
        Cell::Text(&lead.anonymised_at.map(|at| at.to_string()).unwrap_or_default()),
    ])
}

pub(super) fn place(lead: &Lead) -> Place {
    Place { at: lead.created_at.as_microsecond(), id: lead.lead.clone() }
}
