//! Which address or prefix does a host get? DHCP for IPv6 (RFC 8415 8, 9).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |     Type      |                Transaction                    |
//! |                          Options ...                          |
//! ```
//!
//! A relay wraps the message into one of its own, up to eight deep:
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | Type 12 or 13 |   Hop count   |  Link address (16 bytes) ...  |
//! |  ...                          |  Peer address (16 bytes) ...  |
//! |  ...                          |  Options, 9 is the message    |
//! ```

mod option;

use super::fault::{Fault, Room};
use super::{Header, View};
use crate::fields::{Fields, key};
use crate::text::Text;
use std::net::Ipv6Addr;

/// Messages in messages at most: relays count to 8 (HOP_COUNT_LIMIT, RFC 8415 7.6), and the client's own is inside.
const RELAYS_MAX: usize = 8;

/// The first four bytes of a DHCPv6 message; the options stay in the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dhcpv6 {
    /// The message type; see [`Dhcpv6::name`].
    pub kind: u8,
    /// The transaction, 24 bits; of a relayed message, its hop count and the first two bytes of the link address.
    pub xid: u32,
}

impl Dhcpv6 {
    /// Length in bytes of what is in front of the options of a client's or a server's message.
    pub const LENGTH: usize = 4;
    /// Length in bytes of what is in front of the options of a relay's message.
    pub const RELAY_LENGTH: usize = 34;
    /// Message type of what a relay sends to the server.
    pub const RELAY_FORWARD: u8 = 12;
    /// Message type of what the server sends to a relay.
    pub const RELAY_REPLY: u8 = 13;

    /// Reads type and transaction.
    #[must_use]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self { kind: b[0], xid: u32::from_be_bytes([0, b[1], b[2], b[3]]) }
    }

    /// Writes type and transaction; of the transaction, only the lowest 24 bits count.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        let [_, a, b, c] = self.xid.to_be_bytes();
        [self.kind, a, b, c]
    }

    /// Whether this is a relay's message.
    #[must_use]
    pub const fn is_relayed(&self) -> bool {
        matches!(self.kind, Self::RELAY_FORWARD | Self::RELAY_REPLY)
    }

    /// Relays passed, of a relay's message.
    #[must_use]
    pub const fn hop_count(&self) -> Option<u8> {
        if self.is_relayed() { Some((self.xid >> 16) as u8) } else { None }
    }

    /// The name of a message type (registry of IANA, "DHCPv6 Message Types"), where there is one.
    #[must_use]
    pub const fn name(kind: u8) -> Option<&'static str> {
        Some(match kind {
            1 => "solicit",
            2 => "advertise",
            3 => "request",
            4 => "confirm",
            5 => "renew",
            6 => "rebind",
            7 => "reply",
            8 => "release",
            9 => "decline",
            10 => "reconfigure",
            11 => "information-request",
            Self::RELAY_FORWARD => "relay-forward",
            Self::RELAY_REPLY => "relay-reply",
            14 => "leasequery",
            15 => "leasequery-reply",
            16 => "leasequery-done",
            17 => "leasequery-data",
            18 => "reconfigure-request",
            19 => "reconfigure-reply",
            20 => "dhcpv4-query",
            21 => "dhcpv4-response",
            _ => return None,
        })
    }

    /// The message behind relays: its header and options, and how many relays there are. A message that is cut counts as one
    /// without options.
    fn innermost<'a>(&self, message: &'a [u8]) -> (Self, &'a [u8], usize) {
        let (mut header, mut options) = (*self, self.options(message));
        for relays in 0..RELAYS_MAX {
            if !header.is_relayed() {
                return (header, options, relays);
            }
            let Some(inside) = option::find(options, option::RELAY_MESSAGE) else { return (header, options, relays) };
            let Some(fixed) = inside.first_chunk() else { return (header, options, relays) };
            header = Self::parse(fixed);
            options = header.options(inside);
        }
        (header, options, RELAYS_MAX)
    }

    /// Length in bytes of what is in front of the options.
    const fn options_at(&self) -> usize {
        if self.is_relayed() { Self::RELAY_LENGTH } else { Self::LENGTH }
    }

    fn options<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        message.get(self.options_at()..).unwrap_or_default()
    }

    fn write_name(self, out: &mut Text) {
        match Self::name(self.kind) {
            Some(name) => out.text(name),
            None => {
                out.text("type ");
                out.octet(self.kind);
            }
        }
    }
}

