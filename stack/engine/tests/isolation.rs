//! What is dropped, and why? One row for each reason that the engine decides: its counter moves by one, and no other one that should not.
//!
//! A row makes a host, brings it to the edge, and does one thing. Afterwards all counters of the host are compared: what the story
//! counts anyway (frames and datagrams in, lookups asked), and the drop. Rows also say whose counter it is: the device's, or nobody's.

mod common;

use common::*;
use overlay_api::{Answer, DeviceId, DropReason, PortId, Source, UnderlayId};
use overlay_decoder::Mac;
use overlay_decoder::layer::number::ethertype;
use overlay_engine::encap::Registry;
use overlay_engine::ping::{Kind, Ping, SIZE_MIN};
use overlay_engine::{Arrival, Config, Limits, Offload, PortSpec, Search, SetTarget};
use std::collections::BTreeSet;

/// One frame in, of the 15 bytes that [`question`] has.
const ONE_IN: [(&str, i64); 3] = [("frames_in", 1), ("frames_in_bytes", 15), ("frames_in_packets", 1)];

/// A host at the edge.
struct Edge {
    host: Host,
    device: DeviceId,
    port: PortId,
    underlay: UnderlayId,
}

impl Edge {
    fn of(encapsulation: &str, search: Search, properties: &[(&str, &str)], limits: Limits) -> Self {
        let mut host = Host::with(Config { limits, ..Config::default() }, Registry::default());
        let listen = (&*format!("{encapsulation}/listen_ip"), "10.88.0.1");
        let all: Vec<_> = properties.iter().copied().chain([listen]).collect();
        let device = host.device(spec("red", encapsulation, 5077, search, &all));
        let port = host.port(device, "vnic0", mac(1));
        host.open(1500);
        host.attach();
        let underlay = host.underlay(device);
        host.take();
        Self { host, device, port, underlay }
    }

    fn new() -> Self {
        Self::of("vxlan", Search::Dynamic, &[], Limits::default())
    }

    fn vxlan(properties: &[(&str, &str)]) -> Self {
        Self::of("vxlan", Search::Dynamic, properties, Limits::default())
    }

    fn limited(change: impl Fn(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        Self::of("vxlan", Search::Dynamic, &[], limits)
    }

    /// The port's frame to a destination, with one byte of content.
    fn ask(&mut self, to: u32) {
        self.host.frame(self.port, &question(to));
    }

    fn arrives(&mut self, bytes: &[u8]) {
        self.host.datagram(self.underlay, "10.88.0.2:50000", bytes);
    }

    /// The only lookup is answered.
    fn answer(&mut self, answer: Answer) -> bool {
        let request = self.host.done.lookups.last().expect("a question was asked").request;
        self.host.answer(request, answer).is_ok()
    }
}

fn question(to: u32) -> Vec<u8> {
    frame(mac(1), mac(to), &[7])
}

/// A VXLAN datagram with a frame for the port.
fn vxlan(vni: u32, flags: u8, inner: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = vni.to_be_bytes();
    [&[flags, 0, 0, 0, a, b, c, 0][..], inner].concat()
}

fn for_the_port() -> Vec<u8> {
    frame(mac(9), mac(1), &[7; 6])
}

fn ping(kind: Kind) -> Vec<u8> {
    let mut frame = Vec::new();
    Ping { kind, mtu: 0, id: 7, sequence: 1 }.write(SIZE_MIN, &mut frame);
    frame
}

/// Whose counter it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    Device,
    Nobody,
    /// The device's, which is gone.
    Retired,
}

struct Row {
    story: &'static str,
    reason: DropReason,
    whose: Whose,
    /// What is counted beside the drop.
    beside: Vec<(&'static str, i64)>,
    edge: Edge,
    act: Box<dyn FnOnce(&mut Edge)>,
}

fn row(story: &'static str, reason: DropReason, beside: &[(&'static str, i64)], edge: Edge, act: impl FnOnce(&mut Edge) + 'static) -> Row {
    Row { story, reason, whose: Whose::Device, beside: beside.to_vec(), edge, act: Box::new(act) }
}

impl Row {
    fn of(mut self, whose: Whose) -> Self {
        self.whose = whose;
        self
    }
}

