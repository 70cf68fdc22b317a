//! What does a fourth encapsulation take? This file: the encapsulation *plain*, which no RFC knows, straight on IP.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |      'P'      |    Colour     |   Padding     |   Flow        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                Network                        |       0       |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |              `Padding` words of 4 bytes ...                   |
//! ```
//!
//! It has two properties of its own, its colour and its padding, and where it listens, which every encapsulation has.

mod common;
#[path = "common/net.rs"]
mod net;

use common::*;
use net::{Net, Scenario};
use overlay_api::{Access, DropReason, Kind, Properties, PropertyError, PropertySpec, Value};
use overlay_decoder::Vni;
use overlay_engine::encap::{Carrier, Codec, Decap, Encapsulation, Registry};
use overlay_engine::outer::Family;
use overlay_engine::{Config, Search};
use std::net::IpAddr;
use std::sync::Arc;

static PROPERTIES: [PropertySpec; 3] = [
    PropertySpec::new("plain/listen_ip", Kind::Ip, Access::Live, None, "Where packets are sent from and received on.").required(),
    PropertySpec::new(
        "plain/colour",
        Kind::Uint { min: 0, max: 255 },
        Access::Live,
        Some("7"),
        "The colour of the packets that are sent, and of those that are taken.",
    ),
    PropertySpec::new("plain/padding", Kind::Uint { min: 0, max: 16 }, Access::Live, Some("0"), "Words of nothing behind the header."),
];

/// Bytes of the header without padding.
const LENGTH: usize = 8;
/// For experiments (RFC 3692 2.1).
const PROTOCOL: u8 = 253;

#[derive(Debug)]
struct Plain;

impl Encapsulation for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn carrier(&self) -> Carrier {
        Carrier::Ip(PROTOCOL)
    }

    fn check_vni(&self, vni: Vni) -> Result<(), String> {
        if vni.get() == 13 { Err("13 brings bad luck; any other one is allowed".to_owned()) } else { Ok(()) }
    }

    fn properties(&self) -> &[PropertySpec] {
        &PROPERTIES
    }

    fn compile(&self, vni: Vni, properties: &Properties) -> Result<Box<dyn Codec>, PropertyError> {
        let number = |spec: &PropertySpec| match properties.effective(spec) {
            Some(Value::Uint(number)) => number as u8,
            _ => 0,
        };
        Ok(Box::new(Device { vni, colour: number(&PROPERTIES[1]), padding: number(&PROPERTIES[2]) }))
    }

    fn decap(&self, datagram: &[u8]) -> Result<Decap, DropReason> {
        let [magic, _, padding, _, a, b, c, _] = datagram.first_chunk::<LENGTH>().ok_or(DropReason::DatagramTooShort)?;
        let header_len = LENGTH + 4 * usize::from(*padding);
        match Vni::new(u32::from_be_bytes([0, *a, *b, *c])) {
            Some(vni) if *magic == b'P' && datagram.len() >= header_len + 14 => Ok(Decap { vni, header_len }),
            _ if *magic == b'P' => Err(DropReason::DatagramTooShort),
            _ => Err(DropReason::HeaderInvalid),
        }
    }
}

#[derive(Debug)]
struct Device {
    vni: Vni,
    colour: u8,
    padding: u8,
}

impl Codec for Device {
    fn header_len(&self) -> usize {
        LENGTH + 4 * usize::from(self.padding)
    }

    fn write(&self, header: &mut [u8], flow: u32) {
        let [_, a, b, c] = self.vni.get().to_be_bytes();
        let fixed = [b'P', self.colour, self.padding, flow as u8, a, b, c, 0];
        for (place, byte) in header.iter_mut().zip(fixed.into_iter().chain(std::iter::repeat(0))) {
            *place = byte;
        }
    }

    fn check(&self, header: &[u8], _: IpAddr) -> Result<(), DropReason> {
        if header.get(1) == Some(&self.colour) { Ok(()) } else { Err(DropReason::SourceNotAllowed) }
    }
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.register(Arc::new(Plain));
    registry
}

#[test]
fn it_passes_the_pair_test_in_every_weather() {
    for seed in 1..4 {
        for family in [Family::V4, Family::V6] {
            let calm = || {
                let mut scenario = Scenario::calm("plain", family, seed);
                scenario.registry = registry();
                scenario.properties = vec![("plain/padding".to_owned(), (seed * 3).to_string())];
                scenario
            };
            let run = |scenario| {
                let mut net = Net::new(scenario);
                net.run();
                net
            };
            run(calm());
            run(Scenario { calm: false, loss: 10, reordering: true, ..calm() });
            let small = run(Scenario { link_mtu: 1300, reports: true, ..calm() });
            assert!(small.wire.oversize > 0 && small.told > 0);
        }
    }
}