/// Link and peer address of a relay's message.
fn relay_addresses(message: &[u8]) -> Option<(Ipv6Addr, Ipv6Addr)> {
    let address = |at: usize| message.get(at..)?.first_chunk::<16>().copied().map(Ipv6Addr::from);
    Some((address(2)?, address(18)?))
}

impl Header for Dhcpv6 {
    fn fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
        out.named(key!("type"), self.kind.into(), Self::name(self.kind));
        let (inside, options, relays) = self.innermost(view.header);
        if let Some(hops) = self.hop_count() {
            out.num(key!("hop_count"), hops.into());
            if let Some((link, peer)) = relay_addresses(view.header) {
                out.ipv6(key!("link"), link);
                out.ipv6(key!("peer"), peer);
            }
            if relays > 0 {
                out.num(key!("relays"), relays as u64);
                out.named(key!("relayed_type"), inside.kind.into(), Self::name(inside.kind));
            }
        }
        if !inside.is_relayed() {
            out.hex(key!("xid"), inside.xid.into(), 6);
        }
        for (key, code) in [(key!("client_id"), option::CLIENT_ID), (key!("server_id"), option::SERVER_ID)] {
            if let Some(id) = option::find(options, code) {
                out.bytes(key, id);
            }
        }
        option::leases(options, out);
        if out.wants_details() {
            if relays > 0 {
                // The relay's own options: interface, remote ID.
                option::fields(key!("relay_options"), self.options(view.header), out);
            }
            option::fields(key!("options"), options, out);
        }
    }

    fn summary(&self, view: View<'_>, out: &mut Text) {
        self.write_name(out);
        let (inside, options, relays) = self.innermost(view.header);
        if let Some(hops) = self.hop_count() {
            out.text(" hops ");
            out.octet(hops);
            if let Some((_, peer)) = relay_addresses(view.header) {
                out.text(" for ");
                out.ipv6(peer);
            }
            if relays > 0 {
                out.text(": ");
                inside.write_name(out);
            }
        }
        if !inside.is_relayed() {
            out.text(" xid ");
            out.hex(inside.xid.into(), 6);
        }
        option::summary(options, out);
    }

    fn fault(&self, view: View<'_>) -> Option<Fault> {
        let (mut header, mut message, mut at, mut room) = (*self, view.header, 0, Room::message(view));
        for _ in 0..=RELAYS_MAX {
            let options_at = at + header.options_at();
            let fault = room
                .lacking(at, header.options_at(), "message shorter than its fixed part")
                .or_else(|| option::fault(header.options(message), options_at, room));
            if fault.is_some() || !header.is_relayed() {
                return fault;
            }
            let (inside_at, inside) = option::find_at(header.options(message), option::RELAY_MESSAGE)?;
            // The option is all there: what is wrong in it is the sender's fault.
            (message, at, room) = (inside, options_at + inside_at, Room::whole(options_at + inside_at + inside.len()));
            match inside.first_chunk() {
                Some(fixed) => header = Self::parse(fixed),
                None => return room.lacking(at, Self::LENGTH, "message shorter than its fixed part"),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::recorder::{self, Extent};
    use crate::stop::StopKind;
    use proptest::prelude::*;

    /// A reply with one address: client ID, server ID, IA_NA with an address, DNS server.
    fn reply() -> Vec<u8> {
        let address = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
        let mut bytes = vec![7, 0x12, 0x34, 0x56, 0, 1, 0, 4, 0, 3, 0, 1, 0, 2, 0, 4, 0, 3, 0, 1];
        bytes.extend([0, 3, 0, 40, 0, 0, 0, 9, 0, 0, 14, 16, 0, 0, 28, 32]);
        bytes.extend([0, 5, 0, 24]);
        bytes.extend(address);
        bytes.extend([0, 0, 14, 16, 0, 0, 28, 32]);
        bytes.extend([0, 23, 0, 16]);
        bytes.extend(address);
        bytes
    }

    /// `message` in the message of a relay.
    fn relayed(message: &[u8]) -> Vec<u8> {
        let mut bytes = vec![13, 0];
        bytes.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        bytes.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        bytes.extend([0, 18, 0, 2, b'e', b'0', 0, 9]);
        bytes.extend((message.len() as u16).to_be_bytes());
        bytes.extend(message);
        bytes
    }

    fn parse(bytes: &[u8]) -> Dhcpv6 {
        Dhcpv6::parse(bytes.first_chunk().unwrap())
    }

    #[test]
    fn a_reply_names_the_address() {
        let bytes = reply();
        assert_eq!(recorder::summary(&parse(&bytes), recorder::whole(&bytes)), "reply xid 0x123456 fd00::5");
        let fields = recorder::lines(&parse(&bytes), &bytes, Extent::Details);
        let expected = [
            "client_id=00030001",
            "leases[0].address=fd00::5",
            "leases[0].valid_seconds=7200",
            "options[2].name=ia-na",
            "options[3].value=fd00::5",
        ];
        for line in expected {
            assert!(fields.iter().any(|field| field == line), "{line} is not in {fields:?}");
        }
    }

    #[test]
    fn a_relayed_message_is_read_through_its_relays() {
        let bytes = relayed(&relayed(&reply()));
        assert_eq!(
            recorder::summary(&parse(&bytes), recorder::whole(&bytes)),
            "relay-reply hops 0 for fe80::2: reply xid 0x123456 fd00::5"
        );
        let fields = recorder::lines(&parse(&bytes), &bytes, Extent::Details);
        for line in ["link=fd00::1", "relays=2", "relayed_type=7", "relay_options[0].name=interface id"] {
            assert!(fields.iter().any(|field| field == line), "{line} is not in {fields:?}");
        }
    }

    #[test]
    fn relays_beyond_eight_are_not_followed() {
        let bytes = (0..12).fold(reply(), |message, _| relayed(&message));
        let summary = recorder::summary(&parse(&bytes), recorder::whole(&bytes));
        assert_eq!(summary, "relay-reply hops 0 for fe80::2: relay-reply");
        assert!(recorder::lines(&parse(&bytes), &bytes, Extent::Short).contains(&"relays=8".into()));
    }

    #[test]
    fn options_are_checked_through_relays_and_associations() {
        let found = |bytes: &[u8], missing: u32| {
            let fault = parse(bytes).fault(View { header: bytes, payload: &[], claimed: missing });
            fault.map(|fault| (fault.kind, fault.offset, fault.need, fault.have))
        };
        let bytes = reply();
        assert_eq!(found(&bytes, 0), None);
        assert_eq!(found(&bytes[..bytes.len() - 1], 0), Some((StopKind::Malformed, 64, 20, 19)));
        assert_eq!(found(&bytes[..bytes.len() - 1], 1), Some((StopKind::Truncated, 64, 20, 19)));
        // The address option in the association, at byte 36, claims a byte more than the association has.
        let mut inner = bytes.clone();
        inner[39] = 25;
        assert_eq!(found(&inner, 0), Some((StopKind::Malformed, 36, 29, 28)));
        assert_eq!(found(&relayed(&bytes), 0), None);
        assert_eq!(found(&relayed(&relayed(&inner)), 0), Some((StopKind::Malformed, 36 + 2 * 44, 29, 28)));
        assert_eq!(found(&relayed(&bytes)[..20], 0), Some((StopKind::Malformed, 0, 34, 20)));
        assert_eq!(found(&relayed(&[7, 1, 2]), 0), Some((StopKind::Malformed, 44, 4, 3)));
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(bytes: [u8; 4]) {
            prop_assert_eq!(Dhcpv6::parse(&bytes).emit(), bytes);
        }

        #[test]
        fn hostile_messages_are_told_in_bounds(tail: Vec<u8>, cut in 0..200usize, at in 0..200usize, byte: u8) {
            let mut bytes = relayed(&reply());
            bytes.extend(&tail);
            let at = at % bytes.len();
            bytes[at] = byte;
            for bytes in [&bytes[..], &bytes[..(4 + cut).min(bytes.len())]] {
                recorder::lines(&parse(bytes), bytes, Extent::Details);
                prop_assert!(recorder::summary(&parse(bytes), recorder::whole(bytes)).len() < 700);
            }
        }
    }
}
