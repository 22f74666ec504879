//! Addresses in URLs, in any notation: internal addresses are never called.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

pub fn addresses(bytes: &[u8]) {
    if let Ok(host) = std::str::from_utf8(bytes) {
        for text in [host.to_owned(), format!("http://{host}/"), format!("http://[{host}]/")] {
            if let Ok(url) = Url::parse(&text) {
                check(&url);
            }
        }
    }
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        check_address(IpAddr::V4(octets.into()));
    }
    if let Ok(octets) = <[u8; 16]>::try_from(bytes) {
        check_address(IpAddr::V6(octets.into()));
    }
}

fn check(url: &Url) {
    match url.host() {
        Some(Host::Ipv4(address)) => {
            assert!(!(is_internal(address.into()) && dispatcher::may_be_called(url)), "{url}")
        }
        Some(Host::Ipv6(address)) => {
            assert!(!(is_internal(address.into()) && dispatcher::may_be_called(url)), "{url}")
        }
        // Checked when it is resolved.
        Some(Host::Domain(_)) | None => {}
    }
}

fn check_address(address: IpAddr) {
    let host = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    check(&Url::parse(&format!("http://{host}/")).expect("an address makes a URL"));
}

/// Decides by the standard library, independently of Leadline's own list.
fn is_internal(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4_is_internal(v4),
        IpAddr::V6(v6) => v6_is_internal(v6),
    }
}

fn v4_is_internal(v4: Ipv4Addr) -> bool {
    let special = v4.is_loopback() || v4.is_unspecified() || v4.is_broadcast() || v4.is_multicast();
    special || v4.is_private() || v4.is_link_local() || v4.is_documentation()
}

fn v6_is_internal(v6: Ipv6Addr) -> bool {
    let special = v6.is_loopback() || v6.is_unspecified() || v6.is_multicast();
    let local = v6.is_unique_local() || v6.is_unicast_link_local();
    special || local || v6.to_ipv4_mapped().is_some_and(v4_is_internal)
}
