//! What is an interface? What RTM_NEWLINK says of it.
//!
//! Sources: rtnetlink(7), linux/if_link.h, linux/if_arp.h.

use std::fmt;

use overlay_decoder::Mac;

use super::netlink::{Attributes, u16_at, u32_at, u64_at};
use super::tunnel::Tunnel;

/// `struct ifinfomsg`: family(1) pad(1) hardware(2) index(4) flags(4) change(4).
pub(super) const HEADER_BYTES: usize = 16;

const ADDRESS: u16 = 1; // IFLA_ADDRESS and so on.
pub(super) const NAME: u16 = 3;
const MTU: u16 = 4;
const LINK: u16 = 5;
const MASTER: u16 = 10;
const LINKINFO: u16 = 18;
const ALIAS: u16 = 20;
const STATS64: u16 = 23;
const LINK_NETNSID: u16 = 37;
const INFO_KIND: u16 = 1; // IFLA_INFO_KIND and so on.
const INFO_DATA: u16 = 2;
const FLAG_UP: u32 = 1; // IFF_UP and so on.
const FLAG_LOWER_UP: u32 = 1 << 16;

/// One interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its number, unique in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its alias, free text that an administrator gave it.
    pub alias: Option<String>,
    /// Which driver made it, for example `veth`, `bridge`, `vxlan`, `tun`; absent for hardware and `lo`.
    pub kind: Option<String>,
    /// What its frames look like.
    pub hardware: Hardware,
    /// Its MAC address; absent where it has none or one of another length.
    pub mac: Option<Mac>,
    /// Largest packet, in bytes.
    pub mtu: u32,
    /// Whether an administrator switched it on.
    pub up: bool,
    /// Whether it can send (carrier).
    pub lower_up: bool,
    /// The interface that it is a port of, such as a bridge.
    pub master: Option<u32>,
    /// The interface that it is built on, or of a veth pair the other end; in the namespace that `lower_namespace_id` tells. A tunnel
    /// without one shows its own number here; see [`Tunnel::lower`].
    pub lower: Option<u32>,
    /// The number by which this namespace knows the one of `lower`, or the one where a tunnel's outer packets are sent; absent where that
    /// is this namespace. -1 where it has no number here.
    pub lower_namespace_id: Option<i32>,
    /// Its counters since it was made.
    pub counters: Counters,
    /// What a tunnel device encapsulates and how.
    pub tunnel: Option<Tunnel>,
}

impl Link {
    /// Reads the body of an RTM_NEWLINK message; nothing where it is shorter than its fixed header or has no name.
    #[must_use]
    pub fn from_message(body: &[u8]) -> Option<Self> {
        let flags = u32_at(body, 8)?;
        let mut link = Self {
            index: u32_at(body, 4)?,
            name: String::new(),
            alias: None,
            kind: None,
            hardware: Hardware(u16_at(body, 2)?),
            mac: None,
            mtu: 0,
            up: flags & FLAG_UP != 0,
            lower_up: flags & FLAG_LOWER_UP != 0,
            master: None,
            lower: None,
            lower_namespace_id: None,
            counters: Counters::default(),
            tunnel: None,
        };
        for attribute in Attributes::after(HEADER_BYTES, body) {
            match attribute.kind {
                ADDRESS => link.mac = attribute.mac(),
                NAME => link.name = attribute.text(),
                MTU => link.mtu = attribute.u32().unwrap_or_default(),
                LINK => link.lower = attribute.u32().filter(|&index| index != 0),
                MASTER => link.master = attribute.u32().filter(|&index| index != 0),
                ALIAS => link.alias = Some(attribute.text()),
                STATS64 => link.counters = Counters::from_value(attribute.value),
                LINK_NETNSID => link.lower_namespace_id = attribute.i32(),
                LINKINFO => link.read_info(attribute.nested()),
                _ => {}
            }
        }
        (!link.name.is_empty()).then_some(link)
    }

    fn read_info(&mut self, info: Attributes<'_>) {
        let mut data = Attributes::new(&[]);
        for attribute in info {
            match attribute.kind {
                INFO_KIND => self.kind = Some(attribute.text()),
                INFO_DATA => data = attribute.nested(),
                _ => {}
            }
        }
        self.tunnel = self.kind.as_deref().and_then(|kind| Tunnel::from_attributes(kind, data));
    }
}

/// The kind of hardware (ARPHRD), which decides what frames look like; displayed in the words of `ip link`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Hardware(pub u16);

impl Hardware {
    /// Ethernet, also of virtual devices.
    pub const ETHERNET: Self = Self(1);
    /// The loop-back device, whose frames have an Ethernet header.
    pub const LOOPBACK: Self = Self(772);
    /// No link layer header: TUN devices, and VXLAN-GPE devices that carry IP.
    pub const NONE: Self = Self(0xfffe);
}

