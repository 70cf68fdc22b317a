//! Is a frame answered by whom it should be: a proxy, the table, nobody? In the order of illumos.
#![forbid(unsafe_code)]

use etherparse::PacketBuilder;
use overlay_api::{Answer, DeviceId, Lookup, Mapping, Question, RequestId};
use overlay_decoder::{Mac, Ul3};
use overlay_varpd::knowledge::answer;

const MAP: &str = r#"{
    "2:8:20:a:0:1": {"ip": "10.88.0.1", "port": 4789, "arp": "10.0.0.1", "ndp": "fd00::1", "dhcp-proxy": "2:8:20:a:0:3"},
    "2:8:20:a:0:2": {"ip": "10.88.0.2", "port": 4789, "arp": ["10.0.0.2", "10.0.0.22"], "ndp": "fd00::2"},
    "2:8:20:a:0:3": {"ip": "fd88::3", "port": 4789}
}"#;
const LISTS: &str = r#"{
    "broadcast": {"replicate": [{"ip": "10.88.0.1", "port": 4789}, {"ip": "10.88.0.2", "port": 4789}]},
    "01:00:5e:00:00:fb": {"ip": "239.1.1.1", "port": 4789},
    "2:8:20:a:0:2": {"ip": "10.88.0.2", "port": 4789, "arp": "10.0.0.2"}
}"#;
const NOTHING: Answer = Answer::Drop { ttl_ns: None };

fn mac(last: u8) -> Mac {
    Mac([2, 8, 32, 10, 0, last])
}

fn reach(to: &[&str]) -> Answer {
    Answer::Reach { to: to.iter().map(|text| text.parse::<Ul3>().unwrap()).collect(), ttl_ns: None }
}

fn ask(map: &str, frame: &[u8]) -> Answer {
    let part = |at: usize| Mac(frame[at..at + 6].try_into().unwrap());
    let ethertype = u16::from_be_bytes([frame[12], frame[13]]);
    let question = Question { source: part(6), destination: part(0), ethertype, vlan: None, len: frame.len() as u32 };
    let lookup = Lookup { request: RequestId(1), device: DeviceId(1), vni: "7".parse().unwrap(), question, frame: frame.to_vec() };
    answer(&Mapping::parse("map.json", map).unwrap(), &lookup)
}

fn frame(source: Mac, destination: Mac, ethertype: u16) -> Vec<u8> {
    let mut frame = [&destination.0[..], &source.0, &ethertype.to_be_bytes()].concat();
    frame.resize(60, 0);
    frame
}

fn arp(source: Mac, destination: Mac, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut frame = frame(source, destination, 0x0806);
    let body = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &source.0, &sender, &[0; 6], &target].concat();
    frame[14..42].copy_from_slice(&body);
    frame
}

/// A neighbour solicitation for `target` from `source`.
fn solicitation(source: Mac, target: &str) -> Vec<u8> {
    let target: std::net::Ipv6Addr = target.parse().unwrap();
    let [.., a, b, c] = target.octets();
    let group = [[0xff, 2, 0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0xff, a, b, c]].concat().try_into().unwrap();
    let from = "fe80::1".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let body = [&target.octets()[..], &[1, 1], &source.0].concat();
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2(source.0, [0x33, 0x33, 0xff, a, b, c]).ipv6(from, group, 255).icmpv6_raw(135, 0, [0; 4]);
    builder.write(&mut frame, &body).unwrap();
    frame
}

/// DHCPDISCOVER: op, hardware type and length, transaction; the client's MAC; the magic cookie; the message type.
fn discover(client: Mac) -> Vec<u8> {
    let mut body = vec![0; 240];
    body[..8].copy_from_slice(&[1, 1, 6, 0, 1, 2, 3, 4]);
    body[28..34].copy_from_slice(&client.0);
    body[236..].copy_from_slice(&[99, 130, 83, 99]);
    body.extend([53, 1, 1, 255]);
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(client.0, [0xff; 6]).ipv4([0; 4], [255; 4], 64).udp(68, 67).write(&mut frame, &body).unwrap();
    frame
}

#[test]
fn a_frame_to_a_station_goes_where_the_table_says() {
    assert_eq!(ask(MAP, &frame(mac(1), mac(2), 0x0800)), reach(&["10.88.0.2:4789"]));
    assert_eq!(ask(MAP, &frame(mac(1), mac(3), 0x86dd)), reach(&["[fd88::3]:4789"]));
    assert_eq!(ask(MAP, &frame(mac(1), mac(4), 0x0800)), NOTHING);
    // LLDP, a length field, nothing at all behind the header.
    for ethertype in [0x88cc, 46, 0x0806, 0x86dd] {
        assert_eq!(ask(MAP, &frame(mac(1), mac(2), ethertype)), reach(&["10.88.0.2:4789"]), "{ethertype:#x}");
    }
}

