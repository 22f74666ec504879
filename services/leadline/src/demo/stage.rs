//! The setup of the demo: an account, and three destinations with their receivers.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use api::duration_to_api;
use crypto::Verifier;
use runtime::Drain;
use tokio::net::TcpListener;

use super::system::{ACCOUNT, INTERFACE, System};
use crate::listen::{Behaviour, Receiver};

/// The pause between attempts, short enough to watch.
const RETRY_DELAY: Duration = Duration::from_millis(500);

pub(super) struct Stage {
    destinations: Vec<Destination>,
    verifier: Verifier,
    drain: Drain,
}

pub(super) struct Destination {
    pub(super) name: &'static str,
    pub(super) id: String,
    pub(super) receiver: Option<Receiver>,
    pub(super) was_dead: bool,
    address: SocketAddr,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.drain.stop();
    }
}

impl Stage {
    pub(super) async fn set(system: &System) -> anyhow::Result<Self> {
        let mut registry = system.registry();
        let account = api::Account {
            account_id: ACCOUNT.into(),
            name: "Acme Inc.".into(),
            notification_emails: vec!["owner@acme.example".into()],
            ..api::Account::default()
        };
        registry.create_account(api::CreateAccountRequest { account: Some(account) }).await?;
        let interface = api::Interface {
            account_id: ACCOUNT.into(),
            interface_id: INTERFACE.into(),
            name: "Contact form".into(),
            ..api::Interface::default()
        };
        registry.create_interface(api::CreateInterfaceRequest { interface: Some(interface) }).await?;
        let token = api::CreateTokenRequest {
            account_id: ACCOUNT.into(),
            name: "demo".into(),
            ..api::CreateTokenRequest::default()
        };
        let token = registry.create_token(token).await?.into_inner();
        let mut stage = Self { destinations: vec![], verifier: token.secret.parse()?, drain: Drain::default() };
        let token = token.token.context("the new token has no id")?.token_id;
        stage.add(system, &token, "healthy", Some(0)).await?;
        stage.add(system, &token, "recovering", Some(1)).await?;
        stage.add(system, &token, "dead", None).await?;
        Ok(stage)
    }

    /// Adds a destination. Its receiver answers the first `fail_first` requests of each event with 503. `None` if the
    /// destination gets no receiver yet.
    async fn add(
        &mut self,
        system: &System,
        token: &str,
        name: &'static str,
        fail_first: Option<u32>,
    ) -> anyhow::Result<()> {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let (address, receiver) = match fail_first {
            Some(fail_first) => {
                let receiver = Receiver::start(any_port, self.behaviour(fail_first), &self.drain).await?;
                (receiver.address(), Some(receiver))
            }
            // The port of a closed listener: connections to it are refused.
            None => (TcpListener::bind(any_port).await?.local_addr()?, None),
        };
        let custom = api::CustomRetryPolicy {
            quick_count: 1,
            quick_pause: Some(duration_to_api(RETRY_DELAY)),
            schedule: vec![duration_to_api(RETRY_DELAY)],
            ..api::CustomRetryPolicy::default()
        };
        let destination = api::Destination {
            account_id: ACCOUNT.into(),
            name: name.into(),
            url: format!("http://{address}/"),
            token_id: token.into(),
            // Each delivery to the dead receiver has to fail; with a breaker most of them would wait instead.
            breaker_failures: Some(0),
            retry_policy: Some(api::RetryPolicy { policy: Some(api::retry_policy::Policy::Custom(custom)) }),
            ..api::Destination::default()
        };
        let request = api::CreateDestinationRequest {
            destination: Some(destination),
            ..api::CreateDestinationRequest::default()
        };
        let id = system.registry().create_destination(request).await?.into_inner().destination_id;
        let was_dead = receiver.is_none();
        self.destinations.push(Destination { name, id, receiver, was_dead, address });
        Ok(())
    }

    fn behaviour(&self, fail_first: u32) -> Behaviour {
        let secret = Some(self.verifier.clone());
        Behaviour { secret, status: 200, fail_first, delay: Duration::ZERO, forward: None, print: false }
    }

    /// Starts the receiver of a destination that had none.
    pub(super) async fn revive(&mut self, name: &str) -> anyhow::Result<()> {
        let behaviour = self.behaviour(0);
        let destination = self.destinations.iter_mut().find(|d| d.name == name).context("no such destination")?;
        let receiver = Receiver::start(destination.address, behaviour, &self.drain).await;
        let failed = || format!("cannot listen on {}; another process may use the port", destination.address);
        destination.receiver = Some(receiver.with_context(failed)?);
        Ok(())
    }

    pub(super) fn destinations(&self) -> impl Iterator<Item = &Destination> {
        self.destinations.iter()
    }

    pub(super) fn names(&self) -> String {
        self.destinations().map(|d| format!("{} ({})", d.name, d.address)).collect::<Vec<_>>().join(", ")
    }
}
