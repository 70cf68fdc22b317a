//! What is answered, and how.

use super::*;
use proptest::prelude::*;

fn bytes_of(tags: &[(u16, u16)]) -> Vec<u8> {
    tags.iter().flat_map(|(kind, tag)| [kind.to_be_bytes(), tag.to_be_bytes()].concat()).collect()
}

#[test]
fn a_request_is_answered_to_who_asks_in_its_vlan() {
    let request = arp_of(&tagged(&arp_request((ASKER, ASKER_V4), OWNER_V4), TWO_TAGS));
    assert_eq!((request.target(), request.sender(), request.is_probe()), (OWNER_V4, (ASKER, ASKER_V4), false));
    let reply = request.reply(OWNER);
    let (to, from, tags, packet) = read(&reply);
    assert_eq!((to, from, tags), (ASKER, OWNER, bytes_of(TWO_TAGS)));
    assert_eq!(read_arp(&packet), ((OWNER, OWNER_V4), (ASKER, ASKER_V4), true));
}

#[test]
fn a_probe_hears_that_the_address_is_taken() {
    let request = arp_of(&arp_request((ASKER, Ipv4Addr::UNSPECIFIED), OWNER_V4));
    assert!(request.is_probe());
    let reply = request.reply(OWNER);
    let (to, _, _, packet) = read(&reply);
    assert_eq!(to, ASKER);
    assert_eq!(read_arp(&packet), ((OWNER, OWNER_V4), (ASKER, Ipv4Addr::UNSPECIFIED), true));
}

#[test]
fn a_request_to_one_station_is_answered_too() {
    // Linux asks the neighbour it knows before it asks everybody.
    let request = arp_of(&with(arp_request((ASKER, ASKER_V4), OWNER_V4), 0, &OWNER.0));
    assert_eq!(request.target(), OWNER_V4);
}

#[test]
fn what_a_target_mac_of_a_request_says_does_not_matter() {
    let request = arp(etherparse::ArpOperation::REQUEST, (ASKER, ASKER_V4), (Mac::BROADCAST, OWNER_V4));
    assert_eq!(arp_of(&request).reply(OWNER), arp_of(&arp_request((ASKER, ASKER_V4), OWNER_V4)).reply(OWNER));
}

#[test]
fn an_announcement_is_a_request_of_its_own_address() {
    let frame = gratuitous_arp(OWNER_V4, OWNER, Mac::BROADCAST, Some(100));
    let (to, from, tags, packet) = read(&frame);
    assert_eq!((to, from, tags), (Mac::BROADCAST, OWNER, vec![0x81, 0, 0, 100]));
    assert_eq!(read_arp(&packet), ((OWNER, OWNER_V4), (Mac::default(), OWNER_V4), false));
    assert_eq!(asked(&frame), Err(Unproxied::Gratuitous), "our own announcements must not be answered");
    // To one station, without a tag; and an id too large leaves priority and drop-eligible bit alone.
    assert_eq!(gratuitous_arp(OWNER_V4, OWNER, ASKER, None), with([&frame[..12], &frame[16..]].concat(), 0, &ASKER.0));
    assert_eq!(gratuitous_arp(OWNER_V4, OWNER, ASKER, Some(0xf001))[12..16], [0x81, 0, 0, 1]);
}

#[test]
fn a_solicitation_is_answered_to_who_asks_in_its_vlan() {
    let solicitation = ndp_of(&tagged(&Solicits::new(ASKER, ASKER_V6, OWNER_V6).frame(), TWO_TAGS));
    assert_eq!((solicitation.target(), solicitation.sender()), (OWNER_V6, (ASKER, ASKER_V6)));
    assert!(!solicitation.is_duplicate_detection());
    let reply = solicitation.reply(OWNER);
    let (to, from, tags, packet) = read(&reply);
    assert_eq!((to, from, tags), (ASKER, OWNER, bytes_of(TWO_TAGS)));
    let flags = (false, true, true);
    let expected = Advertised { from: OWNER_V6, to: ASKER_V6, hops: 255, flags, target: OWNER_V6, mac: OWNER };
    assert_eq!(read_advertisement(&packet), expected);
}

