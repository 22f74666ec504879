//! A receiver of webhooks. Tests can make it misbehave as real receivers do.

mod connection;
mod shared;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

pub use shared::{Answer, Seen};
use shared::{Shared, State};

use crate::{
    port,
    tls::{Authority, Certificate},
};

/// A receiver on a loopback port. It ends, with its connections, when it is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    host: &'static str,
    scheme: &'static str,
    shared: Arc<Shared>,
    accepting: AbortOnDropHandle<()>,
}

impl Receiver {
    /// Starts a receiver on any free port that answers with 200.
    pub async fn start() -> Self {
        Self::start_on(0).await
    }

    /// Starts a receiver on this port.
    ///
    /// # Panics
    /// If the port is taken.
    pub async fn start_on(port: u16) -> Self {
        Self::serve(port::listen(port).await, None)
    }

    /// Starts a receiver at this loopback address.
    ///
    /// # Panics
    /// If the address is taken.
    pub async fn start_at(address: SocketAddr) -> Self {
        Self::serve(TcpListener::bind(address).await.expect("the address is free"), None)
    }

    /// Starts a receiver that speaks TLS as `localhost`.
    pub async fn start_tls(certificate: &Certificate) -> Self {
        Self::serve(port::listen(0).await, Some(certificate.acceptor()))
    }

    /// Starts a receiver that speaks TLS as `localhost`, and accepts clients with certificates of this authority.
    pub async fn start_mutual_tls(certificate: &Certificate, clients: &Authority) -> Self {
        Self::serve(port::listen(0).await, Some(certificate.acceptor_asking(clients, &[])))
    }

    fn serve(listener: TcpListener, tls: Option<TlsAcceptor>) -> Self {
        let address = listener.local_addr().expect("a listener has an address");
        let state = State {
            answer: Answer::Status(200),
            decide: None,
            next: VecDeque::new(),
            seen: vec![],
            in_flight: 0,
            max_in_flight: 0,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), gate: watch::Sender::new(false) });
        let (scheme, host) = if tls.is_some() { ("https", "localhost") } else { ("http", "127.0.0.1") };
        let accepting = AbortOnDropHandle::new(tokio::spawn(accept(listener, tls, Arc::clone(&shared))));
        Self { address, host, scheme, shared, accepting }
    }

    /// The URL for requests.
    pub fn url(&self) -> String {
        format!("{}://{}:{}/hook", self.scheme, self.host, self.address.port())
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Sets the reaction to further requests.
    pub fn answer(&self, answer: Answer) {
        self.shared.state().answer = answer;
    }

    /// Sets the function that decides about each further request, in order of arrival. It is called under a lock.
    pub fn answer_by(&self, decide: impl Fn(&Seen) -> Answer + Send + Sync + 'static) {
        self.shared.state().decide = Some(Arc::new(decide));
    }

    /// Sets the reactions to the next requests, one for each; after them the previous reaction returns.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.state().next.extend(answers);
    }

    /// Every received request, the oldest first.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    /// The number of received requests.
    pub fn count(&self) -> usize {
        self.shared.state().seen.len()
    }

    /// The number of requests that wait for their answer.
    pub fn in_flight(&self) -> usize {
        self.shared.state().in_flight
    }

    /// The maximum number of requests that waited at once.
    pub fn max_in_flight(&self) -> usize {
        self.shared.state().max_in_flight
    }

    /// Answers the requests that [`Answer::Gate`] holds, and does not hold further ones.
    pub fn open_gate(&self) {
        self.shared.gate.send_replace(true);
    }

    /// Ends the receiver, and returns after its port refuses connections, so that another may start on the port.
    pub async fn stop(mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
    }
}

