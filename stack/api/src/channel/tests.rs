use super::*;
use crate::{Answer, DeviceId, Lookup, Question, RequestId};
use overlay_decoder::{Mac, Ul3, Vni};
use proptest::prelude::*;
use std::net::IpAddr;

fn mac() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_map(Mac)
}

fn ul3() -> impl Strategy<Value = Ul3> {
    // An IPv6 address that an IPv4 one is mapped to is that IPv4 address on the way.
    (any::<IpAddr>(), proptest::option::of(1_u16..)).prop_map(|(ip, port)| Ul3 { ip: ip.to_canonical(), port })
}

fn ttl() -> impl Strategy<Value = Option<u64>> {
    proptest::option::of((0..u64::MAX / 1_000_000).prop_map(|ms| ms * 1_000_000))
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..200)
}

fn lookup() -> impl Strategy<Value = Lookup> {
    let question = (mac(), mac(), any::<u16>(), proptest::option::of(0_u16..4096), any::<u32>());
    (any::<u64>(), any::<u32>(), 0..=Vni::MAX.get(), question, frame()).prop_map(|(request, device, vni, question, frame)| {
        let (source, destination, ethertype, vlan, len) = question;
        let question = Question { source, destination, ethertype, vlan, len };
        Lookup { request: RequestId(request), device: DeviceId(device), vni: Vni::new(vni).unwrap(), question, frame }
    })
}

fn vnic() -> impl Strategy<Value = VnicInfo> {
    let addresses = proptest::collection::vec(any::<std::net::IpAddr>(), 0..3);
    (any::<u32>(), mac(), addresses).prop_map(|(device, mac, addresses)| VnicInfo {
        device: DeviceId(device),
        name: "vnic0".parse().unwrap(),
        mac,
        addresses,
    })
}

fn instance() -> impl Strategy<Value = Instance> {
    let properties = proptest::collection::btree_map("[a-z]{1,8}/[a-z_]{1,8}", any::<String>(), 0..4);
    (any::<u32>(), any::<bool>(), 0..=Vni::MAX.get(), any::<u32>(), properties, proptest::collection::vec(vnic(), 0..3)).prop_map(
        |(device, with_port, vnetid, mtu, properties, vnics)| Instance {
            device: DeviceId(device),
            name: "ov0".parse().unwrap(),
            search: "files".parse().unwrap(),
            encapsulation: "vxlan".parse().unwrap(),
            with_port,
            vnetid: Vni::new(vnetid).unwrap(),
            mtu,
            ul3: with_port.then(|| "[fd00::1]:4789".parse().unwrap()),
            properties,
            vnics,
        },
    )
}

fn asked() -> impl Strategy<Value = FromOverlayd> {
    let welcome = Welcome { version: VERSION, overlayd: "0.1.0".to_owned(), timeout_ms: 5000, silence_ms: 3000 };
    prop_oneof![
        Just(FromOverlayd::Welcome(welcome)),
        any::<String>().prop_map(FromOverlayd::Refused),
        instance().prop_map(FromOverlayd::Instance),
        any::<u32>().prop_map(|id| FromOverlayd::InstanceRemoved(DeviceId(id))),
        Just(FromOverlayd::Complete),
        lookup().prop_map(FromOverlayd::Lookup),
        any::<u64>().prop_map(|id| FromOverlayd::Withdraw(RequestId(id))),
        (any::<u64>(), instance()).prop_map(|(token, instance)| FromOverlayd::Verify(Request { token, instance })),
        any::<u64>().prop_map(FromOverlayd::Ping),
        vnic().prop_map(FromOverlayd::VnicAdded),
        vnic().prop_map(FromOverlayd::VnicRemoved),
        vnic().prop_map(FromOverlayd::VnicChanged),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        (proptest::collection::vec(ul3(), 0..5), ttl()).prop_map(|(to, ttl_ns)| Answer::Reach { to, ttl_ns }),
        ttl().prop_map(|ttl_ns| Answer::Drop { ttl_ns }),
        frame().prop_map(Answer::Inject),
        frame().prop_map(Answer::Resend),
    ]
}

fn said() -> impl Strategy<Value = FromVarpd> {
    let text = Declaration {
        name: "files/config".to_owned(),
        kind: describe::DeclaredKind::Text { max: 255 },
        required: true,
        default: None,
        doc: "The mapping.".to_owned(),
    };
    let files = PluginInfo { name: "files".parse().unwrap(), with_port: true, without_port: false, properties: vec![text] };
    let hello = Hello { versions: vec![VERSION], name: "varpd".to_owned(), version: String::new(), plugins: vec![files] };
    prop_oneof![
        Just(FromVarpd::Hello(hello)),
        (any::<u64>(), answer()).prop_map(|(request, answer)| FromVarpd::Answer(RequestId(request), answer)),
        (any::<u32>(), any::<Option<String>>()).prop_map(|(id, degraded)| FromVarpd::State { device: DeviceId(id), degraded }),
        (any::<u64>(), any::<Option<String>>()).prop_map(|(token, problem)| FromVarpd::Verified(Verified { token, problem })),
        (any::<u32>(), mac(), proptest::collection::vec(ul3(), 0..5), ttl()).prop_map(|(id, mac, to, ttl_ns)| FromVarpd::TargetSet {
            device: DeviceId(id),
            mac,
            to,
            ttl_ns
        }),
        (any::<u32>(), mac()).prop_map(|(id, mac)| FromVarpd::TargetInvalidate { device: DeviceId(id), mac }),
        any::<u32>().prop_map(|id| FromVarpd::TargetFlush(DeviceId(id))),
        (any::<u32>(), frame()).prop_map(|(id, frame)| FromVarpd::Inject { device: DeviceId(id), frame }),
        (any::<u32>(), frame()).prop_map(|(id, frame)| FromVarpd::Resend { device: DeviceId(id), frame }),
        any::<u64>().prop_map(FromVarpd::Pong),
    ]
}