#[test]
fn an_arp_request_is_answered_in_the_name_of_whom_it_asks_for() {
    let reply = |target| ask(MAP, &arp(mac(1), Mac::BROADCAST, [10, 0, 0, 1], target));
    for last in [2, 22] {
        let Answer::Inject(reply) = reply([10, 0, 0, last]) else { panic!("no reply") };
        // To the asker, from the one asked for; operation reply; sender and target in their places.
        assert_eq!([&reply[..6], &reply[6..12], &reply[20..22]], [&mac(1).0[..], &mac(2).0, &[0, 2]]);
        assert_eq!(
            [&reply[22..28], &reply[28..32], &reply[32..38], &reply[38..42]],
            [&mac(2).0[..], &[10, 0, 0, last], &mac(1).0, &[10, 0, 0, 1]]
        );
    }
    assert_eq!(reply([10, 0, 0, 9]), NOTHING, "unknown, and no list to send it to");
    assert_eq!(reply([10, 0, 0, 1]), NOTHING, "gratuitous");
    // To ask for one's own address is to ask whether it is taken, and it is not by being one's own.
    assert_eq!(ask(MAP, &arp(mac(1), Mac::BROADCAST, [0; 4], [10, 0, 0, 1])), NOTHING);
    // To one station: is it still there? It can be asked if it is not known by the address.
    assert_eq!(ask(MAP, &arp(mac(1), mac(3), [10, 0, 0, 1], [10, 0, 0, 9])), reach(&["[fd88::3]:4789"]));
}

#[test]
fn a_solicitation_is_answered_in_the_name_of_whom_it_asks_for() {
    let Answer::Inject(reply) = ask(MAP, &solicitation(mac(1), "fd00::2")) else { panic!("no reply") };
    let parsed = etherparse::PacketHeaders::from_ethernet_slice(&reply).unwrap();
    assert_eq!([&reply[..6], &reply[6..12]], [&mac(1).0[..], &mac(2).0]);
    match parsed.transport.unwrap() {
        etherparse::TransportHeader::Icmpv6(header) => assert_eq!(header.icmp_type.type_u8(), 136),
        other => panic!("{other:?}"),
    }
    assert_eq!(ask(MAP, &solicitation(mac(1), "fd00::9")), NOTHING);
    let mut damaged = solicitation(mac(1), "fd00::2");
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(ask(MAP, &damaged), NOTHING, "a wrong checksum");
}

#[test]
fn a_dhcp_request_goes_to_the_server_of_who_asks() {
    let asked = discover(mac(1));
    let Answer::Resend(sent) = ask(MAP, &asked) else { panic!("not redirected") };
    assert_eq!((&sent[..6], &sent[6..]), (&mac(3).0[..], &asked[6..]), "but for the destination it is the same");
    assert_eq!(ask(MAP, &discover(mac(2))), NOTHING, "it has no server");
}

#[test]
fn a_group_goes_to_its_list_or_that_of_broadcast_unless_a_proxy_answers() {
    let both = reach(&["10.88.0.1:4789", "10.88.0.2:4789"]);
    assert_eq!(ask(LISTS, &frame(mac(1), Mac::BROADCAST, 0x0800)), both);
    assert_eq!(ask(LISTS, &frame(mac(1), Mac([0x33, 0x33, 0, 0, 0, 1]), 0x86dd)), both);
    assert_eq!(ask(LISTS, &frame(mac(1), "1:0:5e:0:0:fb".parse().unwrap(), 0x0800)), reach(&["239.1.1.1:4789"]));
    assert_eq!(ask(MAP, &frame(mac(1), Mac::BROADCAST, 0x0800)), NOTHING);
    let asks = |target| ask(LISTS, &arp(mac(1), Mac::BROADCAST, [10, 0, 0, 1], target));
    assert!(matches!(asks([10, 0, 0, 2]), Answer::Inject(_)));
    assert_eq!(asks([10, 0, 0, 9]), both, "nobody is known by it: whoever is there may know");
    assert_eq!(asks([10, 0, 0, 1]), NOTHING, "gratuitous: nobody is to be told");
    // A message that a proxy must not touch is its matter only if the station has a server.
    let mut unsound = discover(mac(1));
    *unsound.last_mut().unwrap() ^= 1;
    assert_eq!((ask(LISTS, &unsound), ask(LISTS, &discover(mac(1)))), (both.clone(), both));
    assert_eq!(ask(MAP, &unsound), NOTHING);
    let listed = LISTS.replacen("{", "{\"2:8:20:a:0:1\": {\"ip\": \"10.88.0.1\", \"port\": 4789, \"dhcp-proxy\": \"2:8:20:a:0:2\"},", 1);
    assert_eq!(ask(&listed, &unsound), NOTHING, "not redirected, and not flooded past the server either");
}
