//! Which MAC has an IPv4 address? ARP over Ethernet (RFC 826; probes and announcements: RFC 5227).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |         Hardware type         |         Protocol type         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  Hw length    | Proto length  |           Operation           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                        Sender MAC ...                         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |        ... Sender MAC         |         Sender IP ...         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |         ... Sender IP         |         Target MAC ...        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                        ... Target MAC                         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                           Target IP                           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! Only this form is read; other hardware or protocol addresses have other lengths, and [`Arp::is_ethernet_ipv4`] tells.

use super::{Header, View, number};
use crate::addr::Mac;
use crate::fields::{Fields, key};
use crate::text::Text;
use std::net::Ipv4Addr;

/// An ARP message between Ethernet stations about IPv4 addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arp {
    /// Hardware type; 1 is Ethernet.
    pub hardware: u16,
    /// EtherType of the protocol addresses.
    pub protocol: u16,
    /// Bytes of a hardware address.
    pub hardware_length: u8,
    /// Bytes of a protocol address.
    pub protocol_length: u8,
    /// 1 request, 2 reply; 3 and 4 the same for reverse ARP (RFC 903).
    pub operation: u16,
    /// Station that sends.
    pub sender_mac: Mac,
    /// Its address; 0.0.0.0 in a probe.
    pub sender_ip: Ipv4Addr,
    /// Station that is asked; of no meaning in a request.
    pub target_mac: Mac,
    /// Address that is asked about, or that of the asker in a reply.
    pub target_ip: Ipv4Addr,
}

impl Arp {
    /// Length of the Ethernet and IPv4 form in bytes.
    pub const LENGTH: usize = 28;
    /// Length of the part that every form has.
    pub const FIXED: usize = 8;
    /// Operation: who has an address?
    pub const REQUEST: u16 = 1;
    /// Operation: I have it.
    pub const REPLY: u16 = 2;

    /// Whether the fixed part announces six-byte and four-byte addresses of Ethernet and IPv4.
    #[must_use]
    #[inline]
    pub const fn is_ethernet_ipv4(b: &[u8; Self::FIXED]) -> bool {
        matches!(b, [0, 1, 8, 0, 6, 4, _, _])
    }

    /// Reads the message.
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self {
            hardware: u16::from_be_bytes([b[0], b[1]]),
            protocol: u16::from_be_bytes([b[2], b[3]]),
            hardware_length: b[4],
            protocol_length: b[5],
            operation: u16::from_be_bytes([b[6], b[7]]),
            sender_mac: Mac([b[8], b[9], b[10], b[11], b[12], b[13]]),
            sender_ip: Ipv4Addr::new(b[14], b[15], b[16], b[17]),
            target_mac: Mac([b[18], b[19], b[20], b[21], b[22], b[23]]),
            target_ip: Ipv4Addr::new(b[24], b[25], b[26], b[27]),
        }
    }

    /// Writes the message.
    #[must_use]
    pub fn emit(&self) -> [u8; Self::LENGTH] {
        let mut b = [0; Self::LENGTH];
        b[..2].copy_from_slice(&self.hardware.to_be_bytes());
        b[2..4].copy_from_slice(&self.protocol.to_be_bytes());
        b[4] = self.hardware_length;
        b[5] = self.protocol_length;
        b[6..8].copy_from_slice(&self.operation.to_be_bytes());
        b[8..14].copy_from_slice(&self.sender_mac.0);
        b[14..18].copy_from_slice(&self.sender_ip.octets());
        b[18..24].copy_from_slice(&self.target_mac.0);
        b[24..].copy_from_slice(&self.target_ip.octets());
        b
    }

    /// Whether the sender speaks about itself, so that others update their tables (RFC 5227 3).
    #[must_use]
    pub fn is_gratuitous(&self) -> bool {
        self.sender_ip == self.target_ip && !self.sender_ip.is_unspecified()
    }

    /// The name of the operation.
    #[must_use]
    pub const fn operation_name(&self) -> Option<&'static str> {
        Some(match self.operation {
            Self::REQUEST => "request",
            Self::REPLY => "reply",
            3 => "reverse-request",
            4 => "reverse-reply",
            8 => "inverse-request",
            9 => "inverse-reply",
            _ => return None,
        })
    }
}

impl Header for Arp {
    #[inline]
    fn fields<F: Fields>(&self, _: View<'_>, out: &mut F) {
        if out.wants_details() {
            out.num(key!("hardware"), self.hardware.into());
            out.hex_named(key!("protocol"), self.protocol.into(), 4, number::ethertype::name(self.protocol));
        }
        out.named(key!("operation"), self.operation.into(), self.operation_name());
        out.mac(key!("sender_mac"), self.sender_mac);
        out.ipv4(key!("sender_ip"), self.sender_ip);
        out.mac(key!("target_mac"), self.target_mac);
        out.ipv4(key!("target_ip"), self.target_ip);
        if self.is_gratuitous() {
            out.flag(key!("gratuitous"), true);
        }
    }

    fn summary(&self, _: View<'_>, out: &mut Text) {
        match self.operation {
            Self::REQUEST => {
                out.text("who-has ");
                out.ipv4(self.target_ip);
                out.text(" tell ");
                out.ipv4(self.sender_ip);
            }
            Self::REPLY => {
                out.ipv4(self.sender_ip);
                out.text(" is-at ");
                out.mac(self.sender_mac);
            }
            _ => match self.operation_name() {
                Some(name) => out.text(name),
                None => {
                    out.text("operation ");
                    out.num(self.operation.into());
                }
            },
        }
        if self.is_gratuitous() {
            out.text(" (gratuitous)");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::recorder::{Extent, fields, summary, view};
    use proptest::prelude::*;

    fn said(arp: &Arp) -> String {
        summary(arp, view(&[], 0))
    }

    #[test]
    fn a_question_an_answer_and_an_announcement() {
        let mut arp = Arp {
            hardware: 1,
            protocol: number::ethertype::IPV4,
            hardware_length: 6,
            protocol_length: 4,
            operation: Arp::REQUEST,
            sender_mac: Mac([2, 0, 0, 0, 0, 1]),
            sender_ip: Ipv4Addr::new(10, 0, 0, 1),
            target_mac: Mac([0; 6]),
            target_ip: Ipv4Addr::new(10, 0, 0, 2),
        };
        assert!(Arp::is_ethernet_ipv4(arp.emit().first_chunk().unwrap()));
        assert_eq!(said(&arp), "who-has 10.0.0.2 tell 10.0.0.1");
        assert_eq!(
            fields(&arp, view(&[], 0), Extent::Short),
            "operation=1 sender_mac=02:00:00:00:00:01 sender_ip=10.0.0.1 target_mac=00:00:00:00:00:00 target_ip=10.0.0.2"
        );
        arp.target_ip = arp.sender_ip;
        assert_eq!(said(&arp), "who-has 10.0.0.1 tell 10.0.0.1 (gratuitous)");
        arp.operation = Arp::REPLY;
        assert_eq!(said(&arp), "10.0.0.1 is-at 02:00:00:00:00:01 (gratuitous)");
        arp.operation = 77;
        arp.target_ip = Ipv4Addr::new(10, 0, 0, 2);
        assert_eq!(said(&arp), "operation 77");
        arp.hardware_length = 8;
        assert!(!Arp::is_ethernet_ipv4(arp.emit().first_chunk().unwrap()));
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted(bytes: [u8; 28]) {
            prop_assert_eq!(Arp::parse(&bytes).emit(), bytes);
        }
    }
}
