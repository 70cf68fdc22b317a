//! Who has really got a frame? What ports do not take is counted as dropped, and as nothing else.

mod common;

use common::{Counts, Host, counts, counts_of, frame, grown, mac, spec, udp4, ul3};
use overlay_api::{DeviceId, PortId};
use overlay_decoder::Mac;
use overlay_engine::{Arrival, Datagrams, Frames, Offload, Outbox, Output, PortSpec, Search, Time};

const EVERYONE: Mac = Mac([0xff; 6]);
const NOW: Time = Time(1_000_000);

/// A device with two ports, whose driver reports which deliveries were in vain.
struct Pair {
    host: Host,
    device: DeviceId,
    ports: [PortId; 2],
}

impl Pair {
    fn new() -> Self {
        let mut host = Host::new();
        let given = [("vxlan/listen_ip", "10.88.0.1"), ("direct/dest_ip", "10.88.0.2"), ("direct/dest_port", "4789")];
        let device = host.device(spec("red", "vxlan", 5077, Search::Direct, &given));
        let ports = [1, 2].map(|number| host.port(device, &format!("vnic{number}"), mac(number)));
        host.open(1500);
        Self { host, device, ports }
    }

    /// What device and ports have counted since `before`.
    fn since(&self, before: &[Counts; 3]) -> [Counts; 3] {
        let now = self.now();
        [0, 1, 2].map(|index| grown(&before[index], &now[index]))
    }

    fn now(&self) -> [Counts; 3] {
        let port = |index: usize| counts_of(&self.host.control.port_totals(self.ports[index]).unwrap());
        [self.host.device_counts(self.device), port(0), port(1)]
    }

    /// A datagram comes, and the deliveries at these places are in vain.
    fn receive(&mut self, inner: &[u8], untaken: &[u32]) -> [Counts; 3] {
        let (mut datagrams, mut out, before) = (Datagrams::new(1, 2000), Outbox::new(), self.now());
        let arrival = Arrival { from: ul3("10.88.0.2:4789"), tos: 0, offload: Offload::default() };
        assert!(datagrams.push_copy(&[&[8, 0, 0, 0, 0, 0x13, 0xd5, 0], inner].concat(), arrival));
        let (underlay, worker) = (self.host.underlay(self.device), &mut self.host.workers[0]);
        worker.handle_datagrams(underlay, &mut datagrams, NOW, &mut out);
        assert_eq!(self.now()[0].get("delivered"), before[0].get("delivered"), "not before it is known");
        self.host.workers[0].settle(&out, untaken);
        self.since(&before)
    }

    /// The first port gives a frame, likewise.
    fn send(&mut self, frame: &[u8], untaken: &[u32]) -> [Counts; 3] {
        let (mut frames, mut out, before) = (Frames::new(1, 2000), Outbox::new(), self.now());
        assert!(frames.push_copy(frame, Offload::default()));
        self.host.workers[0].handle_frames(self.ports[0], &mut frames, NOW, &mut out);
        self.host.workers[0].settle(&out, untaken);
        self.since(&before)
    }
}

#[test]
fn a_datagram_is_delivered_if_one_port_took_it() {
    let mut pair = Pair::new();
    let broadcast = frame(mac(9), EVERYONE, b"to all");
    let (len, inner) = ((broadcast.len() + 8) as i64, broadcast.len() as i64);
    let came = [("datagrams_in", 1), ("datagrams_in_bytes", len)];
    let (took, missed) = (counts([("frames_out", 1), ("frames_out_bytes", inner)]), counts([("drop deliver-failed", 1)]));
    let all = [came[0], came[1], ("delivered", 1), ("frames_out", 2), ("frames_out_bytes", 2 * inner)];
    assert_eq!(pair.receive(&broadcast, &[]), [counts(all), took.clone(), took.clone()]);
    let one = [came[0], came[1], ("delivered", 1), ("frames_out", 1), ("frames_out_bytes", inner)];
    assert_eq!(pair.receive(&broadcast, &[1]), [counts(one), took, missed.clone()]);
    let none = [came[0], came[1], ("drop deliver-failed", 1)];
    assert_eq!(pair.receive(&broadcast, &[0, 1]), [counts(none), missed.clone(), missed.clone()]);
    let unicast = frame(mac(9), mac(2), b"to all");
    assert_eq!(pair.receive(&unicast, &[0]), [counts(none), Counts::new(), missed]);
    pair.host.explained();
}

