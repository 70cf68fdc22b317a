//! What do the benchmarks, and the test that counts allocations, drive? One host: a control half, workers, a device with ports.

#![allow(dead_code, reason = "each of those who share this needs a part of it")]

pub(crate) mod counting;

use overlay_api::{Answer, DeviceId, PortId, Source, UnderlayId};
use overlay_decoder::{Mac, Ul3, Vni};
use overlay_engine::encap::Registry;
use overlay_engine::{
    Arrival, Config, Control, Datagrams, DeviceSpec, Event, Frames, Limits, Offload, Outbox, Output, PortSpec, Search, SegmentKind,
    Segments, SetTarget, Time, Worker,
};

/// Frames of a batch: what the daemon reads at a time.
pub(crate) const BATCH: usize = 64;
/// The virtual network.
pub(crate) const VNI: u32 = 77;
/// Bytes of the headers of [`frame`]: Ethernet, IPv4, UDP.
pub(crate) const HEADERS: usize = 14 + 20 + 8;

/// A host with one device, ready to pass frames.
pub(crate) struct Rig {
    pub(crate) control: Control,
    pub(crate) workers: Vec<Worker>,
    pub(crate) device: DeviceId,
    pub(crate) ports: Vec<PortId>,
    pub(crate) underlay: UnderlayId,
}

impl Rig {
    /// A VXLAN device with that many ports and workers; a point device sends all to [`peer`] 0.
    pub(crate) fn new(search: Search, ports: u32, workers: usize) -> Self {
        let limits = Limits { pending_bytes_per_device: 1 << 30, ..Limits::default() };
        let config = Config { workers, seed: 1, explain: false, limits };
        let (mut control, workers) = Control::new(&config, Registry::default()).expect("a sound configuration");
        let mut properties = vec![("vxlan/listen_ip".to_owned(), "10.88.0.1".to_owned())];
        if search == Search::Direct {
            properties.push(("direct/dest_ip".to_owned(), peer(0).ip.to_string()));
            properties.push(("direct/dest_port".to_owned(), "4789".to_owned()));
        }
        let vni = Vni::new(VNI).expect("24 bits");
        let spec = DeviceSpec { name: "red".to_owned(), encapsulation: "vxlan".to_owned(), vni, search, properties };
        let device = control.create_device(spec, Time::ZERO).expect("a sound device");
        let port = |n| PortSpec { name: format!("vnic{n}"), mac: own(n), mtu: 1400 };
        let ports = (0..ports).map(|n| control.add_port(device, &port(n)).expect("a sound port")).collect();
        control.answerer_attached(Time::ZERO);
        let opened = |output| if let Output::Event(Event::UnderlayOpen { underlay, .. }) = output { Some(underlay) } else { None };
        let underlay = std::iter::from_fn(|| control.poll_output(Time::ZERO)).find_map(opened).expect("the device wants an underlay");
        control.handle_underlay(underlay, Ok(1500), Time::ZERO);
        let mut rig = Self { control, workers, device, ports, underlay };
        rig.outputs(Time::ZERO);
        rig
    }

    /// Carries out all that the control half wants done: says how many outputs that were.
    pub(crate) fn outputs(&mut self, now: Time) -> usize {
        std::iter::from_fn(|| self.control.poll_output(now)).count()
    }

    /// Makes the destinations `0..count` known, in an order without a pattern: each to one of a thousand hosts.
    pub(crate) fn know(&mut self, count: u32, now: Time) {
        for n in 0..count {
            self.know_one(n, now);
        }
    }

    /// Makes a destination known.
    pub(crate) fn know_one(&mut self, n: u32, now: Time) {
        let target = SetTarget::Reach(vec![peer(n)]);
        self.control.set_target(self.device, tenant(n), &target, Source::Plugin, None, now).expect("a sound destination");
        self.outputs(now);
    }