#[test]
fn duplicate_address_detection_is_answered_to_all_nodes() {
    let solicitation = ndp_of(&Solicits::new(ASKER, Ipv6Addr::UNSPECIFIED, OWNER_V6).frame());
    assert!(solicitation.is_duplicate_detection());
    assert_eq!(solicitation.sender(), (ASKER, Ipv6Addr::UNSPECIFIED));
    let reply = solicitation.reply(OWNER);
    let (to, from, _, packet) = read(&reply);
    let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    assert_eq!((to, from), (Mac([0x33, 0x33, 0, 0, 0, 1]), OWNER));
    let flags = (false, false, true);
    assert_eq!(read_advertisement(&packet), Advertised { from: OWNER_V6, to: all, hops: 255, flags, target: OWNER_V6, mac: OWNER });
    assert_eq!(reply, unsolicited_advertisement(OWNER_V6, OWNER, None), "nobody is told apart");
    assert_eq!(unsolicited_advertisement(OWNER_V6, OWNER, Some(0xf064)), tagged(&reply, &[(0x8100, 100)]));
}

#[test]
fn a_nonce_and_other_options_are_passed_over() {
    // RFC 7527: enhanced duplicate address detection puts a nonce into its solicitations.
    let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
    let detection = Solicits { options: nonce.to_vec(), ..Solicits::new(ASKER, Ipv6Addr::UNSPECIFIED, OWNER_V6) };
    assert!(ndp_of(&detection.frame()).is_duplicate_detection());
    let question = Solicits::new(ASKER, ASKER_V6, OWNER_V6);
    let two_units = [253, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let second = [1, 1, 2, 0, 0, 0, 0, 9];
    let options = [&nonce[..], &two_units, &question.options, &second].concat();
    assert_eq!(ndp_of(&Solicits { options, ..question }.frame()).sender(), (ASKER, ASKER_V6), "the first MAC counts");
}

#[test]
fn a_solicitation_to_all_nodes_is_answered() {
    let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let question = Solicits { to: Mac([0x33, 0x33, 0, 0, 0, 1]), group: all, ..Solicits::new(ASKER, ASKER_V6, OWNER_V6) };
    assert_eq!(ndp_of(&question.frame()).target(), OWNER_V6);
}

#[test]
fn a_dhcp_message_goes_to_one_server_and_is_otherwise_the_same() {
    let server = Mac([2, 8, 0x20, 10, 0, 0x63]);
    let plain = [(DhcpVersion::V4, dhcp4(ASKER, &discover(ASKER))), (DhcpVersion::V6, dhcp6(ASKER, &solicit(ASKER)))];
    for (version, frame) in plain {
        for frame in [tagged(&frame, TWO_TAGS), [&frame[..], &[0; 7]].concat(), frame] {
            let request = dhcp_of(&frame);
            assert_eq!((request.client(), request.version()), (ASKER, version));
            assert_eq!(request.redirect(server), with(frame, 0, &server.0));
            assert_eq!(asked(&request.redirect(server)), Ok(None), "a resent frame must not be redirected again");
        }
    }
}

#[test]
fn a_checksum_that_was_left_to_the_network_card_is_filled_in() {
    // A socket's datagram reaches the TAP with the sum of the pseudo-header alone; what is resent, nobody completes.
    for (frame, field) in [(dhcp4(ASKER, &discover(ASKER)), OVER_V4 + 6), (dhcp6(ASKER, &solicit(ASKER)), OVER_V6 + 6)] {
        let length = u16::try_from(frame.len() - (field - 6)).unwrap();
        let ip = if frame[12] == 8 { &frame[IP + 12..OVER_V4] } else { &frame[IP + 8..OVER_V6] };
        let sum = etherparse::checksum::Sum16BitWords::new().add_slice(ip).add_2bytes([0, 17]).add_2bytes(length.to_be_bytes());
        let partial = (!sum.ones_complement().to_be()).to_be_bytes();
        for tags in [&[][..], TWO_TAGS] {
            let left_to_card = tagged(&with(frame.clone(), field, &partial), tags);
            assert_ne!(left_to_card, tagged(&frame, tags));
            assert_eq!(dhcp_of(&left_to_card).redirect(OWNER), with(tagged(&frame, tags), 0, &OWNER.0));
        }
    }
}

#[test]
fn dhcp_over_ipv4_needs_no_checksum_and_may_have_ip_options() {
    let frame = dhcp4(ASKER, &discover(ASKER));
    assert_eq!(dhcp_of(&with(frame.clone(), OVER_V4 + 6, &[0, 0])).version(), DhcpVersion::V4);
    let mut with_options = [&frame[..OVER_V4], &[1, 1, 1, 0], &frame[OVER_V4..]].concat();
    with_options[IP] = 0x46;
    let total = u16::try_from(with_options.len() - IP).unwrap();
    let with_options = repaired(with(with_options, IP + 2, &total.to_be_bytes()));
    assert_eq!(dhcp_of(&with_options).redirect(OWNER), with(with_options, 0, &OWNER.0));
}

#[test]
fn every_message_of_a_dhcpv6_client_is_redirected_and_no_other() {
    let clients = [1, 3, 4, 5, 6, 8, 9, 11, 20];
    for kind in 0..=255 {
        let message = with(solicit(ASKER), 0, &[kind]);
        let expected = if clients.contains(&kind) { Ok(DhcpVersion::V6) } else { Err(Unproxied::Message) };
        let found = asked(&dhcp6(ASKER, &message)).map(|asked| match asked {
            Some(Asked::Dhcp(request)) => request.version(),
            other => panic!("{other:?}"),
        });
        assert_eq!(found, expected, "message type {kind}");
    }
}

#[test]
fn of_no_answer_is_asked_anything() {
    for frame in questions() {
        let (answer, expected) = match asked(&frame) {
            Ok(Some(Asked::Arp(request))) => (request.reply(OWNER), Ok(None)),
            Ok(Some(Asked::Ndp(solicitation))) => (solicitation.reply(OWNER), Ok(None)),
            Ok(Some(Asked::Dhcp(request))) => (request.redirect(OWNER), Ok(None)),
            other => panic!("{other:?}"),
        };
        assert_eq!(asked(&answer), expected);
    }
}

fn tags() -> impl Strategy<Value = Vec<(u16, u16)>> {
    prop::collection::vec((prop::sample::select(vec![0x8100u16, 0x88a8, 0x9100]), any::<u16>()), 0..=2)
}

fn station() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_map(|[a, b, c, d, e, f]| Mac([a & 0xfe | 2, b, c, d, e, f]))
}