/// A datagram of so many bytes in.
fn datagram_in(len: usize) -> [(&'static str, i64); 2] {
    [("datagrams_in", 1), ("datagrams_in_bytes", len as i64)]
}

/// One frame in, one question asked.
fn asked() -> Vec<(&'static str, i64)> {
    [&ONE_IN[..], &[("lookups", 1)]].concat()
}

fn answered() -> Vec<(&'static str, i64)> {
    [&asked()[..], &[("answers", 1)]].concat()
}

fn transmit_rows() -> Vec<Row> {
    use DropReason as R;
    let one = &ONE_IN[..];
    let mut rows = vec![
        row("the port is gone", R::PortGone, one, Edge::new(), |edge| {
            edge.host.control.remove_port(edge.port).unwrap();
            edge.ask(2);
        })
        .of(Whose::Nobody),
        row("the port never was", R::PortGone, one, Edge::new(), |edge| {
            edge.port = PortId(77);
            edge.ask(2);
        })
        .of(Whose::Nobody),
        row("the underlay was lost", R::OverlayDown, one, Edge::new(), |edge| {
            edge.host.control.handle_underlay(edge.underlay, Err("the link is gone".to_owned()), edge.host.now);
            edge.host.drain();
            edge.ask(2);
        }),
        row("the frame is for its own port", R::SelfAddressed, one, Edge::new(), |edge| edge.ask(1)),
        row("drop was set by hand", R::Refused, one, Edge::new(), |edge| {
            let now = edge.host.now;
            edge.host.control.set_target(edge.device, mac(2), &SetTarget::Drop, Source::Static, None, now).unwrap();
            edge.ask(2);
        }),
        row("the lookup is answered with drop", R::Refused, &answered(), Edge::new(), |edge| {
            edge.ask(2);
            assert!(edge.answer(Answer::Drop { ttl_ns: None }));
        }),
        row("nobody answers in time", R::LookupTimeout, &asked(), Edge::new(), |edge| {
            edge.ask(2);
            edge.host.pass(10_000_000_000);
        }),
        row("nobody is there to answer", R::LookupTimeout, &asked(), Edge::new(), |edge| {
            edge.host.control.answerer_lost("gone", edge.host.now);
            edge.ask(2);
            edge.host.pass(10_000_000_000);
        }),
        row(
            "the queue of the entry is full",
            R::PendingFull,
            &twice(&asked()),
            Edge::limited(|l| l.pending_bytes_per_entry = 29),
            |edge| {
                edge.ask(2);
                edge.ask(2);
            },
        ),
        row(
            "the queue of the device is full",
            R::OverlayFull,
            &twice(&asked()),
            Edge::limited(|l| l.pending_bytes_per_device = 29),
            |edge| {
                edge.ask(2);
                edge.ask(2);
            },
        ),
        row("the device may ask no more", R::OverlayFull, &twice(&asked()), Edge::limited(|l| l.lookups_per_device = 1), |edge| {
            edge.ask(2);
            edge.ask(3);
        }),
        row("a broadcast may not ask any more", R::OverlayFull, &twice(&asked()), Edge::limited(|l| l.lookups_per_device = 1), |edge| {
            edge.ask(2);
            edge.host.frame(edge.port, &frame(mac(1), Mac::BROADCAST, &[7]));
        }),
        row("the control half does not keep up", R::MissQueueFull, &twice(one), Edge::limited(|l| l.miss_queue = 1), |edge| {
            let batch = [question(2), question(3)].map(|bytes| (bytes, Offload::default()));
            edge.host.batch(0, edge.port, &batch);
        }),
        row("a broadcast finds the control half busy", R::MissQueueFull, &twice(one), Edge::limited(|l| l.miss_queue = 1), |edge| {
            let batch = [question(2), frame(mac(1), Mac::BROADCAST, &[7])].map(|bytes| (bytes, Offload::default()));
            edge.host.batch(0, edge.port, &batch);
        }),
        row("the table is full of what may not go", R::TableFull, &times(66, one), Edge::vxlan(&[("target/max", "1")]), |edge| {
            // One, and 64 for what workers have in hand.
            let batch: Vec<_> = (0..66).map(|n| (question(100 + n), Offload::default())).collect();
            edge.host.batch(0, edge.port, &batch);
        }),
        row("the entry is removed while the frame waits", R::EntryRemoved, &asked(), Edge::new(), |edge| {
            edge.ask(2);
            assert!(edge.host.control.remove_target(edge.device, mac(2), edge.host.now).unwrap());
        }),
        row("the table is flushed while the frame waits", R::EntryRemoved, &asked(), Edge::new(), |edge| {
            edge.ask(2);
            assert_eq!(edge.host.control.flush(edge.device, false, edge.host.now), Ok(1));
        }),
        row("the device is deleted while the frame waits", R::OverlayRemoved, &asked(), Edge::new(), |edge| {
            edge.ask(2);
            edge.host.control.remove_port(edge.port).unwrap();
            edge.host.control.delete_device(edge.device, edge.host.now).unwrap();
        })
        .of(Whose::Retired),
        row("the device is deleted while the frame is on its way", R::OverlayRemoved, &asked(), Edge::new(), |edge| {
            edge.host.batch(0, edge.port, &[(question(2), Offload::default())]);
            edge.host.control.remove_port(edge.port).unwrap();
            edge.host.control.delete_device(edge.device, edge.host.now).unwrap();
        })
        .of(Whose::Retired),
        row("the device is deleted while a broadcast waits", R::OverlayRemoved, &asked(), Edge::new(), |edge| {
            edge.host.frame(edge.port, &frame(mac(1), Mac::BROADCAST, &[7]));
            edge.host.control.remove_port(edge.port).unwrap();
            edge.host.control.delete_device(edge.device, edge.host.now).unwrap();
        })
        .of(Whose::Retired),
        row("the answer to a broadcast names nobody", R::NoReceiver, &answered(), Edge::new(), |edge| {
            edge.host.frame(edge.port, &frame(mac(1), Mac::BROADCAST, &[7]));
            assert!(edge.answer(Answer::Drop { ttl_ns: None }));
        }),
        row(
            "what was sent in its place is answered so again",
            R::ResendLoop,
            &[&ONE_IN[..], &[("lookups", 2), ("answers", 2), ("answered", 1), ("resent", 1)]].concat(),
            Edge::new(),
            |edge| {
                edge.ask(2);
                for _ in 0..2 {
                    assert!(edge.answer(Answer::Resend(question(2))));
                }
            },
        ),
        row("the device listens in another family now", R::Unreachable, one, Edge::new(), |edge| {
            let there = SetTarget::Reach(vec![ul3("10.88.0.2:4789")]);
            edge.host.control.set_target(edge.device, mac(2), &there, Source::Static, None, edge.host.now).unwrap();
            edge.host.control.set_property(edge.device, "vxlan/listen_ip", "fd00:88::1", edge.host.now).unwrap();
            edge.host.drain();
            edge.host.open(1500);
            edge.ask(2);
        }),
        row("the device listens at the destination now", R::Unreachable, one, Edge::new(), |edge| {
            let there = SetTarget::Reach(vec![ul3("10.88.0.2:4789")]);
            edge.host.control.set_target(edge.device, mac(2), &there, Source::Static, None, edge.host.now).unwrap();
            edge.host.control.set_property(edge.device, "vxlan/listen_ip", "10.88.0.2", edge.host.now).unwrap();
            edge.host.drain();
            edge.host.open(1500);
            edge.ask(2);
        }),
    ];
    for len in 0..14 {
        let beside = [("frames_in", 1), ("frames_in_bytes", len), ("frames_in_packets", 1)];
        rows.push(row("less than an Ethernet header", R::FrameTooShort, &beside, Edge::new(), move |edge| {
            edge.host.frame(edge.port, &question(2)[..len as usize]);
        }));
    }
    for (search, story) in [(Search::Direct, "larger than the device's MTU, to the point"), (Search::Dynamic, "the same, to another port")]
    {
        let own: &[_] = if search == Search::Direct { &[("direct/dest_ip", "10.88.0.2"), ("direct/dest_port", "4789")] } else { &[] };
        let edge = Edge::of("vxlan", search, own, Limits::default());
        let beside = [("frames_in", 1), ("frames_in_bytes", 1415), ("frames_in_packets", 1)];
        rows.push(row(story, R::TooBig, &beside, edge, |edge| {
            edge.host.port(edge.device, "vnic1", mac(2));
            edge.host.frame(edge.port, &frame(mac(1), mac(2), &[7; 1401]));
        }));
    }
    // 1400 fit the device; the underlay takes 1400 with 20 of IP, 8 of UDP, 8 of VXLAN and 14 of Ethernet in it.
    let beside = [&[("frames_in", 1), ("frames_in_bytes", 1365), ("frames_in_packets", 1)][..], &[("lookups", 1), ("answers", 1)]].concat();
    rows.push(row("larger than the underlay takes, after it has waited", R::TooBig, &beside, Edge::new(), |edge| {
        edge.host.control.handle_underlay(edge.underlay, Ok(1400), edge.host.now);
        edge.host.drain();
        edge.host.frame(edge.port, &frame(mac(1), mac(2), &[7; 1351]));
        assert!(edge.answer(Answer::Reach { to: vec![ul3("10.88.0.2:4789")], ttl_ns: None }));
    }));
    rows.push(row("the underlay is lost while the frame waits", R::OverlayDown, &answered(), Edge::new(), |edge| {
        edge.ask(2);
        edge.host.control.handle_underlay(edge.underlay, Err("the link is gone".to_owned()), edge.host.now);
        edge.host.drain();
        assert!(edge.answer(Answer::Reach { to: vec![ul3("10.88.0.2:4789")], ttl_ns: None }));
    }));
    rows.extend(answer_rows());
    rows
}

/// Answers that cannot be used, of each kind.
fn answer_rows() -> Vec<Row> {
    let unusable: [(&str, Answer); 10] = [
        ("no address at all", reach(&[])),
        ("two addresses for one destination", reach(&["10.88.0.2:4789", "10.88.0.3:4789"])),
        ("no port", reach(&["10.88.0.2"])),
        ("another family", reach(&["[fd00::2]:4789"])),
        ("the device's own address", reach(&["10.88.0.1:4789"])),
        ("a multicast address", reach(&["239.1.1.1:4789"])),
        ("no address of anybody", reach(&["0.0.0.0:4789"])),
        ("a frame that is too short to be injected", Answer::Inject(vec![0; 13])),
        ("a frame that is too long to be injected", Answer::Inject(vec![0; 1423])),
        ("a frame that is too short to be sent", Answer::Resend(vec![0; 13])),
    ];
    let edges = unusable.into_iter().map(|(story, answer)| (story, answer, Edge::new()));
    let nvgre = ("a port where there are none", reach(&["10.88.0.2:4789"]), Edge::of("nvgre", Search::Dynamic, &[], Limits::default()));
    edges
        .chain([nvgre])
        .map(|(story, answer, edge)| {
            row(story, DropReason::AnswerInvalid, &answered(), edge, |edge| {
                edge.ask(2);
                assert!(!edge.answer(answer));
            })
        })
        .collect()
}

fn reach(to: &[&str]) -> Answer {
    Answer::Reach { to: to.iter().map(|text| ul3(text)).collect(), ttl_ns: None }
}

fn receive_rows() -> Vec<Row> {
    use DropReason as R;
    let (frame_len, len) = (for_the_port().len(), for_the_port().len() + 8);
    let one = datagram_in(len);
    let strict = || Edge::vxlan(&[("vxlan/reserved_bits", "strict")]);
    let mut rows = vec![
        row("nobody has this VNI", R::UnknownVni, &one, Edge::new(), |edge| edge.arrives(&vxlan(5078, 8, &for_the_port())))
            .of(Whose::Nobody),
        row("there is no I bit", R::HeaderInvalid, &one, Edge::new(), |edge| edge.arrives(&vxlan(5077, 0xf7, &for_the_port())))
            .of(Whose::Nobody),
        row("there is no such underlay", R::OverlayNotReady, &one, Edge::new(), |edge| {
            edge.underlay = UnderlayId(77);
            edge.arrives(&vxlan(5077, 8, &for_the_port()));
        })
        .of(Whose::Nobody),
        row("the underlay was closed", R::OverlayNotReady, &one, Edge::new(), |edge| {
            edge.host.control.set_property(edge.device, "vxlan/listen_port", "4790", edge.host.now).unwrap();
            edge.arrives(&vxlan(5077, 8, &for_the_port()));
        })
        .of(Whose::Nobody),
        row("the underlay is not open", R::OverlayNotReady, &one, Edge::new(), |edge| {
            edge.host.control.handle_underlay(edge.underlay, Err("the link is gone".to_owned()), edge.host.now);
            edge.arrives(&vxlan(5077, 8, &for_the_port()));
        }),
        row("the source is a stranger", R::SourceNotAllowed, &one, Edge::vxlan(&[("vxlan/allowed_sources", "10.88.0.3")]), |edge| {
            edge.arrives(&vxlan(5077, 8, &for_the_port()));
        }),
        row(
            "a stranger's reserved bits are not looked at",
            R::SourceNotAllowed,
            &one,
            Edge::vxlan(&[("vxlan/allowed_sources", "10.88.0.3,fd00::/8"), ("vxlan/reserved_bits", "strict")]),
            |edge| edge.arrives(&vxlan(5077, 0xff, &for_the_port())),
        ),
        row("what was sent came back", R::Loop, &one, Edge::new(), |edge| edge.arrives(&vxlan(5077, 8, &frame(mac(1), mac(2), &[7; 6])))),
        row("nobody has the destination", R::NoPort, &one, Edge::new(), |edge| {
            edge.arrives(&vxlan(5077, 8, &frame(mac(9), mac(2), &[7; 6])))
        }),
        row("a stranger says that he answers", R::PingIgnored, &datagram_in(8 + 14 + 46), Edge::new(), |edge| {
            edge.arrives(&vxlan(5077, 8, &ping(Kind::Answer)));
        }),
        row("pings are not answered", R::PingIgnored, &datagram_in(8 + 14 + 46), Edge::vxlan(&[("ping/answer", "off")]), |edge| {
            edge.arrives(&vxlan(5077, 8, &ping(Kind::Ask)));
        }),
        row("a broadcast finds no port", R::NoPort, &one, Edge::new(), |edge| {
            edge.host.control.remove_port(edge.port).unwrap();
            edge.arrives(&vxlan(5077, 8, &frame(mac(9), Mac::BROADCAST, &[7; 6])));
        }),
        row("the frame is larger than the port takes", R::PortMtu, &datagram_in(8 + 14 + 1001), Edge::new(), |edge| {
            edge.host.control.change_port(edge.port, mac(1), 1000).unwrap();
            edge.arrives(&vxlan(5077, 8, &frame(mac(9), mac(1), &[7; 1001])));
        }),
        row("a broadcast is larger than any port takes", R::PortMtu, &datagram_in(8 + 14 + 1001), Edge::new(), |edge| {
            edge.host.control.change_port(edge.port, mac(1), 1000).unwrap();
            edge.arrives(&vxlan(5077, 8, &frame(mac(9), Mac::BROADCAST, &[7; 1001])));
        }),
        row(
            "a checksum that is only begun",
            R::PartialChecksum,
            &datagram_in(8 + 14 + 28 + 7),
            Edge::of("vxlan", Search::Dynamic, &[("underlay/trust_partial_checksum", "off")], Limits::default()),
            |edge| {
                let mut bytes = udp4(mac(9), mac(1), (1, 2), b"content");
                // The sum of 10.0.0.1, 10.0.0.2, UDP and 15 bytes: RFC 768.
                bytes[40..42].copy_from_slice(&(2 * 0x0a00_u16 + 1 + 2 + 17 + 15).to_be_bytes());
                edge.arrives(&vxlan(5077, 8, &bytes));
            },
        ),
        row("congestion, and nobody who could be told", R::CongestionMark, &datagram_in(8 + 14 + 28), Edge::new(), |edge| {
            let arrival = Arrival { from: ul3("10.88.0.2:50000"), tos: 3, offload: Offload::default() };
            edge.host.datagrams(0, edge.underlay, &[(vxlan(5077, 8, &udp4(mac(9), mac(1), (1, 2), &[])), arrival)]);
        }),
    ];
    for bit in (0..64).filter(|bit| *bit != 4 && !(32..56).contains(bit)) {
        rows.push(row("a reserved bit is set, and the device strict", R::ReservedBits, &one, strict(), move |edge| {
            edge.arrives(&with_bit(vxlan(5077, 8, &for_the_port()), bit));
        }));
    }
    for short in 0..22 {
        rows.push(
            row("shorter than VXLAN and Ethernet", R::DatagramTooShort, &datagram_in(short), Edge::new(), move |edge| {
                edge.arrives(&vxlan(5077, 8, &for_the_port())[..short]);
            })
            .of(Whose::Nobody),
        );
    }
    rows.extend(other_encapsulations(frame_len));
    rows
}

/// Geneve and NVGRE, where they are refused for other reasons.
fn other_encapsulations(frame_len: usize) -> Vec<Row> {
    use DropReason as R;
    let one = datagram_in(frame_len + 8);
    let waited = [&frame_in(14 + 50)[..], &[("lookups", 1), ("answers", 1)]].concat();
    let geneve = |properties: &[(&str, &str)]| Edge::of("geneve", Search::Dynamic, properties, Limits::default());
    let nvgre = |properties: &[(&str, &str)]| Edge::of("nvgre", Search::Dynamic, properties, Limits::default());
    // VNI 5077 is 0x13d5.
    let plain = |head: [u8; 4]| [&head[..], &[0, 0x13, 0xd5, 0], &for_the_port()].concat();
    let with_option = |first: u8, option: [u8; 4]| [&[1, first, 0x65, 0x58, 0, 0x13, 0xd5, 0][..], &option, &for_the_port()].concat();
    let critical = with_option(0x40, [1, 2, 0x80, 0]);
    let reserved = with_option(0, [1, 2, 3, 0x20]);
    let with_option_in = datagram_in(frame_len + 12);
    let mut rows = vec![
        row("a critical option that nobody knows", R::CriticalOption, &with_option_in, geneve(&[]), move |edge| edge.arrives(&critical)),
        row("a reserved bit in an option", R::ReservedBits, &with_option_in, geneve(&[("geneve/reserved_bits", "strict")]), move |edge| {
            edge.arrives(&reserved);
        }),
        row("a reserved bit of Geneve", R::ReservedBits, &one, geneve(&[("geneve/reserved_bits", "strict")]), move |edge| {
            edge.arrives(&plain([0, 1, 0x65, 0x58]));
        }),
        row("a reserved bit of GRE", R::ReservedBits, &one, nvgre(&[("nvgre/reserved_bits", "strict")]), move |edge| {
            edge.arrives(&plain([0x20, 8, 0x65, 0x58]));
        }),
        row("NVGRE from a stranger", R::SourceNotAllowed, &one, nvgre(&[("nvgre/allowed_sources", "10.88.0.3")]), move |edge| {
            edge.arrives(&plain([0x20, 0, 0x65, 0x58]));
        }),
        row(
            "a tag in NVGRE, which takes none",
            R::VlanNotTaken,
            &datagram_in(8 + 14 + 50),
            nvgre(&[("nvgre/inner_vlan", "drop")]),
            move |edge| {
                edge.arrives(&[&[0x20, 0, 0x65, 0x58, 0, 0x13, 0xd5, 0][..], &tagged(9, 1)].concat());
            },
        ),
        row("a tag for NVGRE, which carries none", R::VlanNotCarried, &frame_in(14 + 50), nvgre(&[("nvgre/inner_vlan", "drop")]), |edge| {
            let there = SetTarget::Reach(vec![ul3("10.88.0.2")]);
            edge.host.control.set_target(edge.device, mac(2), &there, Source::Static, None, edge.host.now).unwrap();
            edge.host.drain();
            edge.host.frame(edge.port, &tagged(1, 2));
        }),
        row("a tag for NVGRE, and the frame waited", R::VlanNotCarried, &waited, nvgre(&[("nvgre/inner_vlan", "drop")]), |edge| {
            edge.host.frame(edge.port, &tagged(1, 2));
            edge.host.reach("10.88.0.2");
        }),
        row("Geneve from a stranger", R::SourceNotAllowed, &one, geneve(&[("geneve/allowed_sources", "10.88.0.3")]), move |edge| {
            edge.arrives(&plain([0, 0, 0x65, 0x58]));
        }),
    ];
    let invalid: [(&'static str, Edge, [u8; 4]); 7] = [
        ("Geneve of another version", geneve(&[]), [0x40, 0, 0x65, 0x58]),
        ("Geneve with a message of its own", geneve(&[]), [0, 0x80, 0x65, 0x58]),
        ("Geneve without Ethernet", geneve(&[]), [0, 0, 8, 0]),
        ("Geneve with options beyond its end", geneve(&[]), [63, 0, 0x65, 0x58]),
        ("GRE without a key", nvgre(&[]), [0, 0, 0x65, 0x58]),
        ("GRE with a sequence number", nvgre(&[]), [0x30, 0, 0x65, 0x58]),
        ("GRE without Ethernet", nvgre(&[]), [0x20, 0, 8, 0]),
    ];
    for (story, edge, head) in invalid {
        rows.push(row(story, R::HeaderInvalid, &one, edge, move |edge| edge.arrives(&plain(head))).of(Whose::Nobody));
    }
    for short in 0..22 {
        for (edge, head) in [(geneve(&[]), [0, 0, 0x65, 0x58]), (nvgre(&[]), [0x20, 0, 0x65, 0x58])] {
            rows.push(
                row("shorter than header and Ethernet", R::DatagramTooShort, &datagram_in(short), edge, move |edge| {
                    edge.arrives(&plain(head)[..short]);
                })
                .of(Whose::Nobody),
            );
        }
    }
    rows
}

/// Counters of a frame that came from a port.
fn frame_in(len: i64) -> [(&'static str, i64); 3] {
    [("frames_in", 1), ("frames_in_bytes", len), ("frames_in_packets", 1)]
}

/// A frame of 64 bytes with a tag of 802.1Q.
fn tagged(from: u32, to: u32) -> Vec<u8> {
    [&frame(mac(from), mac(to), &[])[..12], &[0x81, 0, 0, 10, 0x88, 0xb5], &[0; 46]].concat()
}

fn with_bit(mut bytes: Vec<u8>, bit: usize) -> Vec<u8> {
    bytes[bit / 8] |= 0x80 >> (bit % 8);
    bytes
}

/// The same with twice as many frames.
fn twice(counts: &[(&'static str, i64)]) -> Vec<(&'static str, i64)> {
    let frames = counts.iter().map(|(name, count)| (*name, if name.starts_with("frames_in") { 2 * count } else { *count }));
    frames.collect()
}

fn times(n: i64, counts: &[(&'static str, i64)]) -> Vec<(&'static str, i64)> {
    counts.iter().map(|(name, count)| (*name, n * count)).collect()
}

fn all_rows() -> Vec<Row> {
    let mut rows = transmit_rows();
    rows.extend(receive_rows());
    rows
}

#[test]
fn every_reason_has_a_story_in_which_it_is_counted_once_and_nothing_else_is() {
    let mut covered = BTreeSet::new();
    for Row { story, reason, whose, beside, mut edge, act } in all_rows() {
        covered.insert(reason);
        let before = edge.host.counts();
        assert!(before.is_empty(), "{story}: {before:?}");
        act(&mut edge);
        edge.host.drain();
        let counted = edge.host.counts();
        let mut expected: Counts = beside.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        expected.insert(format!("drop {reason}"), 1);
        expected.retain(|_, count| *count != 0);
        let done = edge.host.take();
        if counted != expected || !done.sent.is_empty() || !done.given.is_empty() {
            edge.host.explained();
            let (sent, given) = (done.sent.len(), done.given.len());
            panic!("{story}, {reason}: {counted:?}, not {expected:?}; {sent} sent, {given} given\n{}", edge.host.state());
        }
        let of_device = edge.host.control.device_totals(edge.device).map_or(0, |totals| totals.dropped(reason));
        let of_nobody = edge.host.control.nobodys_totals().dropped(reason);
        let expected = match whose {
            Whose::Device => (1, 0),
            Whose::Nobody => (0, 1),
            Whose::Retired => (0, 0),
        };
        assert_eq!((of_device, of_nobody), expected, "{story}, {reason}: of the device, of nobody");
    }
    let all: BTreeSet<_> = DropReason::ALL.iter().copied().filter(|reason| !LATE.contains(reason)).collect();
    assert_eq!(covered, all, "every reason that the engine decides");
}

#[test]
fn what_the_driver_loses_is_counted_for_device_or_nobody() {
    let mut edge = Edge::new();
    let (mut frames, mut out) = (overlay_engine::Frames::new(1, 100), overlay_engine::Outbox::new());
    let now = edge.host.now;
    let there = SetTarget::Reach(vec![ul3("10.88.0.2:4789")]);
    edge.host.control.set_target(edge.device, mac(2), &there, Source::Static, None, now).unwrap();
    edge.host.drain();
    edge.host.port(edge.device, "vnic1", mac(3));
    for to in [2, 3] {
        frames.push_copy(&question(to), Offload::default());
        edge.host.workers[0].handle_frames(edge.port, &mut frames, now, &mut out);
        frames.clear();
    }
    let worker = &edge.host.workers[0];
    let before = counts_of(&edge.host.control.totals());
    worker.lost(&out.transmits[0], 15, DropReason::SocketFull);
    worker.lost(&out.transmits[0], 15, DropReason::SendFailed);
    worker.settle(&out, &[0]);
    let lost = counts([("drop socket-full", 1), ("drop send-failed", 1), ("drop local-failed", 1)]);
    assert_eq!(grown(&before, &counts_of(&edge.host.control.totals())), lost);
    assert_eq!(edge.host.control.totals().waiting(), 0, "one was sent, before it was lost; nobody took the other");
    let of_port = edge.host.control.port_totals(out.delivers[0].port).unwrap();
    assert_eq!(of_port.dropped(DropReason::LocalFailed), 1);
    // What belongs to a device that is gone is nobody's.
    let ports: Vec<_> = edge.host.control.device(edge.device).unwrap().ports;
    ports.iter().for_each(|port| edge.host.control.remove_port(port.id).unwrap());
    edge.host.control.delete_device(edge.device, now).unwrap();
    let worker = &edge.host.workers[0];
    worker.lost(&out.transmits[0], 15, DropReason::SocketFull);
    worker.settle(&out, &[0]);
    let nobodys = counts_of(&edge.host.control.nobodys_totals());
    assert_eq!(nobodys, counts([("drop socket-full", 1), ("drop local-failed", 1)]));
}

#[test]
fn lenient_devices_take_reserved_bits_and_known_critical_options() {
    let delivered = |mut edge: Edge, bytes: &[u8]| {
        edge.arrives(bytes);
        edge.host.take().given.into_iter().map(|delivery| delivery.bytes).collect::<Vec<_>>() == [for_the_port()]
    };
    for bit in (0..64).filter(|bit| *bit != 4 && !(32..56).contains(bit)) {
        assert!(delivered(Edge::new(), &with_bit(vxlan(5077, 8, &for_the_port()), bit)), "bit {bit}");
    }
    let critical = [&[1, 0x40, 0x65, 0x58, 0, 0x13, 0xd5, 0, 1, 2, 0x80, 0][..], &for_the_port()].concat();
    let own = Edge::of("geneve", Search::Dynamic, &[("geneve/options", "0102:80:")], Limits::default());
    assert!(delivered(own, &critical));
}

#[test]
fn equal_addresses_in_two_networks_do_not_meet() {
    let mut host = Host::new();
    let ports = [("red", 1001), ("blue", 1002)].map(|(name, vni)| {
        let device = host.device(spec(name, "vxlan", vni, Search::Dynamic, &[("vxlan/listen_ip", "10.88.0.1")]));
        let first = host.port(device, "vnic0", mac(1));
        (device, first, host.port(device, "vnic1", mac(2)))
    });
    host.open(1500);
    host.attach();
    let [(red, red_port, red_other), (blue, blue_port, blue_other)] = ports;
    assert_eq!(host.underlay(red), host.underlay(blue));
    // Local switching stays in the network.
    host.frame(red_port, &question(2));
    host.frame(blue_port, &frame(mac(1), Mac::BROADCAST, &[8]));
    let given: Vec<_> = host.take().given.iter().map(|delivery| delivery.port).collect();
    assert_eq!(given, [red_other, blue_other]);
    // What one knows, the other one asks.
    host.frame(red_port, &question(3));
    host.reach("10.88.0.2:4789");
    host.take();
    host.frame(blue_port, &question(3));
    let done = host.take();
    assert_eq!((done.sent.len(), done.lookups.len(), done.lookups[0].device, done.lookups[0].vni.get()), (0, 1, blue, 1002));
    // What arrives is for the network that its header says.
    let underlay = host.underlay(red);
    for (vni, port) in [(1001, red_port), (1002, blue_port)] {
        let before = [red, blue].map(|device| host.device_counts(device));
        host.datagram(underlay, "10.88.0.2:50000", &vxlan(vni, 8, &for_the_port()));
        assert_eq!(host.take().given.iter().map(|delivery| delivery.port).collect::<Vec<_>>(), [port]);
        let after = [red, blue].map(|device| host.device_counts(device));
        let other = usize::from(vni == 1001);
        assert_eq!(before[other], after[other], "the other one counts nothing");
    }
}

#[test]
fn a_port_of_a_network_is_not_found_from_a_device_without_ports() {
    let mut edge = Edge::new();
    let spec = spec("blue", "vxlan", 5078, Search::Dynamic, &[("vxlan/listen_ip", "10.88.0.1")]);
    let blue = edge.host.device(spec);
    edge.arrives(&vxlan(5078, 8, &for_the_port()));
    assert!(edge.host.take().given.is_empty());
    let expected = counts([("datagrams_in", 1), ("datagrams_in_bytes", 28), ("drop no-port", 1)]);
    assert_eq!((edge.host.device_counts(blue), edge.host.device_counts(edge.device)), (expected, counts([])));
    // The same address may be there in both, but not twice in one.
    let port = PortSpec { name: "vnic0".to_owned(), mac: mac(1), mtu: 1400 };
    assert!(edge.host.control.add_port(blue, &port).is_ok());
    assert!(edge.host.control.add_port(blue, &PortSpec { name: "vnic1".to_owned(), ..port }).is_err());
}

#[test]
fn the_ethertype_is_nobodys_business() {
    // ARP, IPv4, a length, LLDP, and one that nobody knows: all of them are carried.
    for kind in [ethertype::ARP, ethertype::IPV4, 3, 0x88cc, 0xffff] {
        let mut edge = Edge::new();
        edge.host.frame(edge.port, &frame_of(mac(1), mac(2), kind, &[1, 2, 3]));
        edge.host.reach("10.88.0.2:4789");
        assert_eq!(edge.host.take().sent.len(), 1, "{kind:#06x}");
    }
}
