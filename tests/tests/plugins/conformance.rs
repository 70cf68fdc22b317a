//! Do all who answer say the same? One set of questions and answers for `files`, `etcd`, both examples, and the program of the lookup protocol's page.

use crate::asker::{Asker, VNI, frame_for};
use crate::etcd::Etcd;
use crate::objects::{fixed, responder};
use overlay_api::{Answer, DeviceId};
use overlay_decoder::Mac;
use overlay_tests::{Run, workspace};
use serde_json::json;
use std::path::Path;

const HERE: Mac = Mac([2, 8, 32, 10, 0, 1]);
const THERE: Mac = Mac([2, 8, 32, 10, 0, 2]);
const FAR: Mac = Mac([2, 8, 32, 10, 0, 3]);
const NOBODY: Mac = Mac([2, 8, 32, 10, 0, 4]);
/// The same two in the language of each.
const HOSTS: &str = "2:8:20:a:0:2,10.0.0.2:4789,192.168.0.2;2:8:20:a:0:3,[fd00::3]:4790,192.168.0.3";

fn mapping(folder: &Path) -> String {
    let file = folder.join("map.json");
    let map = json!({
        "2:8:20:a:0:2": {"ip": "10.0.0.2", "port": 4789, "arp": "192.168.0.2"},
        "2:8:20:a:0:3": {"ip": "fd00::3", "port": 4790, "arp": "192.168.0.3"},
    });
    std::fs::write(&file, map.to_string()).expect("a file");
    file.display().to_string()
}

/// RFC 826: operation, sender, target; padded as on Ethernet if told.
fn arp(to: Mac, operation: u8, sender: (Mac, [u8; 4]), target: (Mac, [u8; 4]), length: usize) -> Vec<u8> {
    let header = [&to.0[..], &sender.0.0, &[8, 6, 0, 1, 8, 0, 6, 4, 0, operation]].concat();
    let mut frame = [&header[..], &sender.0.0, &sender.1, &target.0.0, &target.1].concat();
    frame.resize(length, 0);
    frame
}

fn request_for(ip: [u8; 4], from: [u8; 4]) -> Vec<u8> {
    arp(Mac::BROADCAST, 1, (HERE, from), (Mac([0; 6]), ip), 60)
}

/// The questions, one after the other and then all at once.
fn conforms(who: &str, asker: &mut Asker, device: DeviceId) {
    let reach = |to: &str| Answer::Reach { to: vec![to.parse().expect("an address")], ttl_ns: None };
    let own = [192, 168, 0, 1];
    let inject = |mac, ip, asker_ip| Answer::Inject(arp(HERE, 2, (mac, ip), (HERE, asker_ip), 42));
    let set = [
        ("a station", frame_for(THERE), Some(reach("10.0.0.2:4789"))),
        ("a station over IPv6", frame_for(FAR), Some(reach("[fd00::3]:4790"))),
        ("nobody", frame_for(NOBODY), None),
        ("everybody", frame_for(Mac::BROADCAST), None),
        ("a group", frame_for(Mac([0x33, 0x33, 0, 0, 0, 1])), None),
        ("ARP", request_for([192, 168, 0, 2], own), Some(inject(THERE, [192, 168, 0, 2], own))),
        ("ARP for the other", request_for([192, 168, 0, 3], own), Some(inject(FAR, [192, 168, 0, 3], own))),
        ("a probe", request_for([192, 168, 0, 2], [0; 4]), Some(inject(THERE, [192, 168, 0, 2], [0; 4]))),
        ("ARP for nobody", request_for([192, 168, 0, 4], own), None),
        ("an announcement", request_for([192, 168, 0, 2], [192, 168, 0, 2]), None),
        ("ARP that is cut", request_for([192, 168, 0, 2], own)[..41].to_vec(), None),
        ("an ARP reply to a station", arp(THERE, 2, (HERE, own), (THERE, [192, 168, 0, 2]), 60), Some(reach("10.0.0.2:4789"))),
    ];
    let fits = |what: &str, answer: Answer, expected: &Option<Answer>| match expected {
        Some(expected) => assert_eq!(answer, *expected, "{who}: {what}"),
        // For how long is the plugin's to say.
        None => assert!(matches!(answer, Answer::Drop { .. }), "{who}: {what}: {answer:?}"),
    };
    for (what, frame, expected) in &set {
        fits(what, asker.asked(device, frame.clone()), expected);
    }
    let mut open: Vec<_> = set.iter().cycle().take(500).map(|asked| (asker.ask(device, asked.1.clone()), asked)).collect();
    while !open.is_empty() {
        let (request, answer) = asker.next_answer();
        let at = open.iter().position(|(asked, _)| *asked == request).unwrap_or_else(|| panic!("{who}: {request} is answered twice"));
        let (_, (what, _, expected)) = open.swap_remove(at);
        fits(what, answer, expected);
    }
}

#[test]
fn files_and_both_examples_answer_alike() {
    let mut asker = Asker::start(&[], |folder| {
        fixed(folder);
        responder(folder);
    });
    let map = mapping(asker.root.path());
    for (plugin, property, value) in
        [("files", "files/config", &*map), ("fixed", "fixed/hosts", HOSTS), ("responder", "responder/hosts", HOSTS)]
    {
        let device = asker.tell_well(plugin, &[(property, value)]);
        conforms(plugin, &mut asker, device);
        let counters = asker.status(device).counters;
        assert_eq!((counters.missing, counters.late, counters.abandoned), (0, 0, 0), "{plugin}");
        assert_eq!(counters.lookups, counters.reached + counters.dropped + counters.injected, "{plugin}");
    }
}

