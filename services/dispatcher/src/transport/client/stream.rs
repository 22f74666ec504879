//! The byte streams under HTTP, and how they are opened.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::{net::TcpStream, time::sleep};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use crate::transport::failure::is_out_of_files;

/// The delay before the next address is tried in parallel (RFC 8305, 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The byte stream under HTTP.
pub(super) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// The address at the other end of a stream; `None` if the connection has ended.
pub(super) fn peer_of(stream: &Stream) -> Option<SocketAddr> {
    match stream {
        Either::Left(stream) => stream.peer_addr(),
        Either::Right(stream) => stream.get_ref().0.peer_addr(),
    }
    .ok()
}

/// Connects to the first address that answers (RFC 8305, 5).
pub(super) async fn connect_any(addresses: &[IpAddr], port: u16) -> io::Result<(TcpStream, IpAddr)> {
    let mut left = addresses.iter().copied();
    let mut trying = FuturesUnordered::new();
    let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
    trying.extend(left.next().map(|address| connect(address, port)));
    loop {
        tokio::select! {
            connected = trying.next() => match connected {
                Some(Ok(connected)) => return Ok(connected),
                Some(Err(error)) if is_out_of_files(&error) => return Err(error),
                Some(Err(error)) => refused = error,
                None => return Err(refused),
            },
            () = sleep(ATTEMPT_DELAY), if left.len() > 0 => {}
        }
        trying.extend(left.next().map(|address| connect(address, port)));
    }
}

async fn connect(address: IpAddr, port: u16) -> io::Result<(TcpStream, IpAddr)> {
    let stream = TcpStream::connect(SocketAddr::new(address, port)).await?;
    // A request is written as a whole, so Nagle's algorithm would only delay it.
    stream.set_nodelay(true)?;
    Ok((stream, address))
}
