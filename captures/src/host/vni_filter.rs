//! Which VNIs does a `vnifilter` device take, and how busy is each?
//!
//! Source: linux/if_link.h (`VXLAN_VNIFILTER_*`, `struct tunnel_msg`), kernel 5.18 and later. `bridge -s vni` shows the same.

use std::net::IpAddr;

use overlay_decoder::Vni;

use super::netlink::{Attributes, u32_at};

/// `struct tunnel_msg`: family(1) flags(1) reserved(2) index(4).
const HEADER_BYTES: usize = 8;
const ENTRY: u16 = 1; // VXLAN_VNIFILTER_ENTRY

/// Some VNIs of a device: one where counters were asked for, as [`Kernel::vni_filter`](super::Kernel::vni_filter) does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VniFilterEntry {
    /// The device.
    pub link: u32,
    /// First VNI.
    pub first: Vni,
    /// Last VNI, included.
    pub last: Vni,
    /// UL3 address or multicast group of unknown stations, where it is not the device's.
    pub remote: Option<IpAddr>,
    /// What passed with these VNIs.
    pub counters: VniCounters,
}

impl VniFilterEntry {
    /// Reads the body of an RTM_NEWTUNNEL message, which may have many entries, and appends them to `entries`.
    pub fn read_message(body: &[u8], entries: &mut Vec<Self>) {
        let Some(link) = u32_at(body, 4) else { return };
        let lists = Attributes::after(HEADER_BYTES, body).filter(|attribute| attribute.kind == ENTRY);
        entries.extend(lists.filter_map(|list| Self::from_attributes(link, list.nested())));
    }

    fn from_attributes(link: u32, attributes: Attributes<'_>) -> Option<Self> {
        let (mut first, mut last, mut remote, mut counters) = (None, None, None, VniCounters::default());
        for attribute in attributes {
            match attribute.kind {
                1 => first = attribute.u32().and_then(Vni::new),
                2 => last = attribute.u32().and_then(Vni::new),
                3 | 4 => remote = attribute.ip().filter(|address| !address.is_unspecified()),
                5 => counters = VniCounters::from_attributes(attribute.nested()),
                _ => {}
            }
        }
        // A single VNI is said without an end.
        Some(Self { link, first: first?, last: last.or(first)?, remote, counters })
    }
}

/// Counters of a VNI since it was put on the list.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct VniCounters {
    /// Bytes delivered.
    pub rx_bytes: u64,
    /// Packets delivered.
    pub rx_packets: u64,
    /// Received and dropped.
    pub rx_drops: u64,
    /// Received with an error.
    pub rx_errors: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// To be sent and dropped.
    pub tx_drops: u64,
    /// Not sent because of an error.
    pub tx_errors: u64,
}

impl VniCounters {
    fn from_attributes(attributes: Attributes<'_>) -> Self {
        let mut counters = Self::default();
        for attribute in attributes {
            let counter = match attribute.kind {
                1 => &mut counters.rx_bytes,
                2 => &mut counters.rx_packets,
                3 => &mut counters.rx_drops,
                4 => &mut counters.rx_errors,
                5 => &mut counters.tx_bytes,
                6 => &mut counters.tx_packets,
                7 => &mut counters.tx_drops,
                8 => &mut counters.tx_errors,
                _ => continue,
            };
            *counter = attribute.u64().unwrap_or_default();
        }
        counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::netlink::append_attribute;

    fn list(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, value) in attributes {
            append_attribute(&mut bytes, *kind, value);
        }
        bytes
    }

    #[test]
    fn ranges_single_vnis_and_their_counters_are_read() {
        let counters: Vec<Vec<u8>> = (1..=8_u64).map(|number| number.to_ne_bytes().to_vec()).collect();
        let counters: Vec<(u16, &[u8])> = (1..=8).zip(counters.iter().map(Vec::as_slice)).collect();
        let single = list(&[(1, &200_u32.to_ne_bytes()), (3, &[239, 0, 0, 1]), (5, &list(&counters))]);
        let range = list(&[(1, &100_u32.to_ne_bytes()), (2, &110_u32.to_ne_bytes())]);
        let neither = list(&[(2, &110_u32.to_ne_bytes())]);
        let lists = list(&[(ENTRY | 0x8000, &single), (ENTRY | 0x8000, &range), (ENTRY, &neither), (7, &single)]);
        let body = [&[7, 0, 0, 0][..], &9_u32.to_ne_bytes(), &lists].concat();
        let mut entries = Vec::new();
        VniFilterEntry::read_message(&body, &mut entries);
        let vni = |id| Vni::new(id).unwrap();
        let counters =
            VniCounters { rx_bytes: 1, rx_packets: 2, rx_drops: 3, rx_errors: 4, tx_bytes: 5, tx_packets: 6, tx_drops: 7, tx_errors: 8 };
        let none = VniCounters::default();
        assert_eq!(
            entries,
            [
                VniFilterEntry { link: 9, first: vni(200), last: vni(200), remote: Some([239, 0, 0, 1].into()), counters },
                VniFilterEntry { link: 9, first: vni(100), last: vni(110), remote: None, counters: none },
            ]
        );
        VniFilterEntry::read_message(&body[..7], &mut entries);
        assert_eq!(entries.len(), 2, "a message shorter than its header has no entries");
    }
}
