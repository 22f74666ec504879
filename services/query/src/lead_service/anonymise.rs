//! Anonymises leads on request: by their ids, or by their age.

use std::{collections::BTreeSet, time::Duration};

use api::status::{invalid, not_found, unavailable};
use domain::{AccountId, InterfaceId, LeadEvent, LeadId, LeadSequence};
use jiff::Timestamp;
use journal::{JournalError, StreamFact as _, StreamName};
use read_model::{read_barrier::Stale, tables::leads::Lead};
use runtime::{ErrorChain as _, trace::TraceContext};
use tonic::Status;

use super::{LeadService, requested::Requested};
use crate::call::{
    caller::Caller,
    errors::{failed, stale},
};

/// At most this many events are covered by one request by age.
const MAX_EVENTS: u32 = 500;

pub(super) struct Done {
    /// The leads as they are after the request.
    pub(super) leads: Vec<Lead>,
    /// Whether more leads match the request.
    pub(super) more: bool,
}

impl LeadService {
    /// Anonymises every lead of the request; none if one of them does not exist.
    pub(super) async fn anonymise(
        &self,
        account: &AccountId,
        requested: Requested,
        caller: &Caller,
        trace: Option<&TraceContext>,
    ) -> Result<Done, Status> {
        // An event that was published before this request has to be covered.
        let now = self.journal.stream(LeadEvent::STREAM).last_sequence().await.map_err(|error| stale(error.into()))?;
        self.wait_for(LeadEvent::STREAM, now).await?;
        match requested {
            Requested::Leads(leads) => {
                let meant = self.named(account, &leads, LeadSequence(now)).await?;
                self.anonymise_each(account, &meant, caller, trace).await?;
                Ok(Done { leads: self.current(account, leads.iter()).await?, more: false })
            }
            Requested::OlderThan(interface, age) => {
                let before = self.ago(account, &interface, age)?;
                let overdue = |max| self.store.overdue(account, &interface, before, max);
                let meant = overdue(MAX_EVENTS).await.map_err(failed)?;
                self.anonymise_each(account, &meant, caller, trace).await?;
                let leads = self.current(account, meant.iter().map(|(lead, _)| lead)).await?;
                Ok(Done { leads, more: !overdue(1).await.map_err(failed)?.is_empty() })
            }
        }
    }

    /// The leads among these that are not anonymised yet. Each has the last sequence of LEADS that has to be
    /// anonymised.
    async fn named(
        &self,
        account: &AccountId,
        leads: &BTreeSet<LeadId>,
        now: LeadSequence,
    ) -> Result<Vec<(LeadId, LeadSequence)>, Status> {
        let mut meant = vec![];
        for lead in leads {
            if self.store.lead(account, lead).await.map_err(failed)?.is_none() {
                return Err(self.no_lead(account, lead));
            }
            let covered = self.store.anonymised_until(account, lead).await.map_err(failed)?;
            let last_event = self.store.last_event(account, lead).await.map_err(failed)?;
            if covered < last_event {
                // The read model may still show an event that LEADS no longer holds.
                meant.push((lead.clone(), last_event.max(now)));
            }
        }
        Ok(meant)
    }

    async fn anonymise_each(
        &self,
        account: &AccountId,
        leads: &[(LeadId, LeadSequence)],
        caller: &Caller,
        trace: Option<&TraceContext>,
    ) -> Result<(), Status> {
        let mut last = 0;
        for (lead, until) in leads {
            let stored = self.journal.anonymised().anonymise(account, lead.clone(), *until, caller.by(), trace).await;
            last = stored.map_err(not_known)?.max(last);
        }
        self.wait_for(StreamName::Anonymised, last).await
    }

    async fn current(&self, account: &AccountId, leads: impl Iterator<Item = &LeadId>) -> Result<Vec<Lead>, Status> {
        let mut shown = vec![];
        for lead in leads {
            shown.extend(self.store.lead(account, lead).await.map_err(failed)?);
        }
        Ok(shown)
    }

    fn ago(&self, account: &AccountId, interface: &InterfaceId, age: Duration) -> Result<Timestamp, Status> {
        let registry = self.registry.snapshot();
        let known = registry.account_ever(account).is_some_and(|account| account.interface(interface).is_some());
        if !known {
            return Err(not_found("INTERFACE", format!("account {account} has no interface {interface}")));
        }
        Timestamp::now().checked_sub(age).map_err(|_| invalid("older_than", "goes back too far"))
    }

    async fn wait_for(&self, stream: StreamName, sequence: u64) -> Result<(), Status> {
        let shown = self.read_barrier.shows(stream, sequence).await.map_err(failed)?;
        shown.then_some(()).ok_or_else(|| stale(Stale::Behind))
    }
}

fn not_known(error: JournalError) -> Status {
    tracing::warn!(error = error.chain(), "cannot anonymise every lead of a request; refused the call");
    unavailable(format!(
        "cannot confirm that every lead was anonymised: {error}; repeat the call, each lead is anonymised once"
    ))
}
