//! The headers that the engine writes, from the RFCs' figures, and the outer header's fields.

use super::common::{Host, frame, mac, spec, udp4, udp6};
use super::{ENCAPSULATIONS, Line, VNI, arp, complaint, ip_frame, tagged};
use overlay_decoder::LinkType;
use overlay_engine::encap::Registry;
use overlay_engine::{Config, Offload, OuterHeader, Search, SegmentKind, Segments, Sending, Time};
use std::collections::{BTreeMap, BTreeSet};

fn header(sending: &Sending) -> &[u8] {
    &sending.bytes[..sending.header_len.into()]
}

/// Sends a frame both ways, by a worker and (the first frame to a destination) by the control half, and says what both have written.
fn both(encapsulation: &str, vni: u32, v6: bool, set: &[(&str, &str)], bytes: &[u8]) -> Sending {
    let by_worker = Line::direct(encapsulation, vni, v6, 9000, set).send(bytes, Offload::default());
    let by_control = Line::dynamic(encapsulation, vni, v6, 9000, set).send_late(bytes);
    assert_eq!((&by_worker.bytes, by_worker.outer), (&by_control.bytes, by_control.outer), "{encapsulation}: worker and control half");
    by_worker
}

#[test]
fn every_byte_of_the_headers_is_that_of_the_rfc() {
    let content = frame(mac(1), mac(2), b"x");
    for v6 in [false, true] {
        // RFC 7348 5: I alone is set, 24 bits reserved, VNI, 8 bits reserved.
        assert_eq!(header(&both("vxlan", VNI, v6, &[], &content)), [0x08, 0, 0, 0, 0x00, 0x13, 0x89, 0]);
        // RFC 8926 3.4: version 0, no options, neither O nor C, 0x6558, VNI, 8 bits reserved.
        assert_eq!(header(&both("geneve", VNI, v6, &[], &content)), [0, 0, 0x65, 0x58, 0x00, 0x13, 0x89, 0]);
        // RFC 8926 3.5: class, type, words of data, data. The second is critical (top bit of its type), so C is set.
        let options = [("geneve/options", "0103:01:00000001,0129:81:0011223344556677")];
        #[rustfmt::skip]
        assert_eq!(header(&both("geneve", VNI, v6, &options, &content)), [
            0x05, 0x40, 0x65, 0x58, 0x00, 0x13, 0x89, 0,
            0x01, 0x03, 0x01, 1, 0, 0, 0, 1,
            0x01, 0x29, 0x81, 2, 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
        ]);
        // RFC 7637 3.2: K alone is set, version 0, 0x6558, VSID; the last byte is the flow's.
        assert_eq!(header(&both("nvgre", VNI, v6, &[], &content))[..7], [0x20, 0, 0x65, 0x58, 0x00, 0x13, 0x89]);
    }
}

#[test]
fn the_first_and_the_last_network_are_networks() {
    for (encapsulation, at, vnis) in [("vxlan", 4, [0, 0xff_ffff]), ("geneve", 4, [0, 0xff_ffff]), ("nvgre", 4, [0x1000, 0xff_fffe])] {
        for vni in vnis {
            let sending = both(encapsulation, vni, false, &[], &arp());
            assert_eq!(header(&sending)[at..at + 3], vni.to_be_bytes()[1..], "{encapsulation} {vni}");
            // What one host sends, another takes.
            let mut other = Line::direct(encapsulation, vni, false, 9000, &[]);
            let back = [header(&sending), &super::answered(&arp())].concat();
            assert_eq!(other.receive(&back, 0), Some(super::answered(&arp())), "{encapsulation} {vni}");
        }
    }
}

