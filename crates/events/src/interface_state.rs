//! The stored state of the notices about new leads.

use bytes::Bytes;
use domain::{
    AccountId, InterfaceId, LeadId,
    notice::{InterfaceState, LeadExample, LeadWindow},
};
use prost::Message as _;

use crate::{
    primitives::{message, parsed, time},
    record::{Record, RecordError},
    stored,
};

impl Record for InterfaceState {
    const NAME: &'static str = "interface state";

    fn encode(&self) -> Bytes {
        let stored = stored::LeadWatch {
            account: self.account.to_string(),
            interface: self.interface.to_string(),
            sequence: self.sequence,
            window: self.window.as_ref().map(lead_window_to_stored),
        };
        stored.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let stored: stored::LeadWatch = message(Self::NAME, bytes)?;
        Ok(Self {
            account: parsed(Self::NAME, "account", &stored.account, AccountId::parse)?,
            interface: parsed(Self::NAME, "interface", &stored.interface, InterfaceId::parse)?,
            sequence: stored.sequence,
            window: stored.window.map(|stored| lead_window(Self::NAME, stored)).transpose()?,
        })
    }
}

pub(crate) fn lead_window_to_stored(window: &LeadWindow) -> stored::LeadWindow {
    let examples = window.examples.iter().map(|example| stored::LeadExample {
        lead: example.lead.to_string(),
        received_at: example.received_at.as_microsecond(),
        sequence: example.sequence,
    });
    stored::LeadWindow {
        from: window.from.as_microsecond(),
        until: window.until.as_microsecond(),
        count: window.count,
        since: window.since.map(|at| at.as_microsecond()),
        examples: examples.collect(),
    }
}

pub(crate) fn lead_window(record: &'static str, stored: stored::LeadWindow) -> Result<LeadWindow, RecordError> {
    let example = |stored: stored::LeadExample| {
        Ok(LeadExample {
            lead: parsed(record, "lead", &stored.lead, LeadId::parse)?,
            received_at: time(record, "received_at", stored.received_at)?,
            sequence: stored.sequence,
        })
    };
    Ok(LeadWindow {
        from: time(record, "from", stored.from)?,
        until: time(record, "until", stored.until)?,
        count: stored.count,
        since: stored.since.map(|at| time(record, "since", at)).transpose()?,
        examples: stored.examples.into_iter().map(example).collect::<Result<_, RecordError>>()?,
    })
}
