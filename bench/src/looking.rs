//! Requests about people, and about what fails: searches by values, problems, health and counts.

use std::collections::HashMap;

use api::{CountBucket, DeliveryFilter};
use futures::future::BoxFuture;
use tonic::Status;

use crate::harness::{
    api::ACCOUNT,
    ask::{Ask, Measured},
    derived::{CITY, email},
    system::System,
};

/// Searches for leads and their deliveries; `lead` is the number of the lead of the nth round.
pub(crate) fn searches<'a>(system: &'a System, lead: impl Fn(u32) -> u32 + Copy + 'a) -> Vec<Measured<'a>> {
    let by = |name: &str, value: String| HashMap::from([(name.to_owned(), value)]);
    let leads = move |r#where| -> BoxFuture<'a, Result<usize, Status>> {
        let request = api::ListLeadsRequest { account_id: ACCOUNT.into(), r#where, ..api::ListLeadsRequest::default() };
        Box::pin(async move { Ok(system.api.leads().list_leads(request).await?.into_inner().leads.len()) })
    };
    let deliveries = move |r#where| -> BoxFuture<'a, Result<usize, Status>> {
        let filter = DeliveryFilter { account_id: ACCOUNT.into(), r#where, ..DeliveryFilter::default() };
        let request = api::ListDeliveriesRequest { filter: Some(filter), ..api::ListDeliveriesRequest::default() };
        Box::pin(
            async move { Ok(system.api.deliveries().list_deliveries(request).await?.into_inner().deliveries.len()) },
        )
    };
    vec![
        ("search for a lead", 1, Box::new(move |n| leads(by("email", email(lead(n)))))),
        ("search for the deliveries of a lead", 1, Box::new(move |n| deliveries(by("email", email(lead(n)))))),
        ("search for a value of many leads", 50, Box::new(move |_| leads(by("city", CITY.to_owned())))),
        (
            "search for deliveries by a value of many leads",
            50,
            Box::new(move |_| deliveries(by("city", CITY.to_owned()))),
        ),
    ]
}

/// Requests about what fails, and how destinations do.
pub(crate) fn failures<'a>(system: &'a System, destination: &'a str) -> Vec<Measured<'a>> {
    let problems = move |include_closed| -> BoxFuture<'a, Result<usize, Status>> {
        let request = api::ListProblemsRequest {
            account_id: ACCOUNT.into(),
            include_closed,
            ..api::ListProblemsRequest::default()
        };
        Box::pin(async move { Ok(system.api.problems().list_problems(request).await?.into_inner().problems.len()) })
    };
    let health = move |_| -> BoxFuture<'a, Result<usize, Status>> {
        let (account_id, destination_id) = (ACCOUNT.into(), destination.to_owned());
        let request = api::GetDestinationHealthRequest { account_id, destination_id };
        Box::pin(async move {
            let found = system.api.problems().get_destination_health(request).await?.into_inner();
            Ok(usize::from(found.destination_id == destination))
        })
    };
    let counts = move |bucket: CountBucket, destination_id: String| -> BoxFuture<'a, Result<usize, Status>> {
        let request = api::QueryDeliveryCountsRequest {
            account_id: ACCOUNT.into(),
            destination_id,
            bucket: bucket.into(),
            page_size: 500,
            ..api::QueryDeliveryCountsRequest::default()
        };
        Box::pin(
            async move { Ok(system.api.problems().query_delivery_counts(request).await?.into_inner().counts.len()) },
        )
    };
    let of_destination: Ask<'a> = Box::new(move |_| counts(CountBucket::FiveMinutes, destination.to_owned()));
    vec![
        ("problems", 50, Box::new(move |_| problems(false))),
        ("problems, closed too", 50, Box::new(move |_| problems(true))),
        ("health of a destination", 1, Box::new(health)),
        ("counts of a destination by five minutes", 500, of_destination),
        ("counts of an account by day", 500, Box::new(move |_| counts(CountBucket::Day, String::new()))),
    ]
}
