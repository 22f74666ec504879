//! The leads that a request to anonymise names.

use std::{collections::BTreeSet, time::Duration};

use api::{
    duration,
    request::{Violations, WrongField, required},
    status::invalid,
};
use domain::{InterfaceId, LeadId};
use tonic::Status;

/// At most this many leads are in one request.
const MAX_LEADS: usize = 100;

/// The leads that a request names.
pub(super) enum Requested {
    /// These leads, each once.
    Leads(BTreeSet<LeadId>),
    /// The leads of an interface with events that were received longer ago than this.
    OlderThan(InterfaceId, Duration),
}

impl Requested {
    pub(super) fn of(request: &api::AnonymizeLeadsRequest) -> Result<Self, Status> {
        let Some(age) = &request.older_than else {
            if !request.interface_id.is_empty() {
                return Err(invalid("older_than", "is missing; interface_id needs it"));
            }
            return Ok(Self::Leads(ids(&request.lead_ids)?));
        };
        let mut fields = Violations::default();
        if !request.lead_ids.is_empty() {
            fields.wrong("lead_ids", "is given together with older_than; give one of them");
        }
        let interface = fields.note(required("interface_id", &request.interface_id, InterfaceId::parse));
        let age = duration(age).filter(|age| !age.is_zero());
        let age = fields.note(age.ok_or_else(|| WrongField::new("older_than", "is not more than 0")));
        fields.end(|| Some(Self::OlderThan(interface?, age?)))
    }
}

fn ids(given: &[String]) -> Result<BTreeSet<LeadId>, WrongField> {
    if given.is_empty() || given.len() > MAX_LEADS {
        let problem = format!("has {} entries; 1 to {MAX_LEADS} are allowed", given.len());
        return Err(WrongField::new("lead_ids", problem));
    }
    given.iter().map(|text| required("lead_ids", text, LeadId::parse)).collect()
}
