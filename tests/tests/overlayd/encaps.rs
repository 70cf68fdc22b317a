//! Geneve (RFC 8926) and NVGRE (RFC 7637) between real stacks: what one of us sends, another, Open vSwitch and two decoders understand.

use crate::can_run;
use crate::daemon::{CEILING, Daemon, dropped, way};
use crate::mtu::ping_says;
use crate::switch::OpenVswitch;
use crate::traffic::{all_answered, bad_packets, connect, datagrams, pings, send};
use overlay_lab::{Family, Lab, Offloads, Overlay, Ping, Signal, wait_until};
use overlay_tests::{Peer, ndjson, snoop};
use std::net::IpAddr;
use std::time::Duration;

const BYTES: usize = 10_000_000;
/// An echo request that is not answered for so long is lost.
const ANSWERED: Duration = Duration::from_secs(5);

/// VNI, underlay, and the MTU that the lab gives to a VXLAN's tenants, which is no more than either of these leaves. RFC 7637 3.2
/// reserves VSIDs below 4096.
const OVERLAYS: [(u32, Family, u16); 2] = [(5077, Family::V4, 1450), (5078, Family::V6, 1430)];

/// What tells one encapsulation from another.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    /// Bytes between an underlay's IPv4 packet and the inner frame: IPv4 20, with Geneve UDP 8 and its header 8, with NVGRE GRE's 8.
    overhead: u32,
    port: Option<&'static str>,
}

const GENEVE: Kind = Kind { name: "geneve", overhead: 36, port: Some("6081") };
const NVGRE: Kind = Kind { name: "nvgre", overhead: 28, port: None };

fn make(daemon: &Daemon, kind: Kind, name: &str, vni: u32, way: (IpAddr, IpAddr), others: &[(&str, &str)]) {
    let (listen, to, listen_ip) = (way.0.to_string(), way.1.to_string(), format!("{}/listen_ip", kind.name));
    let mut properties = vec![(&*listen_ip, &*listen), ("direct/dest_ip", &*to)];
    properties.extend(kind.port.map(|port| ("direct/dest_port", port)));
    properties.extend(others);
    daemon.overlay_by(kind.name, name, vni, &properties);
}

/// Both ends ours, of one kind.
fn start(name: &str, kind: Kind, offloads: Offloads) -> (Lab, Vec<Daemon>) {
    let overlays = OVERLAYS.map(|(vni, family, _)| Overlay::vxlan(vni).family(family).no_tunnel_on(1).no_tunnel_on(2));
    let lab = overlays.into_iter().fold(Lab::builder(name).offloads(offloads), overlay_lab::Builder::overlay).build();
    let lab = lab.expect("a lab comes up");
    let daemons = [1, 2].map(|host| {
        let daemon = Daemon::start(lab.host(host));
        for (vni, family, mtu) in OVERLAYS {
            make(&daemon, kind, &format!("ov{vni}"), vni, way(&lab, host, family), &[("mtu", &mtu.to_string())]);
            daemon.tenant(&format!("v{vni}"), &format!("ov{vni}"), lab.tenant(host, vni, 1));
        }
        daemon
    });
    (lab, daemons.into())
}

/// Everything that a tenant does; each packet has to come, and come whole.
fn exchange(name: &str, kind: Kind, offloads: Offloads) {
    let (lab, daemons) = start(name, kind, offloads);
    let before = dropped(&daemons);
    for (vni, family, mtu) in OVERLAYS {
        let (here, there) = (lab.tenant(1, vni, 1), lab.tenant(2, vni, 1));
        pings(here, there, mtu);
        datagrams(there, here, mtu);
        for (at, headers) in [(IpAddr::from(there.ipv4()), 28), (there.ipv6().into(), 48)] {
            let missing = here.ping_each(at, 0..=mtu - headers, ANSWERED).expect("echo requests can be sent");
            assert!(missing.is_empty(), "{missing:?}: {family:?} outside: sizes without an answer from {at}");
            let connection = connect(here, there, at);
            let forth = send(&connection.client, &connection.server, BYTES, vni.into());
            let back = send(&connection.server, &connection.client, BYTES, 1 << 32 | u64::from(vni));
            let rate = |took: Duration| BYTES as f64 * 8e-9 / took.as_secs_f64();
            overlay_tests::say(&format!("{name}: {family:?} outside, to {at}: {:.2} and {:.2} Gbit/s", rate(forth), rate(back)));
        }
    }
    for host in 1..=2 {
        assert_eq!(bad_packets(lab.host(host)), [], "in host {host}");
        for (vni, ..) in OVERLAYS {
            assert_eq!(bad_packets(lab.tenant(host, vni, 1)), [], "in the tenant of host {host} in {vni}");
        }
    }
    assert_eq!(dropped(&daemons), before);
    for overlay in daemons.iter().flat_map(|daemon| daemon.client.overlays().expect("overlays")) {
        assert!(overlay.counters.sent > 0 && overlay.counters.delivered > 0, "{:?}", overlay.counters);
    }
}

