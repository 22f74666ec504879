//! The guard decides which addresses Leadline may call: public ones, and those that the operator allows.
//!
//! The addresses of a host name are checked when it is resolved for the connection that follows. An address literal in
//! a URL is checked when a destination is made or updated, and again before each request. An IPv6 address that contains
//! an IPv4 address is checked as both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::{Host, Url};

/// Networks that are not the public internet (IANA special-purpose address registries, RFC 6890 and its updates).
const NOT_PUBLIC: [&str; 26] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/96",
    // NAT64 with the operator's own prefix (RFC 8215). The position of the IPv4 address depends on the length of the
    // prefix (RFC 6052, 2.2), which is unknown. So the whole network is refused.
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/9",
    "ff00::/8",
];

/// Checks whether an address may be called.
#[derive(Debug, Clone)]
pub struct Guard {
    refused: Vec<IpNet>,
    allowed: Vec<IpNet>,
}

/// An address that Leadline may not call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a public address, and the operator has not allowed its network (--allow-network)")]
pub struct Blocked(pub IpAddr);

impl Guard {
    /// A guard that allows public addresses, and those of the given networks.
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self { refused: NOT_PUBLIC.iter().filter_map(|network| network.parse().ok()).collect(), allowed }
    }

    /// A guard that allows every address, for hosts that the operator names.
    pub const fn open() -> Self {
        Self { refused: vec![], allowed: vec![] }
    }

    /// Whether an address may be called.
    ///
    /// # Errors
    /// If the guard does not allow it.
    pub fn check(&self, address: IpAddr) -> Result<(), Blocked> {
        let effective = effective(address);
        let within = |networks: &[IpNet], address| networks.iter().any(|network| network.contains(&address));
        if within(&self.allowed, address) || within(&self.allowed, effective) {
            return Ok(());
        }
        if within(&self.refused, address) || within(&self.refused, effective) { Err(Blocked(address)) } else { Ok(()) }
    }

    /// Whether an address in a URL may be called. Host names are checked when they are resolved.
    ///
    /// # Errors
    /// If the guard does not allow it.
    pub fn check_literal(&self, url: &Url) -> Result<(), Blocked> {
        url.host().map_or(Ok(()), |host| self.check_host(&host))
    }

    /// Whether a host may be called, if it is an address. Host names are checked when they are resolved.
    ///
    /// # Errors
    /// If the guard does not allow it.
    pub fn check_host<S>(&self, host: &Host<S>) -> Result<(), Blocked> {
        match host {
            Host::Ipv4(address) => self.check((*address).into()),
            Host::Ipv6(address) => self.check((*address).into()),
            Host::Domain(_) => Ok(()),
        }
    }
}

/// The IPv4 address that an IPv6 address contains, or the address itself.
fn effective(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    embedded_ipv4(v6).map_or(address, IpAddr::V4)
}

