//! Where do addresses stand in a packet? Every place is visited, and what is there may be replaced by something of the same length.
//!
//! Beside the headers themselves these are the messages that speak about stations: ARP, neighbour discovery, and ICMP errors, which quote
//! the packet that they are about.

use super::frame::{Frame, Layers, array, put};
use super::place::{End, Field, Place, Value};
use overlay_decoder::checksum::Sum;
use overlay_decoder::layer::{Arp, Body, Icmpv6, number};
use overlay_decoder::{Mac, Vni};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Decides what stands for an address, a port or a tag from now on; `None` leaves it. The number is that of the tunnels around it.
pub(crate) type Change<'c> = dyn FnMut(usize, Found, Value) -> Option<Value> + 'c;

/// A field and its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    /// Which field.
    pub(crate) field: Field,
    /// Whose. A tag is nobody's.
    pub(crate) end: Option<End>,
}

impl Place {
    /// Whether this field of the packet behind `depth` tunnels, of `packets`, is meant.
    pub(crate) fn means(&self, depth: usize, packets: usize, found: Found) -> bool {
        self.field == found.field && self.which.is(depth, packets) && found.end.is_none_or(|end| self.has(end))
    }
}

/// What is visited beside headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// Nothing.
    Headers,
    /// Messages that speak about stations.
    Messages,
}

/// Visits all fields of a packet. Whether any was replaced, even by what was there.
pub(crate) fn visit(frame: &mut Frame, layers: &Layers, reach: Reach, change: &mut Change<'_>) -> bool {
    let mut visitor = Visitor { bytes: &mut frame.bytes, change, depth: 0, hits: false };
    for (layer, depth) in layers.all.iter().zip(&layers.depths) {
        let at = layer.offset as usize;
        visitor.depth = *depth;
        match layer.body {
            Body::Ethernet(_) => {
                visitor.mac(at, End::Dst);
                visitor.mac(at + 6, End::Src);
            }
            // Hardware type 1 is Ethernet; only then the address is a MAC.
            Body::Sll(header) if header.hardware == 1 && header.address_length == 6 => visitor.mac(at + 6, End::Src),
            Body::Sll2(header) if header.hardware == 1 && header.address_length == 6 => visitor.mac(at + 12, End::Src),
            Body::Vlan(_) => visitor.vlan(at),
            Body::Ipv4(_) => {
                visitor.ipv4(at + 12, End::Src);
                visitor.ipv4(at + 16, End::Dst);
            }
            Body::Ipv6(_) => {
                visitor.ipv6(at + 8, End::Src);
                visitor.ipv6(at + 24, End::Dst);
            }
            Body::Tcp(_) | Body::Udp(_) | Body::Sctp(_) => visitor.ports(at),
            Body::Arp(_) if reach == Reach::Messages => visitor.arp(at),
            Body::Icmp(header) if reach == Reach::Messages => {
                // RFC 792: redirect names a gateway; these quote the packet that they are about.
                if header.kind == 5 {
                    visitor.ipv4(at + 4, End::Dst);
                }
                if matches!(header.kind, 3 | 4 | 5 | 11 | 12) {
                    visitor.quoted(layer.end());
                }
            }
            Body::Icmpv6(header) if reach == Reach::Messages => visitor.icmpv6(header, layer.end()),
            _ => {}
        }
    }
    visitor.hits
}

/// Replaces virtual networks, at any depth. Whether any was.
pub(crate) fn vnis(frame: &mut Frame, layers: &Layers, map: impl Fn(Vni) -> Option<Vni>) -> bool {
    let mut hits = false;
    for layer in &layers.all {
        // The identifier stands in bytes 4 to 6 of VXLAN, VXLAN-GPE, Geneve and NVGRE alike.
        if let Some(new) = layer.body.vni().and_then(&map) {
            hits |= put(&mut frame.bytes, layer.offset as usize + 4, &new.to_be_bytes());
        }
    }
    hits
}

struct Visitor<'v, 'c> {
    bytes: &'v mut [u8],
    change: &'v mut Change<'c>,
    depth: usize,
    hits: bool,
}

