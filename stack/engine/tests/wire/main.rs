//! What stands on the wire, byte for byte, when frames take the whole way: port, worker or control half, header, datagram, port?
//!
//! ```text
//!   header.rs      the bytes of the three encapsulations, source port, flow label, TTL, DF, DSCP
//!   congestion.rs  RFC 6040, both ends
//!   size.rs        the largest frame that passes, and what its sender is told about the next one
//!   hostile.rs     what nobody should send, and somebody will
//! ```

#[path = "../common/mod.rs"]
mod common;

mod congestion;
mod header;
mod hostile;
mod size;

use common::{Host, mac, spec, udp4, udp6};
use overlay_api::{Answer, DeviceId, PortId, UnderlayId};
use overlay_decoder::checksum::{self, Status, Sum};
use overlay_decoder::{LinkType, Ul3, Walker};
use overlay_engine::encap::Carrier;
use overlay_engine::outer::{Outer, emit};
use overlay_engine::{Arrival, Offload, OuterHeader, Search, Sending};
use std::net::IpAddr;

/// The encapsulations with a virtual network that each of them takes.
pub(crate) const ENCAPSULATIONS: [&str; 3] = ["vxlan", "geneve", "nvgre"];
pub(crate) const VNI: u32 = 5001;

/// One host with one device and its port, which has the MAC 1. Everybody else is behind the underlay.
pub(crate) struct Line {
    pub(crate) host: Host,
    pub(crate) device: DeviceId,
    pub(crate) port: PortId,
    /// Where the device listens, and where all of its frames go.
    pub(crate) ends: [Ul3; 2],
}

/// Where the two ends of an underlay are: IPv4 or IPv6.
fn ends(encapsulation: &str, v6: bool) -> [Ul3; 2] {
    let port = match encapsulation {
        "vxlan" => Some(4789),
        "geneve" => Some(6081),
        _ => None,
    };
    let ips = if v6 { ["2001:db8::1", "2001:db8::2"] } else { ["192.0.2.1", "192.0.2.2"] };
    ips.map(|ip| Ul3 { ip: ip.parse().unwrap(), port })
}

impl Line {
    /// A device whose frames go to one place, on an underlay with packets of `mtu` bytes.
    pub(crate) fn direct(encapsulation: &str, vni: u32, v6: bool, mtu: u32, set: &[(&str, &str)]) -> Self {
        Self::on(Host::new(), encapsulation, vni, v6, mtu, Search::Direct, set)
    }

    /// A device that asks.
    pub(crate) fn dynamic(encapsulation: &str, vni: u32, v6: bool, mtu: u32, set: &[(&str, &str)]) -> Self {
        Self::on(Host::new(), encapsulation, vni, v6, mtu, Search::Dynamic, set)
    }

    /// The same on a host that the test has made.
    pub(crate) fn on(mut host: Host, encapsulation: &str, vni: u32, v6: bool, mtu: u32, search: Search, set: &[(&str, &str)]) -> Self {
        let ends = ends(encapsulation, v6);
        let ([here, there], listen) = (ends.map(|end| end.ip.to_string()), format!("{encapsulation}/listen_ip"));
        let port = ends[1].port.unwrap_or(0).to_string();
        let mut properties = vec![(listen.as_str(), here.as_str())];
        if search == Search::Direct {
            properties.push(("direct/dest_ip", &there));
            properties.extend((ends[1].port.is_some()).then_some(("direct/dest_port", port.as_str())));
        }
        properties.retain(|(name, _)| set.iter().all(|(other, _)| other != name));
        properties.extend(set);
        let device = host.device(spec("red", encapsulation, vni, search, &properties));
        let port = host.port(device, "vnic0", mac(1));
        host.open(mtu);
        host.attach();
        host.take();
        Self { host, device, port, ends }
    }

    pub(crate) fn underlay(&self) -> UnderlayId {
        self.host.underlay(self.device)
    }

    /// A router of the device's underlay reports a path's MTU, or it is forgotten.
    pub(crate) fn path_mtu(&mut self, to: IpAddr, mtu: Option<u32>) {
        self.host.control.handle_path_mtu(self.underlay(), to, mtu);
    }

    /// What is sent for a frame, which is one datagram and nothing else.
    pub(crate) fn send(&mut self, frame: &[u8], offload: Offload) -> Sending {
        self.host.batch(0, self.port, &[(frame.to_vec(), offload)]);
        self.host.misses();
        self.sent(frame)
    }

    /// The same, of a device that asks: the control half sends it, after the answer.
    pub(crate) fn send_late(&mut self, frame: &[u8]) -> Sending {
        self.host.frame(self.port, frame);
        let done = self.host.take();
        assert_eq!((done.sent.len(), done.lookups.len()), (0, 1), "{done:?}");
        let answer = Answer::Reach { to: vec![self.ends[1]], ttl_ns: None };
        self.host.answer(done.lookups[0].request, answer).unwrap();
        self.sent(frame)
    }

