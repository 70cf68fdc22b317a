//! Does `docs/lookup-protocol.md` show the bytes that are sent, and the numbers that hold? `OVERLAY_UPDATE=1` writes the examples.

use overlay_api::channel::{
    DESTINATIONS_MAX, Declaration, FromOverlayd, FromVarpd, HEADER, Hello, Instance, PACKET_MAX, Packets, PluginInfo, Request, VERSION,
    Verified, VnicInfo, Welcome, answers, questions,
};
use overlay_api::{Answer, DeviceId, Lookup, Question, RequestId};
use overlay_decoder::{Mac, Ul3, Vni};
use std::fmt::Write as _;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/lookup-protocol.md");
/// What stands before the part that is written here.
const BEGINNING: &str = "a test compares them with it.\n\n";

fn ul3(text: &str) -> Ul3 {
    text.parse().unwrap()
}

/// An ARP request (RFC 826) for 192.168.0.2 from 192.168.0.1.
fn arp() -> Vec<u8> {
    let source = [2, 8, 0x20, 0x0a, 0, 1];
    let request = [0, 1, 8, 0, 6, 4, 0, 1];
    [&[0xff; 6][..], &source, &[8, 6], &request, &source, &[192, 168, 0, 1], &[0; 6], &[192, 168, 0, 2]].concat()
}

