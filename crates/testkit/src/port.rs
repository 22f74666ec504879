//! Ports for servers that restart on the same port.
//!
//! The ports are below the range that the system uses for outgoing connections, so that no such connection can take the
//! port of a server while a test keeps it down.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use crate::wait;

const LOWEST: u16 = 11_000;
/// Linux uses ports from 32768 on for outgoing connections (`net.ipv4.ip_local_port_range`).
const HIGHEST: u16 = 32_000;
const COUNT: u16 = HIGHEST - LOWEST;
/// The distance between the first ports of two test processes with neighbouring ids.
const STRIDE: u32 = 97;
/// How long a dropped server may still hold its port.
const RELEASE_DEADLINE: Duration = Duration::from_secs(5);

/// A loopback TCP port on which nothing listens. A process gets no port twice before the range is exhausted, and other
/// processes begin their search elsewhere.
///
/// # Panics
/// If no port of the range is free.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = std::process::id().wrapping_mul(STRIDE) % u32::from(COUNT);
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = LOWEST + ((start + step) % u32::from(COUNT)) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no loopback port between {LOWEST} and {HIGHEST} is free; end the servers that hold them");
}

/// Listens on this loopback port; 0 is any port. It waits until the task of a dropped server has ended, so that a test
/// may drop a server and start another on the same port.
///
/// # Panics
/// If something else holds the port.
pub(crate) async fn listen(port: u16) -> tokio::net::TcpListener {
    let bind = async || tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener = wait::attempt(RELEASE_DEADLINE, bind).await;
    listener.unwrap_or_else(|error| panic!("cannot listen on port {port}; end the process that holds it: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_different() {
        let (one, two) = (free_port(), free_port());
        assert_ne!(one, two);
        TcpListener::bind((Ipv4Addr::LOCALHOST, one)).unwrap();
    }
}
