//! Problems as the API shows them.

use api::timestamp_to_api;
use domain::{Registry, problem::ProblemState};
use read_model::tables::problems::ProblemRow;

pub(super) fn problem_to_api(row: &ProblemRow, registry: &Registry) -> api::Problem {
    let destination = registry.destination_ever(&row.destination);
    let state = match row.problem.state(row.last_success_at, row.acknowledged_at) {
        ProblemState::Open => api::ProblemState::Open,
        ProblemState::Acknowledged => api::ProblemState::Acknowledged,
        ProblemState::Recovering => api::ProblemState::Recovering,
        ProblemState::Closed => api::ProblemState::Closed,
    };
    let acknowledged = row.problem.is_acknowledged(row.acknowledged_at);
    api::Problem {
        account_id: row.account.to_string(),
        destination_id: row.destination.to_string(),
        destination_name: destination.map(|d| d.name.clone()).unwrap_or_default(),
        cause: row.cause.to_string(),
        state: state.into(),
        first_at: Some(timestamp_to_api(row.problem.first_at)),
        last_at: Some(timestamp_to_api(row.problem.last_at)),
        closed_at: row.problem.closed_at.map(timestamp_to_api),
        deliveries: row.problem.deliveries,
        leads: row.leads,
        example_delivery_id: row.problem.example.map(|id| id.to_string()).unwrap_or_default(),
        suggested_action: row.cause.suggested_action().to_owned(),
        held: destination.is_some_and(|destination| !destination.deleted && destination.is_off()),
        acknowledged_by: if acknowledged { row.acknowledged_by.clone() } else { String::new() },
        acknowledged_at: row.acknowledged_at.filter(|_| acknowledged).map(timestamp_to_api),
    }
}