fn embedded_ipv4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = v6.segments();
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match s {
        // Mapped (RFC 4291), translated (RFC 2765) and NAT64 with the well-known prefix (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => v4(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => v4(high, low),
        // ISATAP (RFC 5214).
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => v4(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_listed_network_is_valid() {
        assert_eq!(Guard::new(vec![]).refused.len(), NOT_PUBLIC.len());
    }

    #[test]
    fn a_literal_is_blocked_in_every_notation() {
        let guard = Guard::new(vec![]);
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://0x7f.0.0.0x1/",
            "http://%31%32%37.0.0.1/",
            "http://１２７.０.０.１/",
            "http://169.254.169.254/latest/meta-data",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[64:ff9b::127.0.0.1]/",
            "http://[2002:7f00:1::]/",
            "http://[fe80::1]/",
            "http://0/",
        ] {
            let url = Url::parse(url).unwrap();
            assert!(guard.check_literal(&url).is_err(), "{url}");
        }
        for url in ["http://1.1.1.1/", "http://localhost/"] {
            assert!(
                guard.check_literal(&Url::parse(url).unwrap()).is_ok(),
                "{url}: a name is checked when it is resolved"
            );
        }
    }

    #[test]
    fn private_addresses_are_blocked_in_every_form() {
        let guard = Guard::new(vec![]);
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "169.254.169.254",
            "192.168.0.1",
            "172.31.255.255",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fec0::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:0:10.0.0.1",
            "::10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a00:1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "100::1",
            "100:0:0:1::1",
            "3fff::1",
            "5f00::1",
            "2001:db8::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "fe80::5efe:a00:1",
            "2606:4700::5efe:a00:1",
        ] {
            assert!(guard.check(address.parse().unwrap()).is_err(), "{address}");
        }
        for address in ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"] {
            assert!(guard.check(address.parse().unwrap()).is_ok(), "{address}");
        }
    }

    #[test]
    fn a_local_nat64_prefix_is_refused_as_a_whole() {
        // With a /48, the IPv4 address is in bits 48 to 88: the first of these is 127.0.0.1, although it ends in
        // 1.1.1.1.
        for address in ["64:ff9b:1:7f00:0:100:101:101", "64:ff9b:1::101:101", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"] {
            let address: IpAddr = address.parse().unwrap();
            assert!(Guard::new(vec![]).check(address).is_err(), "{address}");
            assert!(Guard::new(vec!["127.0.0.0/8".parse().unwrap()]).check(address).is_err(), "{address}");
            assert!(Guard::new(vec!["64:ff9b:1::/48".parse().unwrap()]).check(address).is_ok(), "{address}");
        }
        assert!(Guard::new(vec![]).check("64:ff9b:2::1".parse().unwrap()).is_ok());
    }

    #[test]
    fn an_allowed_address_is_allowed_in_every_form() {
        let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
        for address in ["127.0.0.1", "::ffff:127.0.0.1"] {
            assert!(guard.check(address.parse().unwrap()).is_ok(), "{address}");
        }
        for address in ["10.0.0.1", "::1"] {
            assert!(guard.check(address.parse().unwrap()).is_err(), "{address}");
        }
    }

    /// IPv6 addresses that contain this IPv4 address, one of each form.
    fn disguises(v4: Ipv4Addr) -> Vec<IpAddr> {
        let [a, b, c, d] = v4.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        [
            [0, 0, 0, 0, 0, 0xffff, high, low],
            [0, 0, 0, 0, 0xffff, 0, high, low],
            [0x64, 0xff9b, 0, 0, 0, 0, high, low],
            [0x2002, high, low, 0, 0, 0, 0, 1],
            [0x2606, 0x4700, 0, 0, 0, 0x5efe, high, low],
        ]
        .map(|segments| Ipv6Addr::from(segments).into())
        .to_vec()
    }

    proptest! {
        #[test]
        fn addresses_that_std_knows_as_private_are_blocked(bits in any::<u32>(), wide in any::<u128>()) {
            let guard = Guard::new(vec![]);
            let (v4, v6) = (Ipv4Addr::from(bits), Ipv6Addr::from(wide));
            let special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast()
                || v4.is_broadcast() || v4.is_documentation() || v4.is_unspecified();
            prop_assert!(!special || guard.check(v4.into()).is_err(), "{v4}");
            let special = v6.is_loopback() || v6.is_multicast() || v6.is_unspecified() || v6.is_unique_local()
                || v6.is_unicast_link_local();
            prop_assert!(!special || guard.check(v6.into()).is_err(), "{v6}");
        }

        #[test]
        fn an_embedded_ipv4_address_is_checked_itself(
            // Half of the addresses come from private networks, because random addresses are hardly ever private.
            bits in prop_oneof![
                any::<u32>(),
                (prop::sample::select(vec![0x0a00_0000_u32, 0x7f00_0000, 0xa9fe_a900, 0xc0a8_0000]), any::<u8>())
                    .prop_map(|(network, host)| network | u32::from(host)),
            ],
        ) {
            let guard = Guard::new(vec![]);
            let v4 = Ipv4Addr::from(bits);
            for disguise in disguises(v4) {
                prop_assert_eq!(guard.check(disguise).is_err(), guard.check(v4.into()).is_err(), "{} as {}", v4, disguise);
            }
        }
    }
}