    fn sent(&mut self, frame: &[u8]) -> Sending {
        let mut done = self.host.take();
        let (Some(sending), true) = (done.sent.pop(), done.is_silent()) else { panic!("one datagram is sent: {done:?}") };
        assert_eq!((sending.underlay, sending.device), (self.underlay(), self.device));
        assert_eq!(&sending.bytes[sending.header_len.into()..], frame, "the frame itself is carried as it is");
        sending
    }

    /// What the port gets for a datagram, which is one frame at most.
    pub(crate) fn receive(&mut self, bytes: &[u8], tos: u8) -> Option<Vec<u8>> {
        let arrival = Arrival { from: self.ends[1], tos, offload: Offload::default() };
        self.host.datagrams(0, self.underlay(), &[(bytes.to_vec(), arrival)]);
        let mut done = self.host.take();
        let given = done.given.pop().map(|delivery| delivery.bytes);
        assert!(done.is_silent(), "one frame at most: {done:?}");
        given
    }

    /// The whole outer packet, without Ethernet.
    pub(crate) fn packet(&self, sending: &Sending) -> Vec<u8> {
        let OuterHeader { to, source_port, flow_label, tos, ttl, dont_fragment } = sending.outer;
        let carrier = if to.port.is_some() { Carrier::Udp } else { Carrier::Ip(47) };
        let source = Ul3 { ip: self.ends[0].ip, port: to.port.map(|_| source_port) };
        let outer = Outer { source, destination: to, tos, ttl, dont_fragment, identification: 0, flow_label, carrier };
        let mut packet = Vec::new();
        emit(&mut packet, &outer, &sending.bytes).unwrap();
        packet
    }
}

/// A frame from MAC 1 to MAC 2 with these VLAN tags (outermost first) and a UDP datagram in an IP packet of `len` bytes.
pub(crate) fn ip_frame(v6: bool, tags: &[u16], tos: u8, len: usize) -> Vec<u8> {
    let untagged = match v6 {
        true => {
            let mut frame = udp6(mac(1), mac(2), (1000, 2000), &vec![0x55; len - 48]);
            (frame[14], frame[15]) = (0x60 | tos >> 4, tos << 4);
            // IPv6 has no header checksum, so UDP must have one (RFC 8200 8.1).
            let mut sum = Sum::new();
            sum.add_pseudo_v6("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap(), 17, frame.len() as u32 - 54);
            sum.add(&frame[54..]);
            frame[60..62].copy_from_slice(&sum.checksum().to_be_bytes());
            frame
        }
        false => {
            let mut frame = udp4(mac(1), mac(2), (1000, 2000), &vec![0x55; len - 28]);
            frame[15] = tos;
            frame[24..26].fill(0);
            let sum = checksum::internet(&frame[14..34]);
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
            frame
        }
    };
    tagged(&untagged, tags)
}

/// The frame with VLAN tags put in front of its EtherType. The outer one of two is a provider's (802.1ad).
pub(crate) fn tagged(frame: &[u8], tags: &[u16]) -> Vec<u8> {
    let mut bytes = frame[..12].to_vec();
    for (index, id) in tags.iter().enumerate() {
        let provider = index == 0 && tags.len() == 2;
        bytes.extend([if provider { [0x88, 0xa8] } else { [0x81, 0x00] }, id.to_be_bytes()].concat());
    }
    bytes.extend(&frame[12..]);
    bytes
}

/// An ARP request from MAC 1.
pub(crate) fn arp() -> Vec<u8> {
    let request = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &mac(1).0, &[10, 0, 0, 1], &[0; 6], &[10, 0, 0, 2]].concat();
    common::frame_of(mac(1), mac(2), 0x0806, &request)
}

/// The header of that encapsulation for the network [`VNI`], without anything optional.
pub(crate) fn header(encapsulation: &str) -> [u8; 8] {
    match encapsulation {
        "vxlan" => [8, 0, 0, 0, 0, 0x13, 0x89, 0],
        "geneve" => [0, 0, 0x65, 0x58, 0, 0x13, 0x89, 0],
        _ => [0x20, 0, 0x65, 0x58, 0, 0x13, 0x89, 0x77],
    }
}

/// The other direction: the same frame, as MAC 2 would send it to MAC 1.
pub(crate) fn answered(frame: &[u8]) -> Vec<u8> {
    [&frame[6..12], &frame[..6], &frame[12..]].concat()
}

/// What is wrong with a packet as our own decoder sees it: why it stopped, or which checksum is wrong. Checksums that are absent are
/// not wrong.
pub(crate) fn complaint(bytes: &[u8], link: LinkType) -> Option<String> {
    let mut walker = Walker::default();
    let packet = walker.walk(bytes, bytes.len() as u32, link);
    let stop = packet.stop.map(|stop| stop.to_string());
    stop.or_else(|| {
        (0..packet.layers.len()).find_map(|index| match checksum::verify(bytes, packet.layers, index) {
            None | Some(Status::Correct | Status::Zero) => None,
            Some(status) => Some(format!("{status:?} in {:?}", packet.layers[index])),
        })
    })
}