#[test]
fn networks_that_nvgre_reserves_are_refused() {
    let mut host = Host::new();
    let mut refused = |vni: u32| {
        let before = host.state();
        let said = host.control.create_device(spec("red", "nvgre", vni, Search::Dynamic, &[("nvgre/listen_ip", "192.0.2.1")]), Time(1));
        assert_eq!(host.state(), before, "nothing has changed");
        said.unwrap_err().to_string()
    };
    for vni in [0, 1, 0x0fff, 0xff_ffff] {
        let expected = format!("property vnetid: vni {vni}: NVGRE reserves it (RFC 7637 3.2); 4096 to 16777214 is allowed");
        assert_eq!(refused(vni), expected);
    }
    // Nor does a running device get there.
    let mut line = Line::direct("nvgre", VNI, false, 9000, &[]);
    for vni in ["4095", "16777215"] {
        let before = line.host.state();
        let said = line.host.control.set_property(line.device, "vnetid", vni, Time(2)).unwrap_err().to_string();
        assert!(said.starts_with(&format!("property vnetid: vni {vni}: NVGRE reserves it")), "{said}");
        assert_eq!(line.host.state(), before, "nothing has changed");
        assert_eq!(header(&line.send(&arp(), Offload::default()))[4..7], [0x00, 0x13, 0x89]);
    }
}

/// Where a flow goes by, so far as the underlay can tell.
fn path(line: &mut Line, bytes: &[u8], offload: Offload) -> (u16, u32, u8) {
    let sending = line.send(bytes, offload);
    let flow_id = header(&sending).last().copied().filter(|_| sending.outer.to.port.is_none()).unwrap_or(0);
    (sending.outer.source_port, sending.outer.flow_label, flow_id)
}

#[test]
fn a_flow_keeps_its_way_and_many_flows_take_many() {
    for encapsulation in ENCAPSULATIONS {
        let mut line = Line::direct(encapsulation, VNI, true, 9000, &[]);
        let mut paths = BTreeSet::new();
        for source in 0..500 {
            let ports = (20_000 + source, 443);
            let (v4, v6) = (udp4(mac(1), mac(2), ports, &[1; 100]), udp6(mac(1), mac(2), ports, &[1; 100]));
            for bytes in [v4, v6] {
                let once = path(&mut line, &bytes, Offload::default());
                assert!(once.0 >= 49152 && (1..1 << 20).contains(&once.1), "RFC 7348 5, RFC 6437 2: {once:?}");
                // The same flow with more to say, in another class, behind tags, as a super-frame, later.
                let mut more = bytes.clone();
                more.extend([7; 1000]);
                if bytes[12] == 0x86 {
                    more[15] |= 0x40;
                } else {
                    (more[15], more[18]) = (0xb8, 0x77);
                }
                let segments = Some(Segments { size: 500, header_len: if bytes[12] == 0x86 { 62 } else { 42 }, kind: SegmentKind::Udp });
                line.host.now = line.host.now + 1_000_000;
                assert_eq!(path(&mut line, &more, Offload { checksum: None, segments }), once);
                assert_eq!(path(&mut line, &tagged(&more, &[7, 8]), Offload::default()), once);
                paths.insert(once);
            }
        }
        // Of 1000 flows about 970 have a port of their own among 16384, and 250 of 256 FlowIDs are in use.
        let distinct = |of: fn(&(u16, u32, u8)) -> u32| paths.iter().map(of).collect::<BTreeSet<_>>().len();
        assert!(distinct(|path| path.0.into()) > 900, "{encapsulation}: {} source ports", distinct(|path| path.0.into()));
        assert!(distinct(|path| path.1) > 950, "{encapsulation}: {} flow labels", distinct(|path| path.1));
        let flow_ids = distinct(|path| path.2.into());
        assert!(if encapsulation == "nvgre" { flow_ids > 220 } else { flow_ids == 1 }, "{encapsulation}: {flow_ids} FlowIDs");
    }
}

#[test]
fn the_ports_stay_where_the_operator_wants_them_and_the_seed_deals_them() {
    let set = [("outer/srcport_min", "50000"), ("outer/srcport_max", "50003")];
    let ports_with = |seed: u64| -> Vec<u16> {
        let host = Host::with(Config { seed, ..Config::default() }, Registry::default());
        let mut line = Line::on(host, "vxlan", VNI, false, 9000, Search::Direct, &set);
        (0..64).map(|source| line.send(&udp4(mac(1), mac(2), (source, 53), b""), Offload::default()).outer.source_port).collect()
    };
    let one = ports_with(1);
    assert_eq!(one.iter().copied().collect::<BTreeSet<_>>(), (50000..=50003).collect());
    assert_eq!(ports_with(1), one, "equal seeds, equal ports");
    assert_ne!(ports_with(2), one, "what a tenant cannot know");
}

