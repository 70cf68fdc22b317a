//! Does the traffic get through, to whom it is for and to nobody else?

use crate::can_run;
use crate::host::{NETWORKS, all_up, discover, lab, mapping, overlay, underlay};
use crate::traffic::{all_answered, connect, send};
use overlay_api::EntryState;
use overlay_api::control::TargetQuery;
use overlay_lab::{Family, Ping};
use overlay_tests::{Run, ndjson, program};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Duration;

/// The frames that came in tunnels, from the last layers called `ethernet`.
fn inner(packets: &[Value]) -> Vec<(u64, String)> {
    let of = |packet: &Value| {
        let frames: Vec<&Value> = packet["layers"].as_array()?.iter().filter(|layer| layer["layer"] == "ethernet").collect();
        let [_, inner] = frames[..] else { return None };
        Some((packet["vni"][0].as_u64()?, inner["dst"].as_str()?.to_owned()))
    };
    packets.iter().filter_map(of).collect()
}

#[test]
fn everybody_reaches_everybody_and_nothing_is_broadcast() {
    if !can_run("everybody_reaches_everybody_and_nothing_is_broadcast") {
        return;
    }
    let lab = lab("vpd_all", 3, &NETWORKS);
    let snoops: Vec<_> = (1..=3)
        .map(|host| {
            let namespace = lab.host(host).name().to_owned();
            let arguments = ["--netns", &namespace, "-i", "ul0", "--json", "udp port 4789"].map(str::to_owned);
            let mut snoop = Run::new(program("overlay-snoop")).args(arguments).start();
            snoop.wait_for_message("it to listen", |said| said.contains("listening"));
            snoop
        })
        .collect();
    let hosts = all_up(&lab, 3, &NETWORKS);
    for (vni, _) in NETWORKS {
        for (from, to) in [(1, 2), (2, 3), (3, 1), (2, 1), (3, 2), (1, 3)] {
            let (here, there) = (lab.tenant(from, vni, 1), lab.tenant(to, vni, 1));
            for at in [IpAddr::from(there.ipv4()), there.ipv6().into()] {
                all_answered(here, at, &Ping { wait: Duration::from_secs(5), ..Ping::default() }).unwrap();
            }
            let connection = connect(here, there, there.ipv4().into());
            send(&connection.client, &connection.server, 100_000, u64::from(vni));
            send(&connection.server, &connection.client, 100_000, 9);
        }
    }
    for host in &hosts {
        for (vni, _) in NETWORKS {
            let instance = host.instance(vni);
            assert!(instance.counters.injected >= 2, "ARP and ND were not answered by the proxy: {:?}", instance.counters);
            assert_eq!((instance.entries, instance.counters.missing), (Some(3), 0));
            assert!(instance.counters.reached >= 2, "{:?}", instance.counters);
        }
    }
    let mut seen = 0;
    for (snoop, number) in snoops.into_iter().zip(1..) {
        snoop.signal("INT");
        let ended = snoop.end_with_open_input();
        let packets = ndjson(&ended.stdout);
        let frames = inner(&packets);
        seen += frames.len();
        let group = |mac: &str| u8::from_str_radix(&mac[..2], 16).is_ok_and(|first| first & 1 == 1);
        let groups: Vec<_> = frames.iter().filter(|(_, dst)| group(dst)).collect();
        assert!(groups.is_empty(), "on the underlay of host {number}: {groups:?}");
        assert!(frames.iter().all(|(vni, _)| [77, 78].contains(vni)));
    }
    assert!(seen > 500, "{seen} frames were seen");
}

