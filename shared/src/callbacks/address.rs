//! Where a callback may go: to the public internet over TLS, and nowhere else.
//!
//! The address that a caller registers is theirs to choose, and this service stands inside a network: without a check it would
//! ask the metadata service of its host, or a neighbour, in the caller's name. So the address is checked as text when it is
//! registered, and each IP address that its name stands for when a connection is made: to an address that was checked, never to the
//! name again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// The longest address.
pub const MAX_BYTES: usize = 2_048;
/// The ports below this are those of other protocols, but for that of HTTPS.
const FIRST_FREE_PORT: u16 = 1_024;
/// Names of machines that are not on the internet (RFC 6761, 6762, 7686, 8375, and what companies use).
const PRIVATE_NAMES: [&str; 9] = [
    "localhost",
    "local",
    "internal",
    "localdomain",
    "intranet",
    "corp",
    "lan",
    "home.arpa",
    "onion",
];

/// Whether callbacks may go to this machine, over plain HTTP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Loopback {
    /// For the local host, and for tests.
    Allowed,
    /// Everywhere else.
    Refused,
}

/// `text` as the address of a receiver of callbacks.
///
/// # Errors
/// What is wrong, and what is right: `must …`.
pub fn parse(text: &str, loopback: Loopback) -> Result<Url, &'static str> {
    const FORM: &str = "must be an https address such as https://example.com/callbacks";
    if text.is_empty() || text.len() > MAX_BYTES {
        return Err("must be an https address of 1 to 2048 bytes");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains('\\') {
        return Err("must be visible ASCII, without spaces and backslashes");
    }
    let url = Url::parse(text).map_err(|_| FORM)?;
    if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
        return Err("must not have a user or a password: callbacks are signed");
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment: nobody is sent it");
    }
    let host = url.host().ok_or(FORM)?;
    if loopback == Loopback::Allowed && is_this_machine(&host) {
        let is_http = matches!(url.scheme(), "http" | "https");
        return if is_http { Ok(url) } else { Err(FORM) };
    }
    if url.scheme() != "https" {
        return Err("must be https");
    }
    let port = url.port_or_known_default().ok_or(FORM)?;
    if port != 443 && port < FIRST_FREE_PORT {
        return Err("must be at port 443 or above 1023");
    }
    match host {
        Host::Domain(name) if is_public_name(name) => Ok(url),
        Host::Domain(_) => Err("must be at a name of the internet, such as example.com"),
        Host::Ipv4(address) if is_public(address.into()) => Ok(url),
        Host::Ipv6(address) if is_public(address.into()) => Ok(url),
        Host::Ipv4(_) | Host::Ipv6(_) => Err("must be at a public address of the internet"),
    }
}

/// What stands between the scheme and the path.
fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

fn is_this_machine(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// Whether `name` can be one of the internet: it has a dot, and no ending that is used inside of networks.
fn is_public_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_private = |ending: &str| {
        name.strip_suffix(ending)
            .is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    name.contains('.') && !PRIVATE_NAMES.into_iter().any(is_private)
}

/// Whether a connection may be made to `address`, by the rule for `loopback`.
#[must_use]
pub fn may_connect(address: IpAddr, loopback: Loopback) -> bool {
    let is_here = address.to_canonical().is_loopback();
    is_public(address) || (loopback == Loopback::Allowed && is_here)
}

/// Whether `address` is one of the public internet, by the registries of special-purpose addresses
/// ([IPv4](https://www.iana.org/assignments/iana-ipv4-special-registry),
/// [IPv6](https://www.iana.org/assignments/iana-ipv6-special-registry)).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    // Each with the length of its prefix.
    let special: [([u8; 4], u32); 17] = [
        ([0, 0, 0, 0], 8),
        ([10, 0, 0, 0], 8),
        // Carriers' own, and Alibaba Cloud's metadata service at 100.100.100.200.
        ([100, 64, 0, 0], 10),
        ([127, 0, 0, 0], 8),
        // The metadata services of AWS and others: 169.254.169.254, 169.254.170.2.
        ([169, 254, 0, 0], 16),
        ([172, 16, 0, 0], 12),
        ([192, 0, 0, 0], 24),
        ([192, 0, 2, 0], 24),
        ([192, 31, 196, 0], 24),
        ([192, 52, 193, 0], 24),
        ([192, 88, 99, 0], 24),
        ([192, 168, 0, 0], 16),
        ([192, 175, 48, 0], 24),
        ([198, 18, 0, 0], 15),
        ([198, 51, 100, 0], 24),
        ([203, 0, 113, 0], 24),
        // Multicast, reserved, broadcast.
        ([224, 0, 0, 0], 3),
    ];
    let is_within = |(prefix, length): &([u8; 4], u32)| {
        let shift = 32 - length;
        u32::from(Ipv4Addr::from(*prefix)) >> shift == bits >> shift
    };
    !special.iter().any(is_within)
}

/// Only what is assigned for use in the internet, 2000::/3, without the parts of it that lead elsewhere. What stands for an IPv4
/// address (mapped, compatible, translated) is outside of it; 6to4 and Teredo, which carry one, are left out too.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, third, ..] = address.segments();
    let is_global = first & 0xe000 == 0x2000;
    let is_protocol = first == 0x2001 && second < 0x0200;
    let is_documentation =
        (first == 0x2001 && second == 0x0db8) || (first == 0x3fff && second < 0x1000);
    let is_6to4 = first == 0x2002;
    let is_as112 = first == 0x2620 && second == 0x004f && third == 0x8000;
    let is_old_test_network = first == 0x3ffe;
    is_global && !(is_protocol || is_documentation || is_6to4 || is_as112 || is_old_test_network)
}

#[cfg(test)]
mod tests;
