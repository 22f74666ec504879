//! Tests of conditions against a payload.

use api::status::{invalid, refusal};
use domain::{Condition, condition::Unmet, json};
use tonic::{Request, Response};

use super::{
    Answer, RegistryService,
    parts::{account_of, destination_id, destination_of},
};
use crate::caller::Caller;

/// The largest payload, in bytes: no event is larger.
const MAX_PAYLOAD: usize = 1024 * 1024;

impl RegistryService {
    pub(super) async fn test_condition(
        &self,
        caller: Caller,
        request: Request<api::TestConditionRequest>,
    ) -> Answer<api::TestConditionResponse> {
        let (r, registry) = (request.get_ref(), self.registry.snapshot());
        let account = caller.account(&r.account_id)?;
        account_of(&registry, &account)?;
        let given = api::registry::condition(&r.condition).map_err(|e| refusal(&e))?;
        let condition: Option<Condition> = match (given, r.destination_id.as_str()) {
            (Some(_), id) if !id.is_empty() => {
                return Err(invalid("condition", "is given beside destination_id; give one of them"));
            }
            (Some(condition), _) => Some(condition),
            (None, "") => return Err(invalid("condition", "is missing; give it, or a destination_id")),
            (None, id) => destination_of(&registry, &account, &destination_id(id)?)?.condition.clone(),
        };
        if r.payload.len() > MAX_PAYLOAD {
            let problem = format!("has {} bytes, and {MAX_PAYLOAD} is the limit", r.payload.len());
            return Err(invalid("payload", problem));
        }
        let payload = json::parse(&r.payload).map_err(|e| invalid("payload", format!("is not JSON: {e}")))?;
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