#[test]
fn networks_with_the_same_tenants_stay_apart() {
    if !can_run("networks_with_the_same_tenants_stay_apart") {
        return;
    }
    let networks = [(77, Family::V4), (78, Family::V4)];
    let lab = lab("vpd_apart", 2, &networks);
    let hosts = all_up(&lab, 2, &networks);
    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    assert_eq!((here.ipv4(), there.mac()), (lab.tenant(1, 78, 1).ipv4(), lab.tenant(2, 78, 1).mac()));
    let echo = there.udp_echo((IpAddr::from(there.ipv4()), 0).into()).expect("an echo server");
    let other = lab.tenant(2, 78, 1).udp_echo(echo.at()).expect("an echo server");
    let report = here.udp_send(&overlay_lab::UdpLoad::new(echo.at(), 101, 100)).expect("datagrams");
    assert_eq!((report.answered, echo.counted(), other.counted()), (101, 101, 0));
    // All is well in 78, or its silence below would say nothing.
    let report = lab.tenant(1, 78, 1).udp_send(&overlay_lab::UdpLoad::new(echo.at(), 89, 100)).expect("datagrams");
    assert_eq!((report.answered, echo.counted(), other.counted()), (89, 101, 89));
    // 78 alone loses its tenant, and 77 does not notice.
    let mut less = mapping(&lab, networks[1], 2, |host| host);
    less.remove(there.mac());
    hosts[0].map(78, &less);
    hosts[0].wait("the mapping", || hosts[0].instance(78).entries == Some(1));
    hosts[0].wait_no_longer(78, there.mac(), EntryState::Valid);
    let report = lab.tenant(1, 78, 1).udp_send(&overlay_lab::UdpLoad::new(echo.at(), 7, 100)).expect("datagrams");
    assert_eq!((report.answered, other.counted()), (0, 89));
    let report = here.udp_send(&overlay_lab::UdpLoad::new(echo.at(), 97, 100)).expect("datagrams");
    assert_eq!((report.answered, echo.counted()), (97, 198));
}

#[test]
fn a_dhcp_request_goes_to_the_server_and_to_nobody_else() {
    if !can_run("a_dhcp_request_goes_to_the_server_and_to_nobody_else") {
        return;
    }
    let networks = [(77, Family::V6)];
    let lab = lab("vpd_dhcp", 3, &networks);
    let hosts = all_up(&lab, 3, &networks);
    let (client, server, other) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1), lab.tenant(3, 77, 1));
    let mut map = mapping(&lab, networks[0], 3, |host| host);
    map[client.mac()]["dhcp-proxy"] = json!(server.mac());
    hosts[0].map(77, &map);
    assert_eq!(hosts[0].varpd.reload(&overlay(77).parse().unwrap()).unwrap().entries, Some(3));
    let bytes = |mac: &str| mac.split(':').map(|part| u8::from_str_radix(part, 16).unwrap()).collect::<Vec<u8>>();
    let frame = discover(&bytes(client.mac()));
    let mut at_server = server.frames("t0", "udp port 67").expect("frames can be heard");
    let mut elsewhere = other.frames("t0", "udp port 67").expect("frames can be heard");
    client.send_frame("t0", &frame, 1).expect("a frame");
    let came = at_server.next(Duration::from_secs(5)).expect("a capture").expect("the request comes to the server");
    assert_eq!((&came[..6], &came[6..frame.len()]), (&*bytes(server.mac()), &frame[6..]), "but for the destination it is the same");
    assert_eq!(elsewhere.next(Duration::from_millis(300)).expect("a capture"), None);
    let counters = hosts[0].instance(77).counters;
    assert_eq!(counters.resent, 1, "{counters:?}");
    // The server's tenant asks too, and has no server: nobody hears it.
    server.send_frame("t0", &discover(&bytes(server.mac())), 1).expect("a frame");
    assert_eq!(elsewhere.next(Duration::from_millis(300)).expect("a capture"), None);
    let table = hosts[0].overlayd.client.targets(&overlay(77).parse().unwrap(), &TargetQuery::default()).expect("a table");
    let to = underlay(&lab, 2, Family::V6);
    let to_server = table.rows.iter().filter(|row| row.mac.to_string() == server.mac());
    let told: Vec<Vec<IpAddr>> = to_server.map(|row| row.ul3.iter().map(|ul3| ul3.ip).collect()).collect();
    assert_eq!(told, [vec![to]], "{table:?}");
}