/// Connections belong to the accepting task and end with it.
async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            match tls {
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection::serve(stream, shared).await;
                    }
                }
                None => connection::serve(stream, shared).await,
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::wait;

    const SOON: Duration = Duration::from_secs(10);

    fn client() -> reqwest::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
    }

    async fn post(client: &reqwest::Client, receiver: &Receiver) -> reqwest::Result<u16> {
        Ok(client.post(receiver.url()).header("x-name", "value").body("hello").send().await?.status().as_u16())
    }

    #[tokio::test]
    async fn receiver_keeps_requests_and_answers_in_order() {
        let (client, receiver) = (client(), Receiver::start().await);
        let elsewhere = Answer::With(307, vec![("location", "http://elsewhere.example/".into())], Bytes::new());
        receiver.answer_next([Answer::Status(503), Answer::After(Duration::from_millis(1), Box::new(elsewhere))]);
        assert_eq!(post(&client, &receiver).await.unwrap(), 503);
        assert_eq!(post(&client, &receiver).await.unwrap(), 307);
        assert_eq!(post(&client, &receiver).await.unwrap(), 200);
        let requests = receiver.requests();
        assert_eq!((requests.len(), receiver.in_flight(), receiver.max_in_flight()), (3, 0, 1));
        assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/hook"));
        assert_eq!((requests[0].header("x-name"), &requests[0].body[..]), ("value", &b"hello"[..]));
        assert!(requests[0].at <= requests[1].at);
    }

    #[tokio::test]
    async fn receiver_resets_a_persistent_connection() {
        let (client, receiver) = (client(), Receiver::start().await);
        assert_eq!(post(&client, &receiver).await.unwrap(), 200);
        receiver.answer(Answer::Reset);
        let error = post(&client, &receiver).await.unwrap_err();
        assert!(format!("{error:?}").contains("ConnectionReset"), "{error:?}");
        receiver.answer(Answer::Status(200));
        assert_eq!(post(&client, &receiver).await.unwrap(), 200);
        receiver.answer(Answer::Garbage);
        assert!(post(&client, &receiver).await.is_err());
        assert_eq!(receiver.requests()[3].body, "hello");
        wait::until_eq("both requests to end", SOON, 0, async || receiver.in_flight()).await;
    }

    #[tokio::test]
    async fn receiver_drips_headers_resets_bodies_and_decides_by_request() {
        let (client, receiver) = (client(), Receiver::start().await);
        receiver.answer_by(|seen| if seen.body == "hello" { Answer::ResetInBody } else { Answer::DripHeaders });
        let answer = client.post(receiver.url()).body("hello").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        assert!(answer.bytes().await.is_err());
        let request = client.post(receiver.url()).body("other").timeout(Duration::from_millis(300));
        assert!(request.send().await.unwrap_err().is_timeout());
        assert_eq!(receiver.count(), 2);
    }

    #[tokio::test]
    async fn receiver_holds_requests_at_the_gate() {
        let (client, receiver) = (client(), Receiver::start().await);
        receiver.answer(Answer::Gate(204));
        let opened = async {
            wait::until_eq("two requests at the gate", SOON, 2, async || receiver.in_flight()).await;
            receiver.open_gate();
        };
        let (one, two, ()) = tokio::join!(post(&client, &receiver), post(&client, &receiver), opened);
        assert_eq!((one.unwrap(), two.unwrap()), (204, 204));
        wait::until_eq("none at the gate", SOON, 0, async || receiver.in_flight()).await;
        assert_eq!(receiver.max_in_flight(), 2);
    }

    #[tokio::test]
    async fn receiver_hangs_and_sends_endless_bodies() {
        let (client, receiver) = (client(), Receiver::start().await);
        receiver.answer_next([Answer::Hang, Answer::Endless]);
        let request = client.get(receiver.url()).timeout(Duration::from_millis(50));
        assert!(request.send().await.unwrap_err().is_timeout());
        wait::until_eq("the request to be given up", SOON, 0, async || receiver.in_flight()).await;
        let mut endless = client.get(receiver.url()).send().await.unwrap();
        let mut length = 0;
        while length < 1_000_000 {
            length += endless.chunk().await.unwrap().expect("there is always more").len();
        }
    }

    #[tokio::test]
    async fn restarts_on_the_same_port() {
        let (client, receiver) = (client(), Receiver::start_on(port::free_port()).await);
        let (port, url) = (receiver.port(), receiver.url());
        receiver.stop().await;
        assert!(client.post(&url).send().await.unwrap_err().is_connect());
        let again = Receiver::start_on(port).await;
        assert_eq!((post(&client, &again).await.unwrap(), again.count()), (200, 1));
        drop(again);
        assert_eq!(post(&client, &Receiver::start_on(port).await).await.unwrap(), 200);
    }
}