impl Visitor<'_, '_> {
    /// Asks for what stands at a place.
    fn ask(&mut self, field: Field, end: Option<End>, value: Value) -> Option<Value> {
        let new = (self.change)(self.depth, Found { field, end }, value);
        self.hits |= new.is_some();
        new
    }

    fn mac(&mut self, at: usize, end: End) {
        let Some(old) = array(self.bytes, at) else { return };
        if let Some(Value::Mac(Mac(new))) = self.ask(Field::Mac, Some(end), Value::Mac(Mac(old))) {
            put(self.bytes, at, &new);
        }
    }

    fn ipv4(&mut self, at: usize, end: End) {
        let Some(old) = array::<4>(self.bytes, at) else { return };
        if let Some(Value::Ip(IpAddr::V4(new))) = self.ask_ip(end, IpAddr::V4(Ipv4Addr::from(old))) {
            put(self.bytes, at, &new.octets());
        }
    }

    fn ipv6(&mut self, at: usize, end: End) {
        let Some(old) = array::<16>(self.bytes, at) else { return };
        if let Some(Value::Ip(IpAddr::V6(new))) = self.ask_ip(end, IpAddr::V6(Ipv6Addr::from(old))) {
            put(self.bytes, at, &new.octets());
        }
    }

    /// Asks for an address; one of the other family is no answer.
    fn ask_ip(&mut self, end: End, old: IpAddr) -> Option<Value> {
        let new = (self.change)(self.depth, Found { field: Field::Ip, end: Some(end) }, Value::Ip(old));
        let new = new.filter(|new| matches!(new, Value::Ip(ip) if ip.is_ipv4() == old.is_ipv4()));
        self.hits |= new.is_some();
        new
    }

    fn ports(&mut self, at: usize) {
        for (at, end) in [(at, End::Src), (at + 2, End::Dst)] {
            let Some(old) = array(self.bytes, at) else { return };
            if let Some(Value::Number(new)) = self.ask(Field::Port, Some(end), Value::Number(u16::from_be_bytes(old))) {
                put(self.bytes, at, &new.to_be_bytes());
            }
        }
    }

    fn vlan(&mut self, at: usize) {
        let Some(old) = array(self.bytes, at).map(u16::from_be_bytes) else { return };
        if let Some(Value::Number(new)) = self.ask(Field::Vlan, None, Value::Number(old & 0xfff)) {
            // The upper four bits are priority and drop eligibility.
            put(self.bytes, at, &(old & 0xf000 | new & 0xfff).to_be_bytes());
        }
    }

    fn arp(&mut self, at: usize) {
        if self.bytes.len() < at + Arp::LENGTH {
            return;
        }
        self.mac(at + 8, End::Src);
        self.ipv4(at + 14, End::Src);
        self.mac(at + 18, End::Dst);
        self.ipv4(at + 24, End::Dst);
    }

    fn icmpv6(&mut self, header: Icmpv6, at: usize) {
        let options = match header.kind {
            kind if kind < 128 => return self.quoted(at),
            Icmpv6::ROUTER_SOLICITATION => at,
            // Reachable time and retransmission timer.
            Icmpv6::ROUTER_ADVERTISEMENT => at + 8,
            Icmpv6::NEIGHBOR_SOLICITATION | Icmpv6::NEIGHBOR_ADVERTISEMENT => {
                self.ipv6(at, End::Dst);
                at + 16
            }
            Icmpv6::REDIRECT => {
                self.ipv6(at, End::Dst);
                self.ipv6(at + 16, End::Dst);
                at + 32
            }
            _ => return,
        };
        let mut at = options;
        // RFC 4861 4.6: type, and length in 8 bytes.
        while let Some([kind, units]) = array(self.bytes, at) {
            match (kind, units) {
                (_, 0) => return,
                (1, 1) => self.mac(at + 2, End::Src),
                (2, 1) => self.mac(at + 2, End::Dst),
                (3, 4) => self.ipv6(at + 16, End::Dst),
                // A redirect quotes the packet behind six reserved bytes.
                (4, _) => self.quoted(at + 8),
                _ => {}
            }
            at += usize::from(units) * 8;
        }
    }