#[test]
fn geneve_carries_all_over_virtual_links() {
    if can_run("geneve_carries_all_over_virtual_links") {
        exchange("ovd_geneve", GENEVE, Offloads::On);
    }
}

#[test]
fn geneve_carries_all_over_plain_wires() {
    if can_run("geneve_carries_all_over_plain_wires") {
        exchange("ovd_geneve_wire", GENEVE, Offloads::WireLike);
    }
}

#[test]
fn nvgre_carries_all_over_virtual_links() {
    if can_run("nvgre_carries_all_over_virtual_links") {
        exchange("ovd_nvgre", NVGRE, Offloads::On);
    }
}

#[test]
fn nvgre_carries_all_over_plain_wires() {
    if can_run("nvgre_carries_all_over_plain_wires") {
        exchange("ovd_nvgre_wire", NVGRE, Offloads::WireLike);
    }
}

#[test]
fn an_overlay_takes_as_much_of_the_underlay_as_its_headers_need() {
    if !can_run("an_overlay_takes_as_much_of_the_underlay_as_its_headers_need") {
        return;
    }
    for (name, kind, others, more) in [
        ("ovd_mtu_geneve", GENEVE, &[][..], 0),
        // RFC 8926 3.5: an option has a head of 4 bytes.
        ("ovd_mtu_options", GENEVE, &[("geneve/options", "0102:01:0001000200030004")][..], 12),
        ("ovd_mtu_nvgre", NVGRE, &[][..], 0),
    ] {
        let lab = Lab::builder(name).overlay(Overlay::vxlan(5077).no_tunnel_on(1).no_tunnel_on(2)).build().expect("a lab comes up");
        let fits = (1500 - kind.overhead - 14 - more) as u16;
        let _daemons = [1, 2].map(|host| {
            let daemon = Daemon::start(lab.host(host));
            make(&daemon, kind, "ov5077", 5077, way(&lab, host, Family::V4), &[&[("mtu", "1500")], others].concat());
            daemon.tenant("v5077", "ov5077", lab.tenant(host, 5077, 1));
            // The tenant believes in more than the underlay carries.
            lab.tenant(host, 5077, 1).ip(&["link set t0 mtu 1500".into()]).expect("an MTU can be set");
            daemon
        });
        let (here, there) = (lab.tenant(1, 5077, 1), lab.tenant(2, 5077, 1));
        let mut heard = lab.host(2).frames("ul0", "src 10.88.0.1").expect("frames can be heard");
        let answers = ping_says(here, &there.ipv4().to_string(), 28, u32::from(fits) + 1);
        assert!(
            answers.contains(&format!("Frag needed and DF set (mtu = {fits})")) && answers.contains(" 0 received"),
            "{name}: {answers}"
        );
        // The largest packet that fits fills the underlay's to the last byte.
        all_answered(here, there.ipv4().into(), &Ping { size: fits - 28, dont_fragment: true, ..Ping::default() }).unwrap();
        let mut largest = 0;
        while let Some(frame) = heard.next(Duration::from_millis(50)).expect("a capture") {
            largest = largest.max(frame.len());
        }
        assert_eq!(largest, 14 + 1500, "{name}");
    }
}

