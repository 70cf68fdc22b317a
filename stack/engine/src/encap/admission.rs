//! Which datagrams does a device take, before anything of them is believed? What the three encapsulations have in common: where they
//! listen, whom they listen to, and how much they mind reserved bits.

use crate::settings::Settings;
use overlay_api::{DropReason, Prefix, PropertyError};
use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

/// The words of `reserved_bits`.
pub(super) const RESERVED_BITS: &[Cow<'static, str>] = &[Cow::Borrowed("lenient"), Cow::Borrowed("strict")];

/// What a device takes.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    strict: bool,
    /// Nobody in particular when empty.
    sources: Box<[Prefix]>,
}

impl Admission {
    /// From `MODULE/reserved_bits` and `MODULE/allowed_sources`; `MODULE/listen_ip` is checked along with them.
    pub(super) fn compile(module: &str, settings: &Settings<'_>) -> Result<Self, PropertyError> {
        let listen = format!("{module}/listen_ip");
        check_listen_ip(settings.ip(&listen)?).map_err(|problem| PropertyError::new(&listen, problem))?;
        let strict = settings.text(&format!("{module}/reserved_bits"))? == "strict";
        let sources = settings.prefixes(&format!("{module}/allowed_sources"))?.into();
        Ok(Self { strict, sources })
    }

    /// Decides by the outer source, and by whether the header has reserved bits set. The source comes first: a stranger must not be
    /// able to move any other counter.
    #[inline]
    pub(super) fn check(&self, source: IpAddr, reserved_bits: impl FnOnce() -> bool) -> Result<(), DropReason> {
        // A socket of both families spells IPv4 sources as mapped IPv6 addresses.
        let known = || self.sources.iter().any(|prefix| prefix.contains(source.to_canonical()));
        if !self.sources.is_empty() && !known() {
            return Err(DropReason::SourceNotAllowed);
        }
        if self.strict && reserved_bits() { Err(DropReason::ReservedBits) } else { Ok(()) }
    }
}

/// Whether a device can listen on an address. The unspecified ones are allowed: they stand for all addresses of their family.
fn check_listen_ip(ip: IpAddr) -> Result<(), String> {
    let no = |what: &str| Err(format!("{ip} is {what}; a unicast address of this host is allowed, or 0.0.0.0 or :: for all of them"));
    match ip {
        _ if ip.is_multicast() => no("a multicast address"),
        IpAddr::V4(v4) if v4.is_broadcast() => no("the broadcast address"),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => no("an IPv4 address mapped into IPv6, to be given as IPv4"),
        // RFC 4291 2.5.5.1. The first two addresses of ::/96 are the unspecified and the loopback address.
        IpAddr::V6(v6) if v6.to_bits() >> 32 == 0 && v6 != Ipv6Addr::UNSPECIFIED && v6 != Ipv6Addr::LOCALHOST => {
            no("an IPv4-compatible address, which RFC 4291 retired")
        }
        // A tunnel in a tunnel whose far end anybody can be (RFC 3964).
        IpAddr::V6(v6) if v6.segments()[0] == 0x2002 => no("a 6to4 address"),
        // It says nothing without an interface, and there is no place to name one.
        IpAddr::V6(v6) if v6.is_unicast_link_local() => no("a link-local address"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(strict: bool, sources: &[&str]) -> Admission {
        Admission { strict, sources: sources.iter().map(|text| text.parse().unwrap()).collect() }
    }

    #[test]
    fn a_device_listens_where_a_host_can() {
        for good in ["10.0.0.1", "0.0.0.0", "127.0.0.1", "169.254.1.1", "::", "::1", "fd00::1", "2001:db8::1"] {
            assert_eq!(check_listen_ip(good.parse().unwrap()), Ok(()));
        }
        for (bad, why) in [
            ("239.1.1.1", "a multicast address"),
            ("ff02::1", "a multicast address"),
            ("255.255.255.255", "the broadcast address"),
            ("::ffff:10.0.0.1", "mapped"),
            ("::10.0.0.1", "IPv4-compatible"),
            ("2002:a00:1::1", "6to4"),
            ("fe80::1", "link-local"),
        ] {
            let bad: IpAddr = bad.parse().unwrap();
            let said = check_listen_ip(bad).unwrap_err();
            assert!(said.starts_with(&bad.to_string()) && said.contains(why) && said.contains("is allowed"), "{said}");
        }
    }

    #[test]
    fn a_stranger_is_refused_before_its_header_is_looked_at() {
        let some = admission(true, &["10.0.0.0/8", "fd00::7"]);
        let look = || panic!("the header of a stranger");
        assert_eq!(some.check("192.0.2.1".parse().unwrap(), look), Err(DropReason::SourceNotAllowed));
        assert_eq!(some.check("fd00::8".parse().unwrap(), look), Err(DropReason::SourceNotAllowed));
        for friend in ["10.1.2.3", "fd00::7", "::ffff:10.1.2.3"] {
            assert_eq!(some.check(friend.parse().unwrap(), || true), Err(DropReason::ReservedBits), "{friend}");
            assert_eq!(some.check(friend.parse().unwrap(), || false), Ok(()), "{friend}");
        }
        let anyone = admission(false, &[]);
        assert_eq!(anyone.check("192.0.2.1".parse().unwrap(), || true), Ok(()), "lenient, and nobody is a stranger");
    }
}
