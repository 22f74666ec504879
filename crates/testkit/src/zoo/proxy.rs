//! A TCP proxy in front of a receiver. It can fail silently, as load balancers and address translators do.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use crate::port;

/// Forwards connections until they are frozen. It ends, with its connections, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    /// The connections up to this number are frozen.
    frozen: Arc<watch::Sender<usize>>,
    accepted: watch::Receiver<usize>,
    _accepting: AbortOnDropHandle<()>,
}

impl Proxy {
    /// Starts a proxy in front of this address.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = port::listen(0).await;
        let address = listener.local_addr().expect("a listener has an address");
        let frozen = Arc::new(watch::Sender::new(0));
        let (count, accepted) = watch::channel(0);
        let freezing = Arc::clone(&frozen);
        let accepting = AbortOnDropHandle::new(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let number = *count.borrow() + 1;
                count.send_replace(number);
                let mut freezing = freezing.subscribe();
                connections.spawn(async move {
                    let Ok(server) = TcpStream::connect(target).await else { return };
                    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                        (client.into_split(), server.into_split());
                    let frozen = tokio::select! {
                        _ = forward(&mut from_client, &mut to_server) => false,
                        _ = forward(&mut from_server, &mut to_client) => false,
                        frozen = freezing.wait_for(|frozen| *frozen >= number) => frozen.is_ok(),
                    };
                    if frozen {
                        // Both directions stay open, and nothing passes.
                        std::future::pending::<()>().await;
                    }
                });
            }
        }));
        Self { address, frozen, accepted, _accepting: accepting }
    }

    /// The URL for requests if the target speaks TLS as `localhost`.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/hook", self.address.port())
    }

    /// The number of accepted connections.
    pub fn connections(&self) -> usize {
        *self.accepted.borrow()
    }

    /// Freezes all present connections: nothing passes through them any more. Later connections are forwarded.
    pub fn freeze(&self) {
        self.frozen.send_replace(self.connections());
    }
}

async fn forward(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}
