//! The limits of an account. If a limit is lowered, existing entities stay, and only further ones are refused.

use crate::{
    ids::AccountId,
    registry::{
        entities::{
            account::{Account, Routing},
            destination::Destination,
        },
        facts::Change,
        refusal::Refusal,
        request::shape::Body,
        state::{
            account_entry::AccountEntry,
            fan_out::{fan_out, fan_out_of_all},
            fold::Registry,
        },
    },
};

/// The limits of an account, set by the operator. Two concurrent changes may exceed a limit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Each destination has a lane and, while deliveries wait for it, a consumer at the broker.
    pub destinations: usize,
    /// The requests that one published event can cause.
    pub deliveries_per_event: usize,
    /// Bytes of all URLs, body templates, forms, conditions and certificates, which every process has in memory.
    pub template_bytes: usize,
    pub clients: usize,
    pub interfaces: usize,
    pub tokens: usize,
}

impl Default for Limits {
    /// Each limit is several times what the largest customers of such services need, and small enough that one account
    /// does not affect the others.
    fn default() -> Self {
        Self {
            destinations: 2_000,
            deliveries_per_event: 100,
            template_bytes: 16 * 1024 * 1024,
            clients: 10_000,
            interfaces: 10_000,
            tokens: 2_000,
        }
    }
}

impl Limits {
    /// Whether a change stays within the limits of its account.
    ///
    /// # Errors
    /// The limit that the change would exceed.
    pub fn check(&self, registry: &Registry, change: &Change) -> Result<(), Refusal> {
        let (Some(id), _, _) = change.entity() else { return Ok(()) };
        let Some(entry) = registry.account(id) else { return Ok(()) };
        match change {
            Change::ClientCreated(_) => {
                let count = entry.clients().filter(|client| !client.deleted).count();
                at_most(id, count + 1, "clients", self.clients, "--max-clients")
            }
            Change::InterfaceCreated(_) => {
                let count = entry.interfaces().filter(|interface| !interface.deleted).count();
                at_most(id, count + 1, "interfaces", self.interfaces, "--max-interfaces")
            }
            Change::TokenCreated(_) => {
                let count = entry.tokens().filter(|token| !token.deleted).count();
                at_most(id, count + 1, "tokens", self.tokens, "--max-tokens")
            }
            Change::DestinationCreated(new) => {
                at_most(id, existing(entry).count() + 1, "destinations", self.destinations, "--max-destinations")?;
                self.check_templates(entry, None, new)?;
                self.check_fan_out(entry, entry.account.routing, new)
            }
            Change::DestinationUpdated(new) => {
                let Some(now) = existing(entry).find(|destination| destination.id == new.id) else { return Ok(()) };
                self.check_templates(entry, Some(now), new)?;
                if now.scope == new.scope && now.event_types == new.event_types {
                    return Ok(());
                }
                self.check_fan_out(entry, entry.account.routing, new)
            }
            Change::AccountUpdated(Account { routing: Routing::All, .. }) if entry.account.routing != Routing::All => {
                self.check_deliveries(id, fan_out_of_all(existing(entry)))
            }
            _ => Ok(()),
        }
    }

    fn check_templates(
        &self,
        entry: &AccountEntry,
        now: Option<&Destination>,
        new: &Destination,
    ) -> Result<(), Refusal> {
        let (before, after) = (now.map_or(0, template_bytes), template_bytes(new));
        if after <= before {
            return Ok(());
        }
        let total: usize = existing(entry).map(template_bytes).sum();
        let (would, what) =
            (total - before + after, "bytes of URLs, templates, form settings, conditions and certificates");
        at_most(&new.account, would, what, self.template_bytes, "--max-template-bytes")
    }

    fn check_fan_out(&self, entry: &AccountEntry, routing: Routing, new: &Destination) -> Result<(), Refusal> {
        self.check_deliveries(&new.account, fan_out(&existing(entry).collect::<Vec<_>>(), routing, new))
    }

    fn check_deliveries(&self, account: &AccountId, would: usize) -> Result<(), Refusal> {
        let max = self.deliveries_per_event;
        at_most(account, would, "deliveries of one event", max, "--max-deliveries-per-event")
    }
}

fn existing(entry: &AccountEntry) -> impl Iterator<Item = &Destination> {
    entry.destinations().map(AsRef::as_ref).filter(|destination: &&Destination| !destination.deleted)
}

fn template_bytes(destination: &Destination) -> usize {
    let body = match &destination.request.body {
        Body::Template(text) => text.len(),
        Body::Payload | Body::Envelope | Body::Slack | Body::Form | Body::Multipart => 0,
    };
    let condition = destination.condition.as_ref().map_or(0, |condition| condition.as_str().len());
    let certificates = destination.transport.certificate_bytes();
    destination.url.len() + body + destination.request.form.bytes() + condition + certificates
}

fn at_most(
    account: &AccountId,
    would: usize,
    what: &'static str,
    limit: usize,
    setting: &'static str,
) -> Result<(), Refusal> {
    if would <= limit {
        return Ok(());
    }
    Err(Refusal::Limit { account: account.clone(), would, what, limit, setting })
}
