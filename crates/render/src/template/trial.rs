//! Tries a template before the first lead arrives, so that a template that cannot work is refused when it is
//! configured.
//!
//! The fields of future leads are unknown, so placeholders replace them. A placeholder has every field, is a list with
//! one item, and is written as a text or as a number. It may cause a failure that no lead would cause, so most failures
//! are ignored here. A result that is not a form, XML or JSON is refused if the template has no condition and no loop.
//! A result that is not JSON is also refused if it becomes JSON once the placeholders have no quotes: then the template
//! has values between its own quotes.

use ::url::Url;
use bytes::Bytes;
use domain::{
    ClientId, DeliveryId, DeliveryRef, EventId, EventType, InterfaceId, LeadId, LeadSequence,
    registry::{Body, Destination},
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    error::RenderError,
    template::{
        engine::{Compiled, is_template},
        part::Part,
    },
    url,
    values::{Input, Root},
};

/// Compiles the templates of a destination, and tries them.
///
/// # Errors
/// When they fail for every lead.
pub(crate) fn attempt(destination: &Destination) -> Result<(), RenderError> {
    let reference = reference(destination);
    let payload = Bytes::new();
    let input = Input { reference: &reference, occurred_at: Timestamp::UNIX_EPOCH, payload: &payload };
    if is_template(&destination.url) {
        let template = Compiled::read(&destination.url, Part::Url)?;
        let written = Url::parse(&destination.url)?;
        if let Ok(filled) = template.fill(Root::placeholder(&input, true)) {
            match url::checked(&filled, &written) {
                // The length depends on the lead, so it is not checked here.
                Ok(_) | Err(RenderError::LongUrl { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    if let Body::Template(text) = &destination.request.body {
        let part = Part::of_body(destination.request.format());
        let template = Compiled::read(text, part)?;
        let fill = |quoted| template.fill(Root::placeholder(&input, quoted));
        let Ok(Err(wrong)) = fill(true).map(|text| part.checked(text)) else { return Ok(()) };
        let with_numbers = part == Part::Json && fill(false).is_ok_and(|text| part.checked(text).is_ok());
        if with_numbers || !template.depends_on_the_lead {
            return Err(wrong);
        }
    }
    Ok(())
}

fn reference(destination: &Destination) -> DeliveryRef {
    let some = "some";
    DeliveryRef {
        delivery: DeliveryId::from_uuid(Uuid::nil()),
        account: destination.account.clone(),
        interface: InterfaceId::parse(some).expect("an id"),
        client: ClientId::parse(some).ok(),
        destination: destination.id.clone(),
        event_id: EventId::parse(some).expect("an id"),
        event_type: EventType::lead_created(),
        lead: LeadId::parse(some).expect("an id"),
        lead_sequence: LeadSequence(1),
        requested_at: None,
    }
}