impl fmt::Display for Hardware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            1 => "ether",
            32 => "infiniband",
            512 => "ppp",
            768 => "ipip",
            769 => "tunnel6",
            772 => "loopback",
            776 => "sit",
            778 => "gre",
            801 => "ieee802.11",
            802 => "ieee802.11/prism",
            803 => "ieee802.11/radiotap",
            823 => "gre6",
            824 => "netlink",
            0xfffe => "none",
            other => return write!(f, "hardware {other}"),
        })
    }
}

/// Counters of an interface (`struct rtnl_link_stats64`): packets, bytes, and what went wrong.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Received with an error.
    pub rx_errors: u64,
    /// Not sent because of an error.
    pub tx_errors: u64,
    /// Received and dropped.
    pub rx_dropped: u64,
    /// To be sent and dropped.
    pub tx_dropped: u64,
    /// Multicast packets received.
    pub multicast: u64,
    /// Packets that the interface had no room for: its missed and FIFO errors.
    pub rx_missed: u64,
}

impl Counters {
    fn from_value(value: &[u8]) -> Self {
        let counter = |number: usize| u64_at(value, number * 8).unwrap_or_default();
        Self {
            rx_packets: counter(0),
            tx_packets: counter(1),
            rx_bytes: counter(2),
            tx_bytes: counter(3),
            rx_errors: counter(4),
            tx_errors: counter(5),
            rx_dropped: counter(6),
            tx_dropped: counter(7),
            multicast: counter(8),
            // rx_fifo_errors and rx_missed_errors: drivers count in the one or the other.
            rx_missed: counter(14).saturating_add(counter(15)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::netlink::{MessageBuilder, Messages, append_attribute};

    fn header(hardware: u16, index: u32, flags: u32) -> Vec<u8> {
        [&[0, 0][..], &hardware.to_ne_bytes(), &index.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 4]].concat()
    }

    fn read(message: MessageBuilder) -> Option<Link> {
        Link::from_message(Messages::new(&message.bytes()).next().unwrap().body)
    }

    #[test]
    fn an_interface_is_read_with_all_that_is_known_of_it() {
        let mut info = Vec::new();
        append_attribute(&mut info, INFO_KIND, b"veth\0");
        let counters: Vec<u8> = (1..=24_u64).flat_map(u64::to_ne_bytes).collect();
        let message = MessageBuilder::new(16, 0, 0, &header(1, 7, FLAG_UP | FLAG_LOWER_UP))
            .attribute(NAME, b"eth0\0")
            .attribute(ADDRESS, &[2, 8, 0x20, 0xa, 0, 1])
            .attribute(MTU, &1450_u32.to_ne_bytes())
            .attribute(LINK, &3_u32.to_ne_bytes())
            .attribute(LINK_NETNSID, &0_i32.to_ne_bytes())
            .attribute(MASTER, &9_u32.to_ne_bytes())
            .attribute(ALIAS, b"to the rack\0")
            .attribute(STATS64, &counters)
            .attribute(LINKINFO, &info);
        let expected = Link {
            index: 7,
            name: "eth0".to_owned(),
            alias: Some("to the rack".to_owned()),
            kind: Some("veth".to_owned()),
            hardware: Hardware::ETHERNET,
            mac: Some(Mac([2, 8, 0x20, 0xa, 0, 1])),
            mtu: 1450,
            up: true,
            lower_up: true,
            master: Some(9),
            lower: Some(3),
            lower_namespace_id: Some(0),
            counters: Counters {
                rx_packets: 1,
                tx_packets: 2,
                rx_bytes: 3,
                tx_bytes: 4,
                rx_errors: 5,
                tx_errors: 6,
                rx_dropped: 7,
                tx_dropped: 8,
                multicast: 9,
                rx_missed: 15 + 16,
            },
            tunnel: None,
        };
        assert_eq!(read(message), Some(expected));
    }

    #[test]
    fn a_message_without_header_or_name_is_no_interface() {
        assert_eq!(Link::from_message(&[0; 11]), None);
        assert_eq!(read(MessageBuilder::new(16, 0, 0, &header(1, 7, 0))), None);
    }

    #[test]
    fn an_address_that_is_no_mac_is_none() {
        let ipip = MessageBuilder::new(16, 0, 0, &header(768, 7, 0)).attribute(NAME, b"tunl0\0").attribute(ADDRESS, &[10, 0, 0, 1]);
        let link = read(ipip).unwrap();
        assert_eq!((link.mac, link.hardware.to_string().as_str(), link.up), (None, "ipip", false));
        assert_eq!(Hardware(4242).to_string(), "hardware 4242");
    }
}