fn host_v4() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from).prop_filter("a station's", |ip| arp::is_host(*ip))
}

fn host_v6() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(Ipv6Addr::from).prop_filter("a station's", |ip| ndp::is_host(*ip))
}

proptest! {
    #[test]
    fn any_request_is_answered(
        sender in (station(), prop_oneof![3 => host_v4(), 1 => Just(Ipv4Addr::UNSPECIFIED)]),
        target in host_v4(), mac in station(), tags in tags(), padding in 0usize..20,
    ) {
        prop_assume!(sender.1 != target);
        let question = [tagged(&arp_request(sender, target), &tags), vec![0xa5; padding]].concat();
        let request = arp_of(&question);
        prop_assert_eq!((request.target(), request.sender()), (target, sender));
        let reply = request.reply(mac);
        let (to, from, found, packet) = read(&reply);
        prop_assert_eq!((to, from, found), (sender.0, mac, bytes_of(&tags)));
        prop_assert_eq!(read_arp(&packet), ((mac, target), sender, true));
        prop_assert_eq!(reply.len(), 42 + 4 * tags.len());
    }

    #[test]
    fn any_solicitation_is_answered(
        from in station(), source in prop_oneof![3 => host_v6(), 1 => Just(Ipv6Addr::UNSPECIFIED)],
        target in host_v6(), mac in station(), tags in tags(), padding in 0usize..20,
    ) {
        let question = [tagged(&Solicits::new(from, source, target).frame(), &tags), vec![0xa5; padding]].concat();
        let solicitation = ndp_of(&question);
        prop_assert_eq!((solicitation.target(), solicitation.sender()), (target, (from, source)));
        let reply = solicitation.reply(mac);
        let (to_mac, from_mac, found, packet) = read(&reply);
        prop_assert_eq!((from_mac, found), (mac, bytes_of(&tags)));
        let detection = source.is_unspecified();
        let to = if detection { "ff02::1".parse().unwrap() } else { source };
        prop_assert_eq!(to_mac, if detection { Mac([0x33, 0x33, 0, 0, 0, 1]) } else { from });
        let expected = Advertised { from: target, to, hops: 255, flags: (false, !detection, true), target, mac };
        prop_assert_eq!(read_advertisement(&packet), expected);
    }

    #[test]
    fn any_dhcp_message_is_redirected(
        from in station(), client in station(), rest in prop::collection::vec(any::<u8>(), 0..600), server in station(), tags in tags(),
    ) {
        let message = [with(discover(client), 4, &from.0[2..]), rest.clone()].concat();
        for frame in [dhcp4(from, &message), dhcp6(from, &[solicit(client), rest].concat())] {
            let frame = tagged(&frame, &tags);
            let request = dhcp_of(&frame);
            prop_assert_eq!(request.client(), from);
            prop_assert_eq!(request.redirect(server), with(frame, 0, &server.0));
        }
    }
}