#[test]
fn class_marks_hops_and_df_are_as_the_properties_say() {
    let dscps = [("inherit", None), ("0", Some(0)), ("46", Some(46)), ("63", Some(63))];
    for (dscp, fixed) in dscps {
        for (ecn, copies) in [("normal", true), ("compatibility", false)] {
            for (ttl, df) in [("1", "set"), ("255", "clear"), ("64", "set")] {
                let set = [("outer/dscp", dscp), ("outer/ecn", ecn), ("outer/ttl", ttl), ("outer/df", df)];
                let mut line = Line::direct("geneve", VNI, false, 9000, &set);
                let mut check = |bytes: &[u8], inner: Option<u8>| {
                    let OuterHeader { tos, ttl: hops, dont_fragment, .. } = line.send(bytes, Offload::default()).outer;
                    let class = fixed.unwrap_or(inner.unwrap_or(0) >> 2);
                    let marks = if copies { inner.unwrap_or(0) & 3 } else { 0 };
                    assert_eq!(
                        (tos, hops.to_string().as_str(), dont_fragment),
                        (class << 2 | marks, ttl, df == "set"),
                        "{set:?} {inner:?}"
                    );
                };
                for tos in (0..=u8::MAX).step_by(if ttl == "64" { 1 } else { 37 }) {
                    check(&ip_frame(false, &[], tos, 60), Some(tos));
                    check(&ip_frame(true, &[5, 6], tos, 60), Some(tos));
                }
                check(&arp(), None);
            }
        }
    }
}

#[test]
fn whole_outer_packets_carry_these_fields_and_our_decoder_has_nothing_to_say() {
    for encapsulation in ENCAPSULATIONS {
        for v6 in [false, true] {
            let mut line = Line::direct(encapsulation, VNI, v6, 9000, &[("outer/ttl", "7"), ("outer/dscp", "10"), ("outer/df", "clear")]);
            for inner in [ip_frame(false, &[], 1, 100), ip_frame(true, &[9], 2, 100), arp()] {
                let sending = line.send(&inner, Offload::default());
                let packet = line.packet(&sending);
                assert_eq!(complaint(&packet, LinkType::RAW), None, "{encapsulation} {packet:02x?}");
                let tos = if v6 { packet[0] << 4 | packet[1] >> 4 } else { packet[1] };
                let label = u32::from_be_bytes([0, packet[1] & 0x0f, packet[2], packet[3]]);
                assert_eq!((tos, packet[if v6 { 7 } else { 8 }]), (sending.outer.tos, 7));
                assert_eq!(if v6 { label } else { packet[6].into() }, if v6 { sending.outer.flow_label } else { 0 }, "label; DF");
            }
        }
    }
}

#[test]
fn a_replication_list_gets_equal_packets() {
    let mut line = Line::dynamic("vxlan", VNI, false, 9000, &[]);
    let mut to_all = arp();
    to_all[..6].fill(0xff);
    line.host.frame(line.port, &to_all);
    let request = line.host.take().lookups[0].request;
    let to: Vec<_> = (2..10).map(|host| super::common::ul3(&format!("192.0.2.{host}:4789"))).collect();
    line.host.answer(request, overlay_api::Answer::Reach { to: to.clone(), ttl_ns: None }).unwrap();
    let done = line.host.take();
    assert_eq!(done.sent.iter().map(|sending| sending.outer.to).collect::<Vec<_>>(), to);
    let rest: BTreeMap<_, _> = done.sent.iter().map(|sending| ((&sending.bytes, sending.outer.source_port), sending.outer.tos)).collect();
    assert_eq!(rest.len(), 1, "one flow");
}