#[test]
fn a_mapping_in_etcd_answers_like_one_in_a_file() {
    let Some(store) = Etcd::start("plugins::a_mapping_in_etcd_answers_like_one_in_a_file") else { return };
    mapping(store.path());
    store.good(&format!("import -v {VNI} map.json"));
    let mut asker = Asker::start(&[], |_| {});
    let device = asker.tell_well("etcd", &[("etcd/endpoints", &store.endpoint), ("etcd/register", "off")]);
    conforms("etcd", &mut asker, device);
    let counters = asker.status(device).counters;
    assert_eq!((counters.missing, counters.late, counters.abandoned), (0, 0, 0));
    assert_eq!(counters.lookups, counters.reached + counters.dropped + counters.injected);
}

#[test]
fn a_program_written_from_the_page_answers_like_them() {
    let mut asker = Asker::listening(|_| {});
    let map = mapping(asker.root.path());
    let socket = overlay_api::Paths::under(asker.root.path()).lookup_socket().display().to_string();
    let script = workspace().join("docs/examples/lookup.py").display().to_string();
    asker.start_program(Run::new("/usr/bin/python3").args([script, socket]));
    let device = asker.tell_well("python", &[("python/config", &*map)]);
    conforms("lookup.py", &mut asker, device);
}

#[test]
fn dhcp_goes_to_the_one_server() {
    let mut asker = Asker::start(&[], |folder| drop(responder(folder)));
    let device = asker.tell_well("responder", &[("responder/hosts", HOSTS), ("responder/server", "2:8:20:a:0:3")]);
    // RFC 2131 in UDP in IPv4: what the example looks at.
    let mut discover = frame_for(Mac::BROADCAST);
    discover[14] = 0x45;
    discover[23] = 17;
    discover[34..38].copy_from_slice(&[0, 68, 0, 67]);
    let mut sent = discover.clone();
    sent[..6].copy_from_slice(&FAR.0);
    assert_eq!(asker.asked(device, discover.clone()), Answer::Resend(sent));
    // To a station, or from another port, it is any other frame.
    discover[35] = 69;
    assert!(matches!(asker.asked(device, discover), Answer::Drop { .. }));
}

/// RFC 2131 2 in UDP (RFC 768, without a checksum) in IPv4 (RFC 791): a discover of a client.
fn discover(client: Mac) -> Vec<u8> {
    let mut message = vec![1, 1, 6, 0, 1, 2, 3, 4];
    message.resize(28, 0);
    message.extend(client.0);
    message.resize(236, 0);
    message.extend([99, 130, 83, 99, 53, 1, 1, 255]);
    let length = |more: usize| ((message.len() + more) as u16).to_be_bytes();
    let mut ip = [&[0x45, 0][..], &length(28), &[0, 0, 0, 0, 64, 17, 0, 0], &[0; 4], &[255; 4]].concat();
    let sum: u32 = ip.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    ip[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    [&[255; 6][..], &client.0, &[8, 0], &ip, &[0, 68, 0, 67], &length(8), &[0, 0], &message].concat()
}

#[test]
fn the_host_reads_and_writes_for_a_plugin_that_wants_it() {
    let mut asker = Asker::start(&[], |folder| drop(crate::objects::badly(folder, "badly.so", &[])));
    let device = asker.tell_well("badly", &[]);
    let once = Answer::Drop { ttl_ns: Some(0) };
    let station = |last| Mac([2, 0, 0, 0, 0, last]);
    // DHCP: only the Ethernet destination is another one.
    let mut sent = discover(station(7));
    sent[..6].copy_from_slice(&station(7).0);
    assert_eq!(asker.asked(device, discover(station(7))), Answer::Resend(sent));
    assert_eq!(asker.asked(device, discover(station(150))), once, "a client without a server");
    assert_eq!(asker.asked(device, discover(station(250))), once, "a server that cannot be");
    let mut unsound = discover(station(7));
    unsound[24] ^= 1;
    assert_eq!(asker.asked(device, unsound), once, "a wrong checksum");
    // ARP, as the others; and what cannot be.
    let own = [10, 0, 0, 1];
    let reply = arp(HERE, 2, (station(5), [10, 0, 0, 5]), (HERE, own), 42);
    assert_eq!(asker.asked(device, request_for([10, 0, 0, 5], own)), Answer::Inject(reply));
    assert_eq!(asker.asked(device, request_for([10, 0, 0, 150], own)), once);
    assert_eq!(asker.asked(device, request_for([10, 0, 0, 250], own)), once, "a group has no address");
    assert_eq!(asker.asked(device, request_for([10, 0, 0, 5], [10, 0, 0, 5])), once, "an announcement");
    assert_eq!(asker.asked(device, frame_for(Mac::BROADCAST)), once, "no question at all");
    // A solicitation, which varpd makes itself.
    let plugins = overlay_api::Paths::under(asker.root.path()).plugins().display().to_string();
    let ask = |target: &str| {
        let words = ["--plugins", &*plugins, "--query", "-s", "badly", "-v", "77", "--ndp", target];
        Run::new(overlay_tests::program("varpd")).args(words).end().good()
    };
    let answer = ask("fd00::20");
    // To the asker, from the station (RFC 4861 4.4): an advertisement, type 136.
    assert!(answer.starts_with("inject 02000000000102000000002086dd") && answer.contains("8800"), "{answer}");
    assert!(ask("fd00::ff").starts_with("drop for 0 ms"));
}
