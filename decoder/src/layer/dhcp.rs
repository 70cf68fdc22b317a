//! Which address does a host get? DHCP for IPv4 (RFC 2131 2).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   Operation   | Hardware type |Hardware length|     Hops      |
//! |                            xid                                |
//! |           Seconds             |             Flags             |
//! |                        Client address                         |
//! |                         Your address                          |
//! |                        Server address                         |
//! |                        Relay address                          |
//! |               Client hardware address (16 bytes) ...          |
//! |                     Server name (64 bytes) ...                |
//! |                     Boot file (128 bytes) ...                 |
//! |                     Magic cookie 99.130.83.99                 |
//! |                          Options ...                          |
//! ```

mod option;

use super::fault::{Fault, Room};
use super::{Header, View};
use crate::addr::Mac;
use crate::fields::{Fields, key};
use crate::text::Text;
use std::net::Ipv4Addr;

/// A DHCP message; names, boot file and options stay in the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dhcp {
    /// 1 request, 2 reply.
    pub operation: u8,
    /// Relays passed.
    pub hops: u8,
    /// The transaction.
    pub xid: u32,
    /// 0x8000: the reply shall be broadcast.
    pub flags: u16,
    /// The address the client has and answers ARP for.
    pub client_ip: Ipv4Addr,
    /// The address the client gets.
    pub your_ip: Ipv4Addr,
    /// The next server to boot from.
    pub server_ip: Ipv4Addr,
    /// The relay.
    pub relay_ip: Ipv4Addr,
    /// The client, the first six bytes of its hardware address.
    pub client_mac: Mac,
    /// The message type (option 53); 0 when there is none (BOOTP). Not in the fixed part: the walk fills it in.
    pub message: u8,
}

impl Dhcp {
    /// Length of the fixed part in bytes, the magic cookie included.
    pub const LENGTH: usize = 240;
    /// What stands in front of the options (RFC 2131 3).
    pub const COOKIE: [u8; 4] = [99, 130, 83, 99];

    /// Reads the fixed part.
    #[must_use]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self {
            operation: b[0],
            hops: b[3],
            xid: u32::from_be_bytes([b[4], b[5], b[6], b[7]]),
            flags: u16::from_be_bytes([b[10], b[11]]),
            client_ip: Ipv4Addr::new(b[12], b[13], b[14], b[15]),
            your_ip: Ipv4Addr::new(b[16], b[17], b[18], b[19]),
            server_ip: Ipv4Addr::new(b[20], b[21], b[22], b[23]),
            relay_ip: Ipv4Addr::new(b[24], b[25], b[26], b[27]),
            client_mac: Mac([b[28], b[29], b[30], b[31], b[32], b[33]]),
            message: 0,
        }
    }

    /// Writes the fixed part: Ethernet, no time passed, no server name, no boot file; then the cookie.
    #[must_use]
    pub fn emit(&self) -> [u8; Self::LENGTH] {
        let mut out = [0; Self::LENGTH];
        out[..4].copy_from_slice(&[self.operation, 1, 6, self.hops]);
        out[4..8].copy_from_slice(&self.xid.to_be_bytes());
        out[10..12].copy_from_slice(&self.flags.to_be_bytes());
        for (place, address) in out[12..28].chunks_exact_mut(4).zip([self.client_ip, self.your_ip, self.server_ip, self.relay_ip]) {
            place.copy_from_slice(&address.octets());
        }
        out[28..34].copy_from_slice(&self.client_mac.0);
        out[236..].copy_from_slice(&Self::COOKIE);
        out
    }

    /// Whether the magic cookie stands in front of the options.
    #[must_use]
    pub const fn has_cookie(b: &[u8; Self::LENGTH]) -> bool {
        matches!([b[236], b[237], b[238], b[239]], Self::COOKIE)
    }

    /// The message type (option 53) in the options, which are what follows the fixed part; 0 when there is none.
    #[must_use]
    pub fn message_type(options: &[u8]) -> u8 {
        match option::find(options, option::MESSAGE_TYPE) {
            Some(&[kind]) => kind,
            _ => 0,
        }
    }

    /// The name of a message type (RFC 2132 9.6, RFC 3203, RFC 4388), where there is one.
    #[must_use]
    pub const fn message_name(message: u8) -> Option<&'static str> {
        Some(match message {
            0 => "bootp",
            1 => "discover",
            2 => "offer",
            3 => "request",
            4 => "decline",
            5 => "ack",
            6 => "nak",
            7 => "release",
            8 => "inform",
            9 => "forcerenew",
            10 => "leasequery",
            11 => "leaseunassigned",
            12 => "leaseunknown",
            13 => "leaseactive",
            _ => return None,
        })
    }
}

/// The text in a field of fixed size: up to its first zero byte.
fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn address_in(options: &[u8], code: u8) -> Option<Ipv4Addr> {
    option::find(options, code)?.try_into().ok().map(|octets: [u8; 4]| octets.into())
}

