//! What is not answered, and why.

use super::*;
use etherparse::ArpOperation;

type Row = (&'static str, Vec<u8>, Unproxied);

fn arp_rows() -> Vec<Row> {
    use Unproxied::{Foreign, Gratuitous, Sender, Short, Target};
    let good = || arp_request((ASKER, ASKER_V4), OWNER_V4);
    let from = |ip: [u8; 4]| arp_request((ASKER, ip.into()), OWNER_V4);
    let of = |ip: [u8; 4]| arp_request((ASKER, ASKER_V4), ip.into());
    vec![
        ("an announcement", arp_request((ASKER, ASKER_V4), ASKER_V4), Gratuitous),
        ("an announcement as a reply", arp(ArpOperation::REPLY, (ASKER, ASKER_V4), (ASKER, ASKER_V4)), Gratuitous),
        ("an announcement in a VLAN", tagged(&arp_request((ASKER, ASKER_V4), ASKER_V4), TWO_TAGS), Gratuitous),
        ("no fixed part", good()[..IP + 7].to_vec(), Short),
        ("no whole target", good()[..IP + 27].to_vec(), Short),
        ("hardware 6", with(good(), IP, &[0, 6]), Foreign),
        ("addresses of IPv6", with(good(), IP + 2, &[0x86, 0xdd]), Foreign),
        ("MACs of 8 bytes", with(good(), IP + 4, &[8]), Foreign),
        ("addresses of 16 bytes", with(good(), IP + 5, &[16]), Foreign),
        ("in the name of another", with(good(), 6, &OWNER.0), Sender),
        ("from a group", arp_request((Mac([3, 0, 0, 0, 0, 1]), ASKER_V4), OWNER_V4), Sender),
        ("from nobody", arp_request((Mac::default(), ASKER_V4), OWNER_V4), Sender),
        ("from 224.0.0.1", from([224, 0, 0, 1]), Sender),
        ("from 255.255.255.255", from([255; 4]), Sender),
        ("from 127.0.0.1", from([127, 0, 0, 1]), Sender),
        ("of 0.0.0.0", of([0; 4]), Target),
        ("a probe of 0.0.0.0", arp_request((ASKER, Ipv4Addr::UNSPECIFIED), Ipv4Addr::UNSPECIFIED), Target),
        ("of 224.0.0.1", of([224, 0, 0, 1]), Target),
        ("of 255.255.255.255", of([255; 4]), Target),
        ("of 127.0.0.1", of([127, 0, 0, 1]), Target),
    ]
}

fn ndp_rows() -> Vec<Row> {
    use Unproxied::{Checksum, Code, Destination, Length, Option, Routed, Sender, Short, Target};
    let good = || Solicits::new(ASKER, ASKER_V6, OWNER_V6);
    let detection = || Solicits::new(ASKER, Ipv6Addr::UNSPECIFIED, OWNER_V6);
    let of = |target: &str| Solicits::new(ASKER, ASKER_V6, target.parse().unwrap()).frame();
    let from = |source: &str| Solicits { source: source.parse().unwrap(), ..good() }.frame();
    let options = |options: &[u8]| Solicits { options: options.to_vec(), ..good() }.frame();
    let mac = [1, 1, 2, 8, 0x20, 10, 0, 1];
    let all = || Solicits { group: "ff02::1".parse().unwrap(), to: Mac([0x33, 0x33, 0, 0, 0, 1]), ..good() };
    vec![
        ("cut", good().frame()[..OVER_V6 + 31].to_vec(), Short),
        ("cut behind the target", good().frame()[..OVER_V6 + 24].to_vec(), Short),
        ("too long", repaired(with(good().frame(), IP + 4, &[0, 33])), Short),
        ("23 bytes", repaired(with(good().frame(), IP + 4, &[0, 23])), Length),
        ("hop limit 254", Solicits { hops: 254, ..good() }.frame(), Routed),
        ("hop limit 0", Solicits { hops: 0, ..good() }.frame(), Routed),
        (
            "a flipped checksum",
            with(good().frame(), OVER_V6 + 2, &good().frame()[OVER_V6 + 2..OVER_V6 + 4].iter().map(|b| !b).collect::<Vec<_>>()),
            Checksum,
        ),
        ("another source", with(good().frame(), IP + 8 + 15, &[9]), Checksum),
        ("code 1", Solicits { code: 1, ..good() }.frame(), Code),
        ("of a group", of("ff02::1:ff00:1"), Target),
        ("of nobody", of("::"), Target),
        ("of itself", of("::1"), Target),
        ("of an IPv4 address", of("::ffff:10.0.0.2"), Target),
        ("to the group of another", Solicits { target: "fd00::3".parse().unwrap(), ..good() }.frame(), Destination),
        (
            "to all routers",
            Solicits { group: "ff02::2".parse().unwrap(), to: Mac([0x33, 0x33, 0, 0, 0, 2]), ..good() }.frame(),
            Destination,
        ),
        ("to one address in a frame to a group", Solicits { group: OWNER_V6, ..good() }.frame(), Destination),
        ("to the MAC of another group", Solicits { to: Mac([0x33, 0x33, 0, 0, 0, 1]), ..good() }.frame(), Destination),
        ("to the broadcast MAC", Solicits { to: Mac::BROADCAST, ..good() }.frame(), Destination),
        ("detection to all nodes", Solicits { source: Ipv6Addr::UNSPECIFIED, options: vec![], ..all() }.frame(), Destination),
        ("detection from a group", Solicits { from: Mac([3, 0, 0, 0, 0, 1]), ..detection() }.frame(), Sender),
        ("from ff02::1", from("ff02::1"), Sender),
        ("from ::1", from("::1"), Sender),
        ("from ::ffff:10.0.0.1", from("::ffff:10.0.0.1"), Sender),
        ("from a group's MAC", options(&[1, 1, 3, 0, 0, 0, 0, 1]), Sender),
        ("from no MAC", options(&[1, 1, 0, 0, 0, 0, 0, 0]), Sender),
        ("a frame from a group", with(good().frame(), 6, &[3]), Sender),
        ("no MAC option", options(&[]), Option),
        ("only another option", options(&[14, 1, 0, 0, 0, 0, 0, 0]), Option),
        ("detection with a MAC", Solicits { options: mac.to_vec(), ..detection() }.frame(), Option),
        ("an option without length", options(&[&mac[..], &[14, 0, 0, 0, 0, 0, 0, 0]].concat()), Option),
        ("an option that overruns", options(&[&mac[..], &[14, 2, 0, 0, 0, 0, 0, 0]].concat()), Option),
        ("an option of one byte", options(&[&mac[..], &[14]].concat()), Option),
        ("a MAC of another hardware", options(&[1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Option),
    ]
}

fn dhcp4_rows() -> Vec<Row> {
    use Unproxied::{Checksum, Destination, Foreign, Fragment, Length, Message, Sender, Short};
    let good = || dhcp4(ASKER, &discover(ASKER));
    let changed = |at: usize, bytes: &[u8]| repaired(with(good(), at, bytes));
    let message = |at: usize, bytes: &[u8]| dhcp4(ASKER, &with(discover(ASKER), at, bytes));
    vec![
        ("cut", good()[..good().len() - 1].to_vec(), Short),
        ("cut behind the ports", good()[..OVER_V4 + 4].to_vec(), Short),
        ("a packet shorter than its header", changed(IP + 2, &[0, 19]), Length),
        ("a packet of a header", changed(IP + 2, &[0, 20]), Length),
        ("a datagram longer than the packet", changed(OVER_V4 + 4, &[1, 53]), Length),
        ("a datagram shorter than its header", changed(OVER_V4 + 4, &[0, 7]), Length),
        ("a message of 239 bytes", dhcp4(ASKER, &discover(ASKER)[..239]), Length),
        ("a first fragment", changed(IP + 6, &[0x20, 0]), Fragment),
        ("a wrong checksum of IP", with(good(), IP + 8, &[63]), Checksum),
        ("a wrong checksum of UDP", with(good(), OVER_V4 + 6, &[0xde, 0xad]), Checksum),
        ("to one address", changed(IP + 16, &[10, 0, 0, 9]), Destination),
        ("to a subnet", changed(IP + 16, &[10, 0, 0, 255]), Destination),
        ("from everybody", changed(IP + 12, &[255; 4]), Sender),
        ("from 224.0.0.1", changed(IP + 12, &[224, 0, 0, 1]), Sender),
        ("from 127.0.0.1", changed(IP + 12, &[127, 0, 0, 1]), Sender),
        ("a frame from a group", with(good(), 6, &[3]), Sender),
        ("for a group", message(28, &[3]), Sender),
        ("a server's message", message(0, &[2]), Message),
        ("no operation", message(0, &[0]), Message),
        ("InfiniBand", message(1, &[32, 0]), Foreign),
        ("an address of 16 bytes", message(2, &[16]), Foreign),
    ]
}

fn dhcp6_rows() -> Vec<Row> {
    use Unproxied::{Checksum, Destination, Length, Message, Sender, Short};
    let good = || dhcp6(ASKER, &solicit(ASKER));
    let changed = |at: usize, bytes: &[u8]| repaired(with(good(), at, bytes));
    let address = |ip: &str| ip.parse::<Ipv6Addr>().unwrap().octets();
    vec![
        ("cut", good()[..good().len() - 1].to_vec(), Short),
        ("cut behind the ports", good()[..OVER_V6 + 4].to_vec(), Short),
        ("an empty packet", with(good(), IP + 4, &[0, 0]), Length),
        ("a datagram longer than the packet", changed(OVER_V6 + 4, &[0, 27]), Length),
        ("a datagram shorter than its header", changed(OVER_V6 + 4, &[0, 7]), Length),
        ("a message of 3 bytes", dhcp6(ASKER, &[1, 2, 3]), Length),
        ("a wrong checksum", with(good(), OVER_V6 + 6, &[0xde, 0xad]), Checksum),
        ("no checksum", with(good(), OVER_V6 + 6, &[0, 0]), Checksum),
        ("to all nodes", repaired(with(with(good(), IP + 24, &address("ff02::1")), 0, &[0x33, 0x33, 0, 0, 0, 1])), Destination),
        ("to the MAC of all nodes", with(good(), 0, &[0x33, 0x33, 0, 0, 0, 1]), Destination),
        ("to all servers of the site", changed(IP + 24, &address("ff05::1:3")), Destination),
        ("from a global address", changed(IP + 8, &address("fd00::1")), Sender),
        ("from nobody", changed(IP + 8, &address("::")), Sender),
        ("a frame from a group", with(good(), 6, &[3]), Sender),
        ("a server's message", dhcp6(ASKER, &with(solicit(ASKER), 0, &[2])), Message),
        ("a relay's message", dhcp6(ASKER, &with(solicit(ASKER), 0, &[12])), Message),
    ]
}

#[test]
fn each_reason_is_given_to_the_frames_it_is_for() {
    let rows = [arp_rows(), ndp_rows(), dhcp4_rows(), dhcp6_rows()].concat();
    for (what, frame, why) in &rows {
        assert_eq!(asked(frame), Err(*why), "{what}: {frame:02x?}");
        if *why != Unproxied::Short {
            assert_eq!(asked(&[&frame[..], &[0; 3]].concat()), Err(*why), "{what}, padded");
        }
    }
    for why in Unproxied::ALL {
        assert!(rows.iter().any(|(_, _, given)| given == why), "no frame is {why}");
    }
}

#[test]
fn what_is_not_for_a_proxy_goes_to_the_table() {
    let solicitation = Solicits::new(ASKER, ASKER_V6, OWNER_V6);
    let ping = with(solicitation.frame(), OVER_V6, &[128]);
    let (dhcp4, dhcp6) = (dhcp4(ASKER, &discover(ASKER)), dhcp6(ASKER, &solicit(ASKER)));
    let request = arp_request((ASKER, ASKER_V4), OWNER_V4);
    let hop_by_hop = {
        // The router alert that MLD has.
        let frame = solicitation.frame();
        let packet = with(frame[IP..OVER_V6].to_vec(), 4, &[0, 40, 0]);
        [&frame[..IP], &packet, &[58, 0, 5, 2, 0, 0, 1, 0], &frame[OVER_V6..]].concat()
    };
    let rows = [
        ("nothing", vec![]),
        ("half a header", request[..13].to_vec()),
        ("no packet", dhcp4[..14].to_vec()),
        ("half a tag", tagged(&request, TWO_TAGS)[..17].to_vec()),
        ("a third tag", tagged(&request, &[(0x88a8, 1), (0x8100, 2), (0x8100, 3)])),
        ("a reply", arp(ArpOperation::REPLY, (OWNER, OWNER_V4), (ASKER, ASKER_V4))),
        ("a reply in the name of another", with(arp(ArpOperation::REPLY, (OWNER, OWNER_V4), (ASKER, ASKER_V4)), 6, &ASKER.0)),
        ("a reply of other hardware", with(arp(ArpOperation::REPLY, (OWNER, OWNER_V4), (ASKER, ASKER_V4)), IP, &[0, 6])),
        ("inverse ARP", with(request.clone(), IP + 6, &[0, 8])),
        ("reverse ARP", with(request.clone(), 12, &[0x80, 0x35])),
        ("IPv4", with(dhcp4.clone(), OVER_V4, &[0, 53])),
        ("IPv4 to another port", with(dhcp4.clone(), OVER_V4 + 2, &[0, 68])),
        ("TCP", with(dhcp4.clone(), IP + 9, &[6])),
        ("DHCP to one server", with(dhcp4.clone(), 0, &OWNER.0)),
        ("DHCP to a group", with(dhcp4.clone(), 0, &[1, 0, 0x5e, 0, 0, 1])),
        ("a later fragment", with(dhcp4.clone(), IP + 6, &[0, 1])),
        ("IPv4 of version 5", with(dhcp4.clone(), IP, &[0x55])),
        ("IPv4 with a header of 16 bytes", with(dhcp4.clone(), IP, &[0x44])),
        ("IPv4 with a header to its end", with(dhcp4[..OVER_V4].to_vec(), IP, &[0x4f])),
        ("IPv4 cut in its header", dhcp4[..OVER_V4 - 1].to_vec()),
        ("IPv4 cut in its ports", dhcp4[..OVER_V4 + 3].to_vec()),
        ("a solicitation to one station", Solicits { to: OWNER, group: OWNER_V6, ..solicitation.clone() }.frame()),
        ("DHCPv6 to one server", with(dhcp6.clone(), 0, &OWNER.0)),
        ("DHCPv6 from a server", with(dhcp6.clone(), OVER_V6, &[2, 0x23, 2, 0x22])),
        ("IPv6 cut in its header", dhcp6[..OVER_V6 - 1].to_vec()),
        ("IPv6 cut behind its header", solicitation.frame()[..OVER_V6].to_vec()),
        ("IPv6 of version 4", with(solicitation.frame(), IP, &[0x40])),
        ("an empty packet", with(solicitation.frame(), IP + 4, &[0, 0])),
        ("an echo request", ping),
        ("an advertisement", unsolicited_advertisement(OWNER_V6, OWNER, None)),
        ("a solicitation behind extension headers", hop_by_hop),
        ("a fragment of a solicitation", with(solicitation.frame(), IP + 6, &[44])),
    ];
    for (what, frame) in rows {
        assert_eq!(asked(&frame), Ok(None), "{what}: {frame:02x?}");
    }
}

#[test]
fn no_question_is_found_in_a_part_of_one() {
    for frame in questions() {
        assert!(matches!(asked(&frame), Ok(Some(_))), "{frame:02x?}");
        for frame in [tagged(&frame, TWO_TAGS), frame] {
            for len in 0..frame.len() {
                let found = asked(&frame[..len]);
                assert!(matches!(found, Ok(None) | Err(Unproxied::Short)), "{found:?} in {len} bytes of {frame:02x?}");
            }
        }
    }
}

#[test]
fn a_flipped_bit_is_noticed() {
    for frame in questions().into_iter().filter(|frame| frame[12..14] != [8, 6]) {
        // What no checksum covers: destination and sender of the frame, and the first four bytes of IPv6 but the version.
        let from = if frame[12] == 8 { IP } else { IP + 4 };
        for bit in from * 8..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // The hop limit of DHCPv6 may be any: only routers look at it.
            let free = frame[IP + 6] == 17 && frame[12] != 8 && bit / 8 == IP + 7;
            let found = asked(&damaged);
            assert_eq!(matches!(found, Ok(Some(_))), free, "{found:?} with bit {} of byte {} flipped in {frame:02x?}", bit % 8, bit / 8);
        }
    }
}

#[test]
fn a_reason_has_one_word_and_a_sentence() {
    for why in Unproxied::ALL {
        assert!(why.name().bytes().all(|byte| byte.is_ascii_lowercase()), "{why}");
        assert_eq!(format!("{why}"), format!("{why:?}").to_lowercase());
        assert!(why.explanation().ends_with(['.', '?']) && !why.explanation().contains('\n'), "{}", why.explanation());
    }
    assert_eq!(format!("{:>10}", Unproxied::Routed), "    routed");
}