    /// The IP header and the ports of a packet that an error quotes, with its checksums carried over: it is mostly not there whole.
    fn quoted(&mut self, at: usize) {
        let Some([first]) = array(self.bytes, at) else { return };
        let (addresses, length, protocol) = match first >> 4 {
            // A header shorter than itself says nothing of what is behind it (RFC 791 3.1: at least 5).
            4 if first & 0xf >= 5 => (at + 12..at + 20, usize::from(first & 0xf) * 4, at + 9),
            6 => (at + 8..at + 40, 40, at + 6),
            _ => return,
        };
        let Some(old) = self.bytes.get(addresses.clone()).map(<[u8]>::to_vec) else { return };
        let half = old.len() / 2;
        for (at, end) in [(addresses.start, End::Src), (addresses.start + half, End::Dst)] {
            if half == 4 { self.ipv4(at, end) } else { self.ipv6(at, end) }
        }
        let new = self.bytes.get(addresses).map(<[u8]>::to_vec).unwrap_or_default();
        if half == 4 {
            adjust(self.bytes, at + 10, &old, &new, false);
        }
        // In a later fragment there is payload where a header would be.
        if half == 4 && array(self.bytes, at + 6).is_none_or(|part| u16::from_be_bytes(part) & 0x1fff != 0) {
            return;
        }
        let upper = at + length;
        let Some([protocol]) = array(self.bytes, protocol) else { return };
        let (field, is_udp) = match protocol {
            number::ip::TCP => (upper + 16, false),
            number::ip::UDP => (upper + 6, true),
            number::ip::ICMPV6 => return adjust(self.bytes, upper + 2, &old, &new, false),
            _ => return,
        };
        let Some(old_ports) = array::<4>(self.bytes, upper) else { return };
        self.ports(upper);
        let Some(new_ports) = array::<4>(self.bytes, upper) else { return };
        if old != new || old_ports != new_ports {
            adjust(self.bytes, field, &[&old[..], &old_ports].concat(), &[&new[..], &new_ports].concat(), is_udp);
            self.sum_whole(at, upper, field, protocol, &new);
        }
    }

    /// The checksum of a quoted packet that is all here. Carried over would not do: a sender that leaves it to its hardware has written
    /// something else, and the error quotes that.
    fn sum_whole(&mut self, at: usize, upper: usize, field: usize, protocol: u8, addresses: &[u8]) {
        let Some(head) = self.bytes.get(at..upper) else { return };
        let end = match head[0] >> 4 {
            // Of a fragment (offset or more to come) not all is here.
            4 if u16::from_be_bytes([head[6], head[7]]) & 0x3fff != 0 => return,
            4 => at + usize::from(u16::from_be_bytes([head[2], head[3]])),
            _ => upper + usize::from(u16::from_be_bytes([head[4], head[5]])),
        };
        let is_udp = protocol == number::ip::UDP;
        let (Some(segment), Some(was)) = (self.bytes.get(upper..end), array::<2>(self.bytes, field)) else { return };
        if field + 2 > end || is_udp && was == [0, 0] {
            return;
        }
        let mut sum = Sum::new();
        sum.add(addresses);
        sum.add(&(segment.len() as u32).to_be_bytes());
        sum.add(&[0, protocol]);
        sum.add(&segment[..field - upper]);
        sum.add(&segment[field + 2 - upper..]);
        let value = if is_udp && sum.checksum() == 0 { 0xffff } else { sum.checksum() };
        put(self.bytes, field, &value.to_be_bytes());
    }
}

/// Carries the checksum at a place over from old bytes to new ones (RFC 1624 3); of UDP, 0 is none.
pub(crate) fn adjust(bytes: &mut [u8], at: usize, old: &[u8], new: &[u8], is_udp: bool) {
    let Some(field) = array(bytes, at).map(u16::from_be_bytes) else { return };
    if old == new || is_udp && field == 0 {
        return;
    }
    let mut sum = Sum::new();
    sum.add(&(!field).to_be_bytes());
    let (mut was, mut is) = (Sum::new(), Sum::new());
    was.add(old);
    is.add(new);
    sum.add(&(!was.folded()).to_be_bytes());
    sum.add(&is.folded().to_be_bytes());
    let value = if is_udp && sum.checksum() == 0 { 0xffff } else { sum.checksum() };
    put(bytes, at, &value.to_be_bytes());
}