    /// Takes what the workers have handed over and answers all that is asked with [`peer`] `n`. Says how many questions there were.
    pub(crate) fn answer_all(&mut self, n: u32, now: Time) -> usize {
        let mut asked = 0;
        loop {
            let more = self.control.handle_misses(now);
            let mut requests = Vec::new();
            while let Some(output) = self.control.poll_output(now) {
                if let Output::Lookup(lookup) = output {
                    requests.push(lookup.request);
                }
            }
            asked += requests.len();
            for request in requests {
                self.control.handle_answer(request, Answer::Reach { to: vec![peer(n)], ttl_ns: None }, now).expect("a sound answer");
                self.outputs(now);
            }
            if !more {
                return asked;
            }
        }
    }

    /// Frames of the first port pass the first worker. Not inlined, so that a profiler finds it.
    #[inline(never)]
    pub(crate) fn frames(&mut self, frames: &mut Frames, now: Time, out: &mut Outbox) {
        self.workers[0].handle_frames(self.ports[0], frames, now, out);
        self.workers[0].settle(out, &[]);
    }

    /// Datagrams pass the first worker. Not inlined, either.
    #[inline(never)]
    pub(crate) fn datagrams(&mut self, datagrams: &mut Datagrams, now: Time, out: &mut Outbox) {
        self.workers[0].handle_datagrams(self.underlay, datagrams, now, out);
        self.workers[0].settle(out, &[]);
    }
}

/// The address of a port of this host.
pub(crate) fn own(n: u32) -> Mac {
    let [a, b, c, d] = n.to_be_bytes();
    Mac([0x06, 0, a, b, c, d])
}

/// The address of a destination elsewhere. Neighbours in number are not neighbours in address.
pub(crate) fn tenant(n: u32) -> Mac {
    let [a, b, c, d] = n.wrapping_mul(0x9e37_79b1).to_be_bytes();
    Mac([0x02, 0x08, a, b, c, d])
}

/// The host where a destination is.
pub(crate) fn peer(n: u32) -> Ul3 {
    let [a, b] = (n as u16 % 1000).to_be_bytes();
    Ul3 { ip: [10, 99, a, b].into(), port: Some(4789) }
}

/// A UDP packet of `len` bytes in all from a flow of its own number.
pub(crate) fn frame(source: Mac, destination: Mac, flow: u16, len: usize) -> Vec<u8> {
    let ip_len = u16::try_from(len - 14).unwrap_or(0).to_be_bytes();
    let mut frame = [&destination.0[..], &source.0, &[0x08, 0x00]].concat();
    frame.extend([0x45, 0, ip_len[0], ip_len[1], 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend(flow.to_be_bytes());
    frame.extend([0, 53, 0, 0, 0, 0]);
    frame.resize(len, 0xa5);
    frame
}

/// What a super-frame of [`frame`]'s headers and segments of 1,358 bytes (a packet of 1,386 each) is cut into.
pub(crate) fn super_frame() -> Offload {
    Offload { checksum: Some((34, 6)), segments: Some(Segments { size: 1358, header_len: HEADERS as u16, kind: SegmentKind::Udp }) }
}

/// A batch of frames from the first port.
pub(crate) fn frames_to(destinations: impl Iterator<Item = Mac>, len: usize, offload: Offload) -> Frames {
    let mut frames = Frames::new(BATCH, len);
    for (flow, to) in destinations.take(BATCH).enumerate() {
        assert!(frames.push_copy(&frame(own(0), to, flow as u16, len), offload));
    }
    frames
}

/// A batch of datagrams of this virtual network for `to`.
pub(crate) fn datagrams_to(to: Mac, len: usize) -> Datagrams {
    let mut datagrams = Datagrams::new(BATCH, 8 + len);
    let header = [8, 0, 0, 0, 0, 0, VNI as u8, 0];
    for n in 0..BATCH as u32 {
        let datagram = [&header[..], &frame(tenant(n), to, n as u16, len)].concat();
        assert!(datagrams.push_copy(&datagram, Arrival { from: peer(n), tos: 0, offload: Offload::default() }));
    }
    datagrams
}
