//! Who is the neighbour on this port? LLDP (IEEE 802.1AB-2016 8).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |    Type     |     Length      |            Value ...          |  until type 0
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::fault::{Fault, Room};
use super::{Header, View};
use crate::addr::Mac;
use crate::fields::{Fields, Key, key};
use crate::text::Text;
use std::net::{Ipv4Addr, Ipv6Addr};

/// More TLVs than this are cut off with `more`.
const LIST_MAX: usize = 64;

/// An LLDP message: nothing but TLVs, which stay in the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lldp;

/// The TLV types of IEEE 802.1AB-2016 8.4.
mod tlv {
    pub(super) const END: u8 = 0;
    pub(super) const CHASSIS: u8 = 1;
    pub(super) const PORT: u8 = 2;
    pub(super) const TTL: u8 = 3;
    pub(super) const PORT_DESCRIPTION: u8 = 4;
    pub(super) const SYSTEM_NAME: u8 = 5;
    pub(super) const SYSTEM_DESCRIPTION: u8 = 6;
    pub(super) const CAPABILITIES: u8 = 7;
    pub(super) const MANAGEMENT: u8 = 8;
    pub(super) const ORGANIZATION: u8 = 127;
}

/// The TLVs up to the end of the message, or to the first that is not all there.
struct Tlvs<'a> {
    /// The bytes not read yet: at the end those of the end TLV, or of one that is not all there.
    rest: &'a [u8],
}

const fn tlvs(rest: &[u8]) -> Tlvs<'_> {
    Tlvs { rest }
}

/// Type and length in the head of a TLV.
const fn head(bytes: [u8; 2]) -> (u8, usize) {
    let head = u16::from_be_bytes(bytes);
    ((head >> 9) as u8, (head & 0x1ff) as usize)
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (first, rest) = self.rest.split_first_chunk::<2>()?;
        let (kind, length) = head(*first);
        let (value, rest) = rest.split_at_checked(length).filter(|_| kind != tlv::END)?;
        self.rest = rest;
        Some((kind, value))
    }
}

/// The value of the first TLV of a type.
fn find(bytes: &[u8], kind: u8) -> Option<&[u8]> {
    tlvs(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// What a chassis or port is identified by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Identity<'a> {
    Mac(Mac),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    Text(&'a [u8]),
}

impl<'a> Identity<'a> {
    /// Reads subtype and identifier; the numbers of the subtypes differ between chassis and port (8.5.2.2, 8.5.3.2).
    fn read(value: &'a [u8], mac: u8, network: u8) -> Option<Self> {
        let (&subtype, id) = value.split_first()?;
        if subtype == network {
            return Self::network(id);
        }
        Some(match <[u8; 6]>::try_from(id) {
            Ok(octets) if subtype == mac => Self::Mac(Mac(octets)),
            _ => Self::Text(id),
        })
    }

    /// Reads an address behind its family (registry of IANA, "Address Family Numbers").
    fn network(value: &'a [u8]) -> Option<Self> {
        Some(match *value {
            [1, a, b, c, d] => Self::V4(Ipv4Addr::new(a, b, c, d)),
            [2, ref address @ ..] => Self::V6(<[u8; 16]>::try_from(address).ok()?.into()),
            [6, ref address @ ..] => Self::Mac(Mac(address.try_into().ok()?)),
            _ => return None,
        })
    }

    fn chassis(message: &'a [u8]) -> Option<Self> {
        Self::read(find(message, tlv::CHASSIS)?, 4, 5)
    }

    fn port(message: &'a [u8]) -> Option<Self> {
        Self::read(find(message, tlv::PORT)?, 3, 4)
    }

    fn field<F: Fields>(self, key: Key, out: &mut F) {
        match self {
            Self::Mac(mac) => out.mac(key, mac),
            Self::V4(address) => out.ipv4(key, address),
            Self::V6(address) => out.ipv6(key, address),
            Self::Text(text) => out.text(key, text),
        }
    }

    fn write(self, out: &mut Text) {
        match self {
            Self::Mac(mac) => out.mac(mac),
            Self::V4(address) => out.ipv4(address),
            Self::V6(address) => out.ipv6(address),
            Self::Text(text) => out.printable(text),
        }
    }
}

/// Time to live in seconds.
fn ttl(message: &[u8]) -> Option<u16> {
    find(message, tlv::TTL)?.first_chunk().copied().map(u16::from_be_bytes)
}

/// Name and number of the organizations' TLVs that this suite reads: the port's own VLAN (802.1Q Annex D), its largest frame
/// (802.3 79.3.4).
fn organization(value: &[u8]) -> Option<(Key, u16)> {
    match *value {
        [0x00, 0x80, 0xc2, 1, high, low] => Some((key!("port_vlan"), u16::from_be_bytes([high, low]))),
        [0x00, 0x12, 0x0f, 4, high, low] => Some((key!("frame_size_max"), u16::from_be_bytes([high, low]))),
        _ => None,
    }
}

const fn tlv_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        tlv::CHASSIS => "chassis id",
        tlv::PORT => "port id",
        tlv::TTL => "ttl",
        tlv::PORT_DESCRIPTION => "port description",
        tlv::SYSTEM_NAME => "system name",
        tlv::SYSTEM_DESCRIPTION => "system description",
        tlv::CAPABILITIES => "capabilities",
        tlv::MANAGEMENT => "management address",
        tlv::ORGANIZATION => "organization",
        _ => return None,
    })
}