proptest! {
    #[test]
    fn what_overlayd_says_is_what_varpd_hears(all in proptest::collection::vec(asked(), 0..20)) {
        let mut packets = Packets::new();
        for message in &all {
            prop_assert!(packets.ask(message));
        }
        let mut heard = Vec::new();
        while let Some(packet) = packets.pop() {
            prop_assert!(packet.len() <= PACKET_MAX);
            heard.extend(questions(&packet).map(Result::unwrap));
        }
        prop_assert_eq!((heard, packets.bytes()), (all, 0));
    }

    #[test]
    fn what_varpd_says_is_what_overlayd_hears(all in proptest::collection::vec(said(), 0..20)) {
        let mut packets = Packets::new();
        for message in &all {
            prop_assert!(packets.say(message));
        }
        let mut heard = Vec::new();
        while let Some(packet) = packets.pop() {
            heard.extend(answers(&packet).map(Result::unwrap));
        }
        prop_assert_eq!(heard, all);
    }

    #[test]
    fn a_packet_cut_anywhere_is_an_error_and_what_came_before_is_kept(message in said(), cut in any::<prop::sample::Index>()) {
        let mut packets = Packets::new();
        packets.say(&FromVarpd::Pong(7));
        packets.say(&message);
        let packet = packets.pop().unwrap();
        let cut = 17 + cut.index(packet.len() - 17);
        let heard: Vec<_> = answers(&packet[..cut]).collect();
        prop_assert_eq!(heard.first(), Some(&Ok(FromVarpd::Pong(7))));
        prop_assert!(heard.len() == 2 && heard[1].is_err(), "{:?}", heard);
    }
}

#[test]
fn a_newer_side_is_understood() {
    let mut packets = Packets::new();
    packets.say(&FromVarpd::Answer(RequestId(1), Answer::Drop { ttl_ns: None }));
    let mut packet = packets.pop().unwrap();
    // A field that this version does not know, and a message that it does not.
    packet.extend_from_slice(&[1, 2, 3]);
    packet[0] += 3;
    packet.extend_from_slice(&[9, 0, 0, 0, 99, 0, 0, 0, 42]);
    packets.say(&FromVarpd::Pong(2));
    packet.extend_from_slice(packets.front().unwrap());
    let heard: Vec<_> = answers(&packet).map(Result::unwrap).collect();
    assert_eq!(heard, [FromVarpd::Answer(RequestId(1), Answer::Drop { ttl_ns: None }), FromVarpd::Pong(2)]);
}

#[test]
fn what_is_wrong_is_said() {
    let wrong = |packet: &[u8]| answers(packet).next().unwrap().unwrap_err().to_string();
    assert_eq!(wrong(&[1]), "at byte 0 of a packet: 1 bytes are left; a message has at least 8");
    assert_eq!(wrong(&[4, 0, 0, 0, 13, 0, 0, 0]), "at byte 0 of a packet: message of type 13 says 4 bytes; 8 to 8 are possible");
    assert_eq!(wrong(&[8, 0, 0, 0, 13, 0, 0, 0]), "at byte 0 of a packet: message of type 13: 0 bytes are left where 8 are needed");
    assert!(wrong(&[9, 0, 0, 0, 1, 0, 0, 0, b'x']).contains("type 1: expected value at line 1"));
    let mut packet = vec![32, 0, 0, 0, 2, 0, 0, 0];
    packet.extend_from_slice(&[0; 16]);
    packet.extend_from_slice(&[0xff; 8]);
    assert!(wrong(&packet).ends_with("65535 destinations; at most 256 are allowed"));
}

#[test]
fn what_does_not_fit_is_cut_and_said() {
    let mut packets = Packets::new();
    assert!(!packets.say(&FromVarpd::Answer(RequestId(1), Answer::Inject(vec![0; FRAME_MAX + 1]))));
    assert!(!packets.ask(&FromOverlayd::Refused("x".repeat(PACKET_MAX))), "JSON is not cut");
    let heard: Vec<_> = answers(&packets.pop().unwrap()).map(Result::unwrap).collect();
    assert_eq!(heard, [FromVarpd::Answer(RequestId(1), Answer::Inject(vec![0; FRAME_MAX]))]);
    assert!(packets.is_empty());
}

#[test]
fn many_lookups_share_a_packet() {
    let question = Question { source: Mac([2; 6]), destination: Mac([4; 6]), ethertype: 0x0800, vlan: None, len: 64 };
    let lookup = Lookup { request: RequestId(1), device: DeviceId(1), vni: Vni::new(7).unwrap(), question, frame: vec![0; 64] };
    let mut packets = Packets::new();
    for _ in 0..1000 {
        packets.ask(&FromOverlayd::Lookup(lookup.clone()));
    }
    let mut count = 0;
    while packets.pop().is_some() {
        count += 1;
    }
    assert_eq!(count, 2, "a lookup with a small frame has 112 bytes, a packet 65,536");
}

#[test]
fn a_declaration_checks_values_as_any_property_does() {
    let json = r#"{"name":"acme/zone","type":"choice","words":["a","b"],"doc":"Which."}"#;
    let spec = serde_json::from_str::<Declaration>(json).unwrap().spec();
    assert!(spec.parse("a").is_ok() && spec.parse("c").is_err());
    assert!(serde_json::from_str::<Declaration>(r#"{"name":"acme/zone","type":"tree"}"#).is_err());
}