#[test]
fn a_frame_for_another_port_is_local_if_that_took_it() {
    let mut pair = Pair::new();
    let bytes = frame(mac(1), mac(2), b"to the neighbour");
    let len = bytes.len() as i64;
    let came = [("frames_in", 1), ("frames_in_bytes", len), ("frames_in_packets", 1)];
    let [device, from, to] = pair.send(&bytes, &[]);
    assert_eq!(device, counts([came[0], came[1], came[2], ("local", 1), ("frames_out", 1), ("frames_out_bytes", len)]));
    assert_eq!((from, to), (counts(came), counts([("frames_out", 1), ("frames_out_bytes", len)])));
    let [device, from, to] = pair.send(&bytes, &[0]);
    assert_eq!(device, counts([came[0], came[1], came[2], ("drop local-failed", 1)]));
    assert_eq!((from, to), (counts(came), counts([("drop local-failed", 1)])));
    assert_eq!(pair.host.control.totals().waiting(), 0);
    // A copy of what goes to the underlay too is the port's loss alone.
    let [device, _, to] = pair.send(&frame(mac(1), EVERYONE, b"to all"), &[0]);
    assert_eq!((device.get("sent"), device.get("drop local-failed")), (Some(&1), None));
    assert_eq!(to, counts([("drop local-failed", 1)]));
    pair.host.explained();
}

#[test]
fn what_the_engine_made_counts_if_it_was_taken() {
    let mut pair = Pair::new();
    let large = udp4(mac(1), mac(7), (9, 9), &[0; 1400]);
    let [device, from, _] = pair.send(&large, &[]);
    assert_eq!([device.get("made"), from.get("made"), device.get("drop too-big")], [Some(&1); 3]);
    let [device, from, _] = pair.send(&large, &[0]);
    assert_eq!((device.get("made"), from.get("made")), (None, None));
    assert_eq!((device.get("drop deliver-failed"), from.get("drop deliver-failed")), (None, Some(&1)), "no datagram was lost");
    pair.host.explained();
}

#[test]
fn the_control_half_counts_alike() {
    let mut pair = Pair::new();
    let before = pair.now();
    pair.host.control.inject(pair.device, &frame(mac(9), mac(1), b"injected")).unwrap();
    let Some(Output::Deliver(injected)) = pair.host.control.poll_output(NOW) else { panic!("it is delivered") };
    pair.host.control.undelivered(&injected);
    assert_eq!(pair.since(&before), [Counts::new(), counts([("drop deliver-failed", 1)]), Counts::new()]);
    // As if a port had sent it.
    pair.host.control.resend(pair.device, &frame(mac(9), mac(2), b"resent"), NOW).unwrap();
    while let Some(output) = pair.host.control.poll_output(NOW) {
        if let Output::Deliver(delivery) = output {
            pair.host.control.undelivered(&delivery);
        }
    }
    let [device, _, to] = pair.since(&before);
    assert_eq!(device, counts([("resent", 1), ("drop local-failed", 1)]));
    assert_eq!(to, counts([("drop local-failed", 1)]));
    pair.host.explained();
}

#[test]
fn a_plugin_gives_a_port_no_more_than_it_takes() {
    let mut pair = Pair::new();
    let small = pair.host.control.add_port(pair.device, &PortSpec { name: "small".into(), mac: mac(3), mtu: 600 }).unwrap();
    let inject = |pair: &mut Pair, to: Mac, len: usize| pair.host.control.inject(pair.device, &frame(mac(9), to, &vec![0; len]));
    assert_eq!(inject(&mut pair, mac(3), 600), Ok(()));
    let refused = inject(&mut pair, mac(3), 601).unwrap_err().to_string();
    assert_eq!(refused, "overlay red: a frame with a packet of 601 bytes; at most 600 are allowed, the MTU of VNIC small");
    // A broadcast goes to those that take it.
    assert_eq!(inject(&mut pair, EVERYONE, 1000), Ok(()));
    let mut takers = Vec::new();
    while let Some(output) = pair.host.control.poll_output(NOW) {
        if let Output::Deliver(delivery) = output {
            takers.push(delivery.port);
        }
    }
    assert_eq!(takers, [small, pair.ports[0], pair.ports[1]]);
    pair.host.explained();
}
