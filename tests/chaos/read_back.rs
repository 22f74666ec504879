//! Calls to the API, which set up a run and read its result.

use std::{collections::HashMap, time::Duration};

use access::AuthChannel;
use api::{
    delivery_service_client::DeliveryServiceClient, lead_service_client::LeadServiceClient,
    registry_service_client::RegistryServiceClient, status_service_client::StatusServiceClient,
};
use testkit::wait;

use crate::{
    expectations::{INTERFACE, ORDERED, PLAIN},
    program::SOON,
    stage::Stage,
};

/// The maximum page size.
const PAGE: u32 = 500;

/// The recipient of an account's failure notices.
pub(crate) fn owner(account: &str) -> String {
    format!("owner@{account}.example")
}

/// Creates accounts, interfaces and destinations. Returns the ids of the destinations by their names.
pub(crate) async fn set_up(stage: &Stage) -> HashMap<&'static str, String> {
    let mut registry = RegistryServiceClient::new(stage.api());
    for account in [PLAIN, ORDERED] {
        let account = api::Account {
            account_id: account.into(),
            name: account.into(),
            notification_emails: vec![owner(account)],
            ..api::Account::default()
        };
        let interface = api::Interface {
            account_id: account.account_id.clone(),
            interface_id: INTERFACE.into(),
            name: "Form".into(),
            ..api::Interface::default()
        };
        registry.create_account(api::CreateAccountRequest { account: Some(account) }).await.unwrap();
        registry.create_interface(api::CreateInterfaceRequest { interface: Some(interface) }).await.unwrap();
    }
    let mut ids = HashMap::new();
    for desk in &stage.desks {
        let destination = Some(desk.want.destination(desk.url()));
        let request = api::CreateDestinationRequest { destination, ..api::CreateDestinationRequest::default() };
        let made = registry.create_destination(request).await.unwrap().into_inner();
        ids.insert(desk.want.name, made.destination_id);
    }
    ids
}

/// All deliveries in the read model.
pub(crate) async fn deliveries(stage: &Stage) -> Vec<api::Delivery> {
    let mut client = DeliveryServiceClient::new(stage.api());
    let mut request = api::ListDeliveriesRequest { page_size: PAGE, ..api::ListDeliveriesRequest::default() };
    let mut all = vec![];
    loop {
        let page = client.list_deliveries(request.clone()).await.unwrap().into_inner();
        all.extend(page.deliveries);
        if page.next_page_token.is_empty() {
            return all;
        }
        request.page_token = page.next_page_token;
    }
}

/// Whether an attempt without an answer is stored for a delivery. Its effect at the receiver is unknown, so a further
/// attempt may be a repeat.
pub(crate) async fn went_without_answer(stage: &Stage, delivery_id: &str) -> bool {
    let request = api::GetDeliveryRequest { delivery_id: delivery_id.to_owned() };
    let detail = DeliveryServiceClient::new(stage.api()).get_delivery(request).await.unwrap().into_inner();
    detail.attempts.iter().any(|attempt| !attempt.error_kind.is_empty())
}

pub(crate) async fn count_leads(stage: &Stage, account: &str) -> usize {
    let mut client = LeadServiceClient::new(stage.api());
    let mut request = api::ListLeadsRequest { account_id: account.into(), page_size: PAGE, ..Default::default() };
    let mut count = 0;
    loop {
        let page = client.list_leads(request.clone()).await.unwrap().into_inner();
        count += page.leads.len();
        if page.next_page_token.is_empty() {
            return count;
        }
        request.page_token = page.next_page_token;
    }
}

/// The status; `None` if it is unavailable now.
pub(crate) async fn status(api: AuthChannel) -> Option<api::GetStatusResponse> {
    Some(StatusServiceClient::new(api).get_status(api::GetStatusRequest::default()).await.ok()?.into_inner())
}

/// Waits until no work is left except `parked` parked messages.
pub(crate) async fn quiet(stage: &Stage, parked: usize, within: Duration) -> Result<(), String> {
    let look = async || {
        let Some(status) = status(stage.api()).await else { return Err("the status is unavailable".to_owned()) };
        let lags: u64 = status.lags.iter().map(|lag| lag.waiting + lag.in_hand).sum();
        let rest = (lags, status.parked, status.timers_pending, status.in_order);
        if rest == (0, parked as u64, 0, 0) { Ok(()) } else { Err(format!("{status:#?}")) }
    };
    wait::attempt(within, look).await
}

/// Enables a destination, which releases its held deliveries.
pub(crate) async fn enable(stage: &Stage, account: &str, destination: &str) {
    let mut registry = RegistryServiceClient::new(stage.api());
    let (account_id, destination_id) = (account.to_owned(), destination.to_owned());
    let request = api::EnableDestinationRequest { account_id, destination_id, skip_held: false };
    wait::until("the destination to be enabled", SOON, async || registry.enable_destination(request.clone()).await)
        .await;
}