/// Names of the bits of the capabilities TLV (8.5.8.1), lowest first.
const CAPABILITIES: [&str; 11] =
    ["other", "repeater", "bridge", "access-point", "router", "telephone", "docsis", "station", "c-vlan", "s-vlan", "two-port-relay"];

impl Header for Lldp {
    fn fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
        let message = view.header;
        if let Some(chassis) = Identity::chassis(message) {
            chassis.field(key!("chassis_id"), out);
        }
        if let Some(port) = Identity::port(message) {
            port.field(key!("port_id"), out);
        }
        if let Some(ttl) = ttl(message) {
            out.num(key!("ttl"), ttl.into());
        }
        for (key, kind) in [(key!("system_name"), tlv::SYSTEM_NAME), (key!("port_description"), tlv::PORT_DESCRIPTION)] {
            if let Some(text) = find(message, kind) {
                out.text(key, text);
            }
        }
        if let Some(address) = find(message, tlv::MANAGEMENT)
            .and_then(|value| value.split_first().and_then(|(&length, rest)| rest.get(..length.into())))
            .and_then(Identity::network)
        {
            address.field(key!("management_address"), out);
        }
        if let Some(&[_, _, high, low]) = find(message, tlv::CAPABILITIES) {
            let enabled = u16::from_be_bytes([high, low]);
            let names: Vec<&str> =
                CAPABILITIES.iter().enumerate().filter(|(bit, _)| enabled >> bit & 1 == 1).map(|(_, name)| *name).collect();
            out.text(key!("capabilities"), names.join(" ").as_bytes());
        }
        if !out.wants_details() {
            return;
        }
        if let Some(text) = find(message, tlv::SYSTEM_DESCRIPTION) {
            out.text(key!("system_description"), text);
        }
        out.open_list(key!("tlvs"));
        for (count, (kind, value)) in tlvs(message).take(LIST_MAX + 1).enumerate() {
            out.open_item();
            if count == LIST_MAX {
                out.flag(key!("more"), true);
            } else {
                out.named(key!("type"), kind.into(), tlv_name(kind));
                match organization(value).filter(|_| kind == tlv::ORGANIZATION) {
                    Some((key, number)) => out.num(key, number.into()),
                    None => out.bytes(key!("value"), value),
                }
            }
            out.close_item();
        }
        out.close_list();
    }

    fn summary(&self, view: View<'_>, out: &mut Text) {
        let mut gap = "";
        let mut part = |name: &str, write: &dyn Fn(&mut Text)| {
            out.text(gap);
            out.text(name);
            write(out);
            gap = " ";
        };
        if let Some(chassis) = Identity::chassis(view.header) {
            part("chassis ", &|out| chassis.write(out));
        }
        if let Some(port) = Identity::port(view.header) {
            part("port ", &|out| port.write(out));
        }
        if let Some(ttl) = ttl(view.header) {
            part("ttl ", &|out| out.num(ttl.into()));
        }
        if let Some(name) = find(view.header, tlv::SYSTEM_NAME) {
            part("name ", &|out| out.printable(name));
        }
    }

    fn fault(&self, view: View<'_>) -> Option<Fault> {
        let mut tlvs = tlvs(view.header);
        tlvs.by_ref().for_each(drop);
        let need = match tlvs.rest.first_chunk().copied().map(head) {
            Some((tlv::END, _)) => return None,
            Some((_, length)) => 2 + length,
            None => 2,
        };
        Room::message(view).left(view.header.len() - tlvs.rest.len(), need, "tlv beyond the message")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::recorder::{self, Extent};
    use crate::stop::StopKind;
    use proptest::prelude::*;

    /// What lldpd on a Linux bridge announces, shortened.
    const MESSAGE: &[u8] = &[
        0x02, 7, 4, 2, 0, 0, 0, 0, 1, // chassis: MAC
        0x04, 5, 5, b'e', b't', b'h', b'0', // port: interface name
        0x06, 2, 0, 120, // 120 s
        0x0a, 3, b's', b'w', b'1', // name
        0x0e, 4, 0, 0x14, 0, 0x14, // bridge and router
        0x10, 12, 5, 1, 10, 0, 0, 9, 2, 0, 0, 0, 1, 0, // managed at 10.0.0.9
        0xfe, 6, 0x00, 0x80, 0xc2, 1, 0, 100, // port VLAN
        0, 0, 1, 2, 3, // end, padding
    ];

    #[test]
    fn a_neighbour_is_named() {
        assert_eq!(recorder::summary(&Lldp, recorder::whole(MESSAGE)), "chassis 02:00:00:00:00:01 port eth0 ttl 120 name sw1");
        let fields = recorder::lines(&Lldp, MESSAGE, Extent::Details);
        let expected = ["ttl=120", "management_address=10.0.0.9", "capabilities=bridge router", "tlvs[6].port_vlan=100"];
        for line in expected {
            assert!(fields.iter().any(|field| field == line), "{line} is not in {fields:?}");
        }
        assert!(!fields.iter().any(|field| field.starts_with("tlvs[7]")), "padding was read: {fields:?}");
    }

    #[test]
    fn a_message_that_is_cut_names_what_is_there() {
        assert_eq!(recorder::summary(&Lldp, recorder::whole(&MESSAGE[..12])), "chassis 02:00:00:00:00:01");
        assert_eq!(recorder::summary(&Lldp, recorder::whole(&MESSAGE[..5])), "");
    }

    #[test]
    fn a_tlv_that_is_cut_is_the_captures_fault_or_the_senders() {
        let fault = |bytes, claimed| {
            let fault = Lldp.fault(View { header: bytes, payload: &[], claimed });
            fault.map(|fault| (fault.kind, fault.offset, fault.need, fault.have))
        };
        assert_eq!(fault(MESSAGE, 0), None);
        assert_eq!(fault(&MESSAGE[..16], 0), None, "the end TLV may be missing");
        assert_eq!(fault(&MESSAGE[..14], 0), Some((StopKind::Malformed, 9, 7, 5)));
        assert_eq!(fault(&MESSAGE[..14], 30), Some((StopKind::Truncated, 9, 7, 5)));
        assert_eq!(fault(&MESSAGE[..16], 30), Some((StopKind::Truncated, 16, 2, 0)));
    }

    proptest! {
        #[test]
        fn hostile_messages_are_told_in_bounds(mut bytes: Vec<u8>, short in prop::collection::vec((0u8..10, 0u8..8, any::<[u8; 8]>()), 0..100)) {
            for (kind, length, value) in short {
                bytes.extend([kind << 1, length]);
                bytes.extend(&value[..length.into()]);
            }
            recorder::lines(&Lldp, &bytes, Extent::Details);
            // Three texts of at most 511 bytes, four characters for each.
            prop_assert!(recorder::summary(&Lldp, recorder::whole(&bytes)).len() < 3 * 511 * 4 + 100);
        }
    }
}