fn said() -> Vec<(&'static str, FromVarpd)> {
    let (device, mac, request) = (DeviceId(1), Mac([2, 8, 0x20, 0x0a, 0, 2]), RequestId(7));
    let declared: Declaration =
        serde_json::from_str(r#"{"name":"files/config","type":"text","max":255,"required":true,"doc":"The mapping."}"#).unwrap();
    let plugin = PluginInfo { name: "files".parse().unwrap(), with_port: true, without_port: true, properties: vec![declared] };
    let hello = Hello { versions: vec![VERSION], name: "varpd".to_owned(), version: "0.1.0".to_owned(), plugins: vec![plugin] };
    let reach = |to: &[&str], ttl_ns| Answer::Reach { to: to.iter().map(|text| ul3(text)).collect(), ttl_ns };
    let reply = [&arp()[6..12], &mac.0, &arp()[12..20], &[0, 2], &mac.0, &[192, 168, 0, 2], &arp()[22..32]].concat();
    vec![
        ("hello", FromVarpd::Hello(hello)),
        ("reach: one destination, by default", FromVarpd::Answer(request, reach(&["10.0.0.2:4789"], None))),
        ("reach: a list, for a minute", FromVarpd::Answer(request, reach(&["10.0.0.2:4789", "[fd00::2]:4789"], Some(60_000_000_000)))),
        ("drop: for 5 s", FromVarpd::Answer(request, Answer::Drop { ttl_ns: Some(5_000_000_000) })),
        ("inject: an ARP reply", FromVarpd::Answer(request, Answer::Inject(reply))),
        ("resend", FromVarpd::Answer(request, Answer::Resend(arp()))),
        ("state", FromVarpd::State { device, degraded: Some("files: /etc/map.json:1:1: the file is empty".to_owned()) }),
        ("verified", FromVarpd::Verified(Verified { token: 9, problem: None })),
        ("target-set", FromVarpd::TargetSet { device, mac, to: vec![ul3("10.0.0.2:4789")], ttl_ns: None }),
        ("target-invalidate", FromVarpd::TargetInvalidate { device, mac }),
        ("target-flush", FromVarpd::TargetFlush(device)),
        ("device-inject", FromVarpd::Inject { device, frame: arp() }),
        ("device-resend", FromVarpd::Resend { device, frame: arp() }),
        ("pong", FromVarpd::Pong(3)),
    ]
}

fn asked() -> Vec<(&'static str, FromOverlayd)> {
    let device = DeviceId(1);
    let vnic = VnicInfo { device, name: "vnic0".parse().unwrap(), mac: Mac([2, 8, 0x20, 0x0a, 0, 1]), addresses: vec![] };
    let instance = Instance {
        device,
        name: "ov0".parse().unwrap(),
        search: "files".parse().unwrap(),
        encapsulation: "vxlan".parse().unwrap(),
        with_port: true,
        vnetid: Vni::new(77).unwrap(),
        mtu: 1400,
        ul3: Some("10.0.0.1:4789".parse().unwrap()),
        properties: [("files/config".to_owned(), "/etc/map.json".to_owned())].into(),
        vnics: vec![vnic.clone()],
    };
    let question = Question { source: vnic.mac, destination: Mac::BROADCAST, ethertype: 0x0806, vlan: None, len: 42 };
    let lookup = Lookup { request: RequestId(7), device, vni: Vni::new(77).unwrap(), question, frame: arp() };
    let welcome = Welcome { version: VERSION, overlayd: "0.1.0".to_owned(), timeout_ms: 10_000, silence_ms: 3000 };
    vec![
        ("welcome", FromOverlayd::Welcome(welcome)),
        ("refused", FromOverlayd::Refused("another varpd is attached: varpd (pid 7); one at a time can be".to_owned())),
        ("instance", FromOverlayd::Instance(instance.clone())),
        ("instance-removed", FromOverlayd::InstanceRemoved(device)),
        ("complete", FromOverlayd::Complete),
        ("lookup: an ARP request", FromOverlayd::Lookup(lookup)),
        ("withdraw", FromOverlayd::Withdraw(RequestId(7))),
        ("verify", FromOverlayd::Verify(Request { token: 9, instance })),
        ("ping", FromOverlayd::Ping(3)),
        ("vnic-added", FromOverlayd::VnicAdded(vnic.clone())),
        ("vnic-removed", FromOverlayd::VnicRemoved(vnic.clone())),
        ("vnic-changed", FromOverlayd::VnicChanged(VnicInfo { addresses: vec!["192.168.0.1".parse().unwrap()], ..vnic })),
    ]
}

/// Header and numbers in hexadecimal, JSON as text.
fn example(page: &mut String, name: &str, packet: &[u8]) {
    let (header, body) = packet.split_at(HEADER);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let _ = writeln!(page, "{name}\n  {}", hex(header));
    if body.first() == Some(&b'{') {
        let _ = writeln!(page, "  {}", String::from_utf8_lossy(body));
    } else {
        for line in body.chunks(32) {
            let _ = writeln!(page, "  {}", hex(line));
        }
    }
}

fn examples() -> String {
    let mut page = String::from("```text\n");
    let mut packets = Packets::new();
    for (name, message) in said() {
        assert!(packets.say(&message));
        let packet = packets.pop().unwrap();
        assert_eq!(answers(&packet).collect::<Vec<_>>(), [Ok(message)]);
        example(&mut page, name, &packet);
    }
    for (name, message) in asked() {
        assert!(packets.ask(&message));
        let packet = packets.pop().unwrap();
        assert_eq!(questions(&packet).collect::<Vec<_>>(), [Ok(message)]);
        example(&mut page, name, &packet);
    }
    page + "```\n"
}

#[test]
fn the_page_shows_what_is_sent() {
    let found = std::fs::read_to_string(PAGE).unwrap_or_default();
    let (text, shown) = found.split_once(BEGINNING).unwrap_or_else(|| panic!("{PAGE}: has no {BEGINNING:?}"));
    if std::env::var_os("OVERLAY_UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(PAGE, format!("{text}{BEGINNING}{}", examples())).unwrap();
        return;
    }
    assert!(shown == examples(), "{PAGE}: the examples are others; OVERLAY_UPDATE=1 writes them");
}

#[test]
fn the_page_names_every_message_with_its_number_and_every_bound() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let mut packets = Packets::new();
    said().iter().for_each(|(_, message)| assert!(packets.say(message)));
    let said_in_one = packets.pop().unwrap();
    asked().iter().for_each(|(_, message)| assert!(packets.ask(message)));
    let asked_in_one = packets.pop().unwrap();
    let kinds = |mut packet: &[u8]| {
        let mut kinds = Vec::new();
        while let Some((header, _)) = packet.split_first_chunk::<HEADER>() {
            kinds.push(u16::from_le_bytes([header[4], header[5]]));
            packet = &packet[u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize..];
        }
        kinds
    };
    let names = said().into_iter().map(|(name, _)| name).chain(asked().into_iter().map(|(name, _)| name));
    for (name, kind) in names.zip([kinds(&said_in_one), kinds(&asked_in_one)].concat()) {
        let name = name.split(':').next().unwrap();
        assert!(page.contains(&format!("| {kind} | {name} |")), "{kind} {name}");
    }
    assert!(page.contains("65,536 bytes") && PACKET_MAX == 65_536);
    assert!(page.contains("256 of them") && DESTINATIONS_MAX == 256);
}