/// What one host sends, given to another one as it is.
fn carried(from: &mut Host, to: &mut Host) -> bool {
    let underlay = to.control.underlays().next().unwrap().id;
    let sent = from.take().sent;
    let [sending] = &sent[..] else { panic!("one datagram is sent: {sent:?}") };
    assert_eq!(sending.outer.to.port, None, "there are no ports");
    to.datagram(underlay, "10.88.0.1", &sending.bytes);
    !to.take().given.is_empty()
}

#[test]
fn its_properties_are_shown_and_change_while_frames_pass() {
    let mut hosts = [1, 2].map(|number| {
        let mut host = Host::with(Config::default(), registry());
        let (here, there) = (format!("10.88.0.{number}"), format!("10.88.0.{}", 3 - number));
        let device = host.device(spec("red", "plain", 77, Search::Direct, &[("plain/listen_ip", &here), ("direct/dest_ip", &there)]));
        let port = host.port(device, "vnic0", mac(number));
        host.open(1500);
        (host, device, port)
    });
    let [(a, device, port), (b, other, _)] = &mut hosts;
    let specs = a.control.property_specs("plain", Search::Direct).unwrap();
    let names: Vec<_> = specs.iter().map(|spec| &*spec.name).collect();
    for spec in &PROPERTIES {
        assert!(specs.contains(spec), "{} is not among {names:?}", spec.name);
    }
    let absent = ["direct/dest_port", "outer/srcport_min", "outer/srcport_max", "plain/listen_port", "vxlan/listen_ip"];
    assert!(absent.iter().all(|name| !names.contains(name)), "{names:?}");
    let encap = specs.iter().find(|spec| spec.name == "encap").unwrap();
    assert_eq!(encap.kind.to_string(), "vxlan,geneve,nvgre,plain");

    let hello = frame(mac(1), mac(2), b"hello");
    a.frame(*port, &hello);
    assert_eq!(a.done.sent[0].bytes[..8], [b'P', 7, 0, a.done.sent[0].bytes[3], 0, 0, 77, 0]);
    assert!(carried(a, b));
    let (now, before) = (a.now, a.device_counts(*device));
    a.control.set_property(*device, "plain/colour", "9", now).unwrap();
    a.control.set_property(*device, "plain/padding", "16", now).unwrap();
    assert_eq!(a.control.property(*device, "plain/colour"), Ok(Some("9".to_owned())));
    assert_eq!(a.device_counts(*device), before, "counters stay");
    a.frame(*port, &hello);
    assert_eq!(a.done.sent[0].header_len, 72);
    assert!(!carried(a, b), "the other one has another colour");
    assert_eq!(b.control.device_totals(*other).unwrap().dropped(DropReason::SourceNotAllowed), 1);
    b.control.set_property(*other, "plain/colour", "9", now).unwrap();
    a.frame(*port, &hello);
    assert!(carried(a, b));
    a.control.reset_property(*device, "plain/padding", now).unwrap();
    a.frame(*port, &hello);
    assert_eq!(a.done.sent[0].header_len, 8);
    assert!(carried(a, b));
    // What is wrong is said as for the others.
    let said = a.control.set_property(*device, "plain/padding", "17", now).unwrap_err().to_string();
    assert_eq!(said, "property plain/padding: \"17\" is not allowed; 0-16 is");
    let said = a.control.set_property(*device, "vnetid", "13", now).unwrap_err().to_string();
    assert_eq!(said, "property vnetid: 13 brings bad luck; any other one is allowed");
}

#[test]
fn padding_takes_room_from_the_underlay() {
    let mut host = Host::with(Config::default(), registry());
    let properties = [("plain/listen_ip", "10.88.0.1"), ("direct/dest_ip", "10.88.0.2"), ("plain/padding", "16"), ("mtu", "1500")];
    let device = host.device(spec("red", "plain", 77, Search::Direct, &properties));
    let port = host.port(device, "vnic0", mac(1));
    host.open(1500);
    let largest = 1500 - 20 - 72 - 14;
    host.frame(port, &frame(mac(1), mac(2), &vec![7; largest]));
    assert_eq!(host.take().sent.len(), 1);
    host.frame(port, &frame(mac(1), mac(2), &vec![7; largest + 1]));
    assert_eq!((host.take().sent.len(), host.control.totals().dropped(DropReason::TooBig)), (0, 1));
    host.control.reset_property(device, "plain/padding", host.now).unwrap();
    host.frame(port, &frame(mac(1), mac(2), &vec![7; largest + 64]));
    assert_eq!(host.take().sent.len(), 1);
}
