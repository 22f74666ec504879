//! Tests of conditions against a payload.

use api::{
    request::{Violations, WrongField, optional},
    status::refusal,
};
use domain::{
    DestinationId,
    condition::Unmet,
    json::{self, Json},
};
use tonic::{Request, Response};

use super::{
    Answer, RegistryService,
    lookup::{account_of, destination_of},
};
use crate::call::caller::Caller;

/// The maximum size of a payload, in bytes: no event is larger.
const MAX_PAYLOAD: usize = 1024 * 1024;

impl RegistryService {
    pub(super) async fn test_condition(
        &self,
        caller: Caller,
        request: Request<api::TestConditionRequest>,
    ) -> Answer<api::TestConditionResponse> {
        let (r, registry) = (request.get_ref(), self.registry.snapshot());
        let mut fields = Violations::default();
        let account = fields.note(caller.account(&r.account_id));
        let condition = fields.note(api::registry::condition(&r.condition).map_err(|e| refusal(&e)));
        let id = fields.note(optional("destination_id", &r.destination_id, DestinationId::parse));
        match (&condition, r.destination_id.as_str()) {
            (Some(None), "") => fields.wrong("condition", "is missing; give it, or a destination_id"),
            (Some(Some(_)), id) if !id.is_empty() => {
                fields.wrong("condition", "is given together with destination_id; give one of them");
            }
            _ => {}
        }
        let payload = fields.note(payload(&r.payload));
        let (account, condition, id, payload) = fields.end(|| Some((account?, condition?, id?, payload?)))?;
        account_of(&registry, &account)?;
        let condition = match &id {
            Some(id) => destination_of(&registry, &account, id)?.condition.clone(),
            None => condition,
        };
        // A destination without a condition wants every event.
        let checked = condition.map_or(Ok(()), |condition| condition.check(&payload));
        Ok(Response::new(match checked {
            Ok(()) => api::TestConditionResponse { holds: true, ..api::TestConditionResponse::default() },
            Err(Unmet { place, found }) => {
                api::TestConditionResponse { holds: false, unmet: place, reason: found.to_string() }
            }
        }))
    }
}

fn payload(given: &[u8]) -> Result<Json, WrongField> {
    if given.len() > MAX_PAYLOAD {
        let problem = format!("has {} bytes, and {MAX_PAYLOAD} is the limit", given.len());
        return Err(WrongField::new("payload", problem));
    }
    json::parse(given).map_err(|e| WrongField::new("payload", format!("is not JSON: {e}")))
}
