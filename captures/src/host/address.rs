//! Which addresses does an interface have? What RTM_NEWADDR says.
//!
//! Sources: rtnetlink(7), linux/if_addr.h.

use super::netlink::{Attributes, u32_at};
use std::net::IpAddr;

/// `struct ifaddrmsg`: family(1) prefix length(1) flags(1) scope(1) index(4).
pub(super) const HEADER_BYTES: usize = 8;

/// One address of one interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// The number of the interface.
    pub link: u32,
    /// The address.
    pub ip: IpAddr,
    /// Bits of its network.
    pub prefix_len: u8,
}

impl Address {
    /// Reads the body of an RTM_NEWADDR message; nothing where it is shorter than its fixed header or has no address.
    #[must_use]
    pub fn from_message(body: &[u8]) -> Option<Self> {
        let (link, prefix_len) = (u32_at(body, 4)?, *body.get(1)?);
        let (mut other, mut local) = (None, None);
        for attribute in Attributes::after(HEADER_BYTES, body) {
            match attribute.kind {
                1 => other = attribute.ip(), // IFA_ADDRESS: of a point-to-point link, the other end's.
                2 => local = attribute.ip(), // IFA_LOCAL, which IPv6 leaves out where it is the same.
                _ => {}
            }
        }
        Some(Self { link, ip: local.or(other)?, prefix_len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::netlink::append_attribute;

    fn message(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![2, 24, 0, 0];
        body.extend(7u32.to_ne_bytes());
        attributes.iter().for_each(|(kind, value)| append_attribute(&mut body, *kind, value));
        body
    }

    #[test]
    fn an_interfaces_own_address_is_read_and_not_that_of_the_other_end() {
        let both = message(&[(1, &[10, 0, 0, 2]), (2, &[10, 0, 0, 1])]);
        let expected = |ip: &str| Some(Address { link: 7, ip: ip.parse().unwrap(), prefix_len: 24 });
        assert_eq!(Address::from_message(&both), expected("10.0.0.1"));
        assert_eq!(Address::from_message(&message(&[(1, &[10, 0, 0, 2])])), expected("10.0.0.2"));
        assert_eq!((Address::from_message(&message(&[])), Address::from_message(&both[..7])), (None, None));
    }
}