impl Header for Dhcp {
    fn fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
        let operation = match self.operation {
            1 => Some("request"),
            2 => Some("reply"),
            _ => None,
        };
        out.named(key!("operation"), self.operation.into(), operation);
        out.named(key!("message_type"), self.message.into(), Self::message_name(self.message));
        if self.hops != 0 {
            out.num(key!("hops"), self.hops.into());
        }
        out.hex(key!("xid"), self.xid.into(), 8);
        if self.flags != 0 {
            out.hex(key!("flags"), self.flags.into(), 4);
        }
        for (key, address) in [
            (key!("client_ip"), self.client_ip),
            (key!("your_ip"), self.your_ip),
            (key!("server_ip"), self.server_ip),
            (key!("relay_ip"), self.relay_ip),
        ] {
            if !address.is_unspecified() {
                out.ipv4(key, address);
            }
        }
        out.mac(key!("client_mac"), self.client_mac);
        let options = view.header.get(Self::LENGTH..).unwrap_or_default();
        for (key, code) in [(key!("requested_ip"), option::REQUESTED_IP), (key!("server_id"), option::SERVER_ID)] {
            if let Some(address) = address_in(options, code) {
                out.ipv4(key, address);
            }
        }
        if let Some(Ok(seconds)) = option::find(options, option::LEASE).map(<[u8; 4]>::try_from) {
            out.num(key!("lease_seconds"), u32::from_be_bytes(seconds).into());
        }
        if let Some(name) = option::find(options, option::HOST_NAME) {
            out.text(key!("host_name"), name);
        }
        if !out.wants_details() {
            return;
        }
        for (key, range) in [(key!("server_name"), 44..108), (key!("boot_file"), 108..236)] {
            if let Some(text) = view.header.get(range).map(until_zero).filter(|text| !text.is_empty()) {
                out.text(key, text);
            }
        }
        option::fields(options, out);
    }

    fn summary(&self, view: View<'_>, out: &mut Text) {
        match Self::message_name(self.message) {
            Some(name) => out.text(name),
            None => {
                out.text("message ");
                out.octet(self.message);
            }
        }
        out.byte(b' ');
        out.mac(self.client_mac);
        out.text(" xid ");
        out.hex(self.xid.into(), 8);
        let options = view.header.get(Self::LENGTH..).unwrap_or_default();
        let requested = address_in(options, option::REQUESTED_IP);
        let your = Some(self.your_ip).filter(|ip| !ip.is_unspecified());
        for (word, address) in [(" requested ", requested), (" your ", your)] {
            if let Some(address) = address {
                out.text(word);
                out.ipv4(address);
            }
        }
        if let Some(name) = option::find(options, option::HOST_NAME) {
            out.text(" host ");
            out.printable(name);
        }
    }

    fn fault(&self, view: View<'_>) -> Option<Fault> {
        option::fault(view.header.get(Self::LENGTH..)?, Self::LENGTH, Room::message(view))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::recorder::{self, Extent};
    use proptest::prelude::*;

    /// The options of a discover as dhclient sends it.
    const OPTIONS: [u8; 26] = [53, 1, 1, 50, 4, 10, 0, 0, 5, 0, 12, 3, b'v', b'm', b'1', 55, 3, 1, 28, 2, 61, 3, 1, 2, 3, 255];

    fn discover() -> (Dhcp, Vec<u8>) {
        let none = Ipv4Addr::UNSPECIFIED;
        let client_mac = Mac([2, 0, 0, 0, 0, 1]);
        let mut header = Dhcp {
            operation: 1,
            hops: 0,
            xid: 0x1234,
            flags: 0x8000,
            client_ip: none,
            your_ip: none,
            server_ip: none,
            relay_ip: none,
            client_mac,
            message: 0,
        };
        header.message = Dhcp::message_type(&OPTIONS);
        (header, [&header.emit()[..], &OPTIONS].concat())
    }

    #[test]
    fn a_discover_says_who_asks_for_what() {
        let (header, mut bytes) = discover();
        assert!(Dhcp::has_cookie(bytes.first_chunk().unwrap()));
        assert_eq!(
            recorder::summary(&header, recorder::whole(&bytes)),
            "discover 02:00:00:00:00:01 xid 0x00001234 requested 10.0.0.5 host vm1"
        );
        let short = recorder::lines(&header, &bytes, Extent::Short);
        assert!(short.contains(&"requested_ip=10.0.0.5".into()) && short.iter().all(|line| !line.starts_with("options")), "{short:?}");
        bytes[108..113].copy_from_slice(b"a.efi");
        let long = recorder::lines(&header, &bytes, Extent::Details);
        for line in ["boot_file=a.efi", "options[0].name=message type", "options[0].value=discover", "options[3].value=1, 28, 2"] {
            assert!(long.iter().any(|field| field == line), "{line} is not in {long:?}");
        }
    }

    #[test]
    fn a_host_name_cannot_steer_a_terminal() {
        let (header, mut bytes) = discover();
        bytes[Dhcp::LENGTH + 12] = 0x1b;
        assert!(recorder::summary(&header, recorder::whole(&bytes)).ends_with(" host \\x1bm1"));
    }

    #[test]
    fn a_message_type_of_two_bytes_is_none() {
        assert_eq!(Dhcp::message_type(&[53, 2, 1, 1]), 0);
        assert_eq!(Dhcp::message_type(&[53, 1]), 0);
        assert_eq!(Dhcp::message_type(&[255, 53, 1, 1]), 0, "nothing counts behind the end");
        assert_eq!(Dhcp::message_type(&[0, 0, 53, 1, 5]), 5);
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(bytes in prop::collection::vec(any::<u8>(), Dhcp::LENGTH)) {
            let header = Dhcp::parse(bytes[..].try_into().unwrap());
            prop_assert_eq!(Dhcp::parse(&header.emit()), header);
        }

        #[test]
        fn hostile_options_are_told_in_bounds(options in prop::collection::vec(any::<u8>(), 0..1400), code: u8, length: u8, cut in 0..400usize) {
            let (header, mut bytes) = discover();
            bytes.extend([code, length]);
            bytes.extend(options);
            for bytes in [&bytes[..], &bytes[..cut.min(bytes.len())]] {
                recorder::lines(&header, bytes, Extent::Details);
                prop_assert!(recorder::summary(&header, recorder::whole(bytes)).len() < 1200);
            }
        }
    }
}
