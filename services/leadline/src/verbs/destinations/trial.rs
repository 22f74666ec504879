//! `leadline destinations test`: sends a test event and shows its delivery, or shows the request alone.

use std::{io::Read as _, time::Duration};

use anyhow::Context as _;
use api::DeliveryStatus;
use clap::Args;
use tokio::time::{Instant, sleep};
use tonic::Code;

use super::named::Named;
use crate::{
    remote::session::within,
    terminal::{errors::AlreadyReported, output::note},
    verbs::deliveries::{print_detail, request::print_request},
};

/// How often the delivery is read.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// How long to wait for the end of the delivery. A receiver may take 60 s to answer, and the work may wait for other
/// work before.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(90);

#[derive(Debug, Args)]
pub(super) struct Trial {
    /// JSON to send instead of the usual test payload; - reads standard input
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
    /// Show the request of --payload or --event, and send nothing
    #[arg(long)]
    preview: bool,
    /// Preview the request of this event; the key needs the scope payload
    #[arg(long, value_name = "ID", requires = "preview", conflicts_with = "payload")]
    event: Option<String>,
    #[command(flatten)]
    named: Named,
}

impl Trial {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut payload = self.payload.clone().unwrap_or_default();
        if payload == "-" {
            payload.clear();
            std::io::stdin().read_to_string(&mut payload).context("standard input cannot be read")?;
        }
        let (session, found) = self.named.found().await?;
        let (account_id, destination_id) = (found.account_id, found.destination_id);
        if self.preview {
            let request = api::PreviewRequestRequest {
                account_id,
                destination_id,
                payload: payload.into_bytes(),
                event_id: self.event.unwrap_or_default(),
                event_type: String::new(),
            };
            let rendered = session.deliveries().preview_request(within(request)).await?.into_inner();
            return print_request(&session, &rendered);
        }
        let request = api::SendTestDeliveryRequest { account_id, destination_id, payload: payload.into_bytes() };
        let sent = session.deliveries().send_test_delivery(within(request)).await?.into_inner();
        let give_up = Instant::now() + DELIVERY_TIMEOUT;
        loop {
            let request = api::GetDeliveryRequest { delivery_id: sent.delivery_id.clone() };
            let detail = match session.deliveries().get_delivery(within(request)).await {
                Ok(detail) => detail.into_inner(),
                // The read model does not show the delivery yet.
                Err(status) if status.code() == Code::NotFound => api::DeliveryDetail::default(),
                Err(status) => return Err(status.into()),
            };
            let status = detail.delivery.as_ref().map(api::Delivery::status);
            let has_ended = matches!(status, Some(DeliveryStatus::Succeeded | DeliveryStatus::Failed));
            if has_ended || Instant::now() >= give_up {
                print_detail(&session, &detail)?;
                if !has_ended {
                    note(&format!("The delivery has not ended yet: leadline deliveries show {}", sent.delivery_id));
                }
                return if status == Some(DeliveryStatus::Succeeded) { Ok(()) } else { Err(AlreadyReported.into()) };
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}