/// What two decoders say of an underlay's packets: this project's snoop, and tshark.
#[test]
fn nvgre_is_read_alike_by_snoop_and_tshark() {
    let test = "nvgre_is_read_alike_by_snoop_and_tshark";
    if !can_run(test) {
        return;
    }
    let Some(tshark) = Peer::find(test, "tshark") else { return };
    let (lab, _daemons) = start("ovd_nvgre_read", NVGRE, Offloads::WireLike);
    let folder = lab.host(2).folder().expect("a folder");
    let file = folder.join("wire.pcap").display().to_string();
    // Protocol 47 over both families: GRE.
    let mut capture = lab
        .host(2)
        .spawn("tcpdump", ["-i", "ul0", "-U", "-B", "32768", "-Z", "root", "-w", &*file, "proto 47 or ip6 proto 47"])
        .expect("tcpdump");
    capture.wait_for_log("listening on", CEILING).expect("it listens");
    for (vni, ..) in OVERLAYS {
        let (here, there) = (lab.tenant(1, vni, 1), lab.tenant(2, vni, 1));
        for at in [IpAddr::from(there.ipv4()), there.ipv6().into()] {
            all_answered(here, at, &Ping { count: 11, size: 500, ..Ping::default() }).unwrap();
            let connection = connect(here, there, at);
            send(&connection.client, &connection.server, 200_000, 1);
        }
    }
    capture.signal(Signal::INT).expect("a signal");
    capture.wait(CEILING).expect("tcpdump ends");
    let ours = ndjson(&snoop(["--json", "--verify", "-r", &file]).end().good());
    // GRE_KEY is VSID and FlowID (RFC 7637 3.2).
    let fields = ["-n", "-r", &*file, "-T", "fields", "-e", "gre.key", "-e", "eth.src", "-E", "occurrence=a"];
    let checks = ["ip", "tcp"].map(|layer| format!("{layer}.check_checksum:TRUE"));
    let theirs = tshark.run(&folder, fields).end().stdout;
    assert_eq!(ours.len(), theirs.lines().count());
    assert!(ours.len() > 500, "{} packets", ours.len());
    for (packet, line) in ours.iter().zip(theirs.lines()) {
        let layers = |name: &'static str| packet["layers"].as_array().into_iter().flatten().filter(move |layer| layer["layer"] == name);
        let nvgre = layers("nvgre").next().unwrap_or_else(|| panic!("no NVGRE in {packet}"));
        let key = nvgre["vsid"].as_u64().expect("a VSID") << 8 | nvgre["flow_id"].as_u64().expect("a FlowID");
        let sources: Vec<_> = layers("ethernet").map(|layer| layer["src"].as_str().expect("a MAC").to_owned()).collect();
        assert_eq!(line, format!("0x{key:08x}\t{}", sources.join(",")), "{packet}");
        assert!([5077, 5078].contains(&(key >> 8)) && packet.get("stop").is_none(), "{packet}");
    }
    // A flow has one FlowID, and flows have several: RFC 7637 3.2, for the underlay to spread them.
    let wrong = "ip.checksum.status==0 || tcp.checksum.status==0 || icmp.checksum.status==0 || icmpv6.checksum.status==0 || \
                 _ws.malformed || _ws.expert.severity==0x800000";
    let options = checks.iter().flat_map(|check| ["-o", check]);
    let found = tshark.run(&folder, ["-n", "-r", &*file, "-Y", wrong].into_iter().chain(options)).end().stdout;
    assert!(found.is_empty(), "{} packets, the first:\n{}", found.lines().count(), found.lines().take(10).collect::<Vec<_>>().join("\n"));
}

#[test]
fn geneve_is_understood_by_open_vswitch() {
    let test = "geneve_is_understood_by_open_vswitch";
    if !can_run(test) || !OpenVswitch::is_there(test) {
        return;
    }
    // Its user-space datapath takes frames as they are on a wire.
    let overlay = Overlay::vxlan(5077).no_tunnel_on(1).no_tunnel_on(2);
    let lab = Lab::builder("ovd_ovs").offloads(Offloads::WireLike).overlay(overlay).build().expect("a lab comes up");
    let daemon = Daemon::start(lab.host(1));
    make(&daemon, GENEVE, "ov5077", 5077, way(&lab, 1, Family::V4), &[("mtu", "1450")]);
    let here = lab.tenant(1, 5077, 1);
    daemon.tenant("v5077", "ov5077", here);
    // The tenant at the other end is the switch's own interface.
    let (host, tenant) = (lab.host(2), lab.tenant(2, 5077, 1));
    let switch = OpenVswitch::start(host, tenant);
    switch.tunnel("geneve", 5077, lab.host(1).ipv4());
    let before = dropped(std::slice::from_ref(&daemon));
    for at in [IpAddr::from(tenant.ipv4()), tenant.ipv6().into()] {
        wait_until("the switch to have its way", CEILING, || here.ping(at).is_ok_and(|report| report.all_answered()))
            .unwrap_or_else(|error| panic!("{error}\n{}\n{}", switch.log(), daemon.log()));
        let headers = if at.is_ipv4() { 28 } else { 48 };
        // The switch reads and writes each packet in a thread that looks for them: all sizes, from 4 to 4, in two seconds.
        let missing = here.ping_each(at, 0..=1450 - headers, ANSWERED).expect("echo requests can be sent");
        assert!(missing.is_empty(), "sizes without an answer from {at}: {missing:?}");
        let connection = connect(here, host, at);
        send(&connection.client, &connection.server, 2_000_000, 1);
        send(&connection.server, &connection.client, 2_000_000, 2);
    }
    for namespace in [here, lab.host(1), host] {
        assert_eq!(bad_packets(namespace), [], "in {}", namespace.role());
    }
    assert_eq!(dropped(&[daemon]), before);
}
