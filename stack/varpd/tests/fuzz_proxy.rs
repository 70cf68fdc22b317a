//! Can a tenant send anything that the proxies panic on, or that they answer and should not? `OVERLAY_FUZZ_SECONDS` sets how long each
//! target runs; without it each takes two seconds.
//!
//! Random bytes are hardly ever a question, so the second target damages sound ones, and makes their checksums right again as often as not.
//! What is taken for a question is read by the decoder, too, which knows nothing of proxies; and so is what is answered.

#[path = "../src/proxy/tests/sample.rs"]
#[allow(dead_code, reason = "the proxies' own tests use the rest")]
mod sample;

use overlay_decoder::checksum::{self, Status};
use overlay_decoder::layer::number::port;
use overlay_decoder::layer::{Arp, Body, Icmpv6, LayerKind};
use overlay_decoder::{LinkType, Mac, Packet, Walker};
use overlay_varpd::proxy::{Asked, DhcpVersion, Unproxied, asked};
use sample::{OWNER, questions, repaired, tagged};
use std::time::Duration;

fn fuzz(look: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    let seconds = std::env::var("OVERLAY_FUZZ_SECONDS").ok().and_then(|value| value.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(2));
    bolero::check!().with_iterations(usize::MAX).with_test_time(time).with_max_len(1024).for_each(|input: &[u8]| look(input));
}

/// Decisions out of bytes; zeros when they run out.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    /// 0 to `n` - 1.
    fn below(&mut self, n: u8) -> u8 {
        self.byte() % n
    }

    fn place(&mut self, len: usize) -> usize {
        usize::from(u16::from_be_bytes([self.byte(), self.byte()])) % len.max(1)
    }
}

/// A question with a few bytes overwritten, cut, padded, tagged.
fn damaged(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut questions = questions();
    let which = usize::from(choices.byte()) % questions.len();
    let mut frame = questions.swap_remove(which);
    for _ in 0..choices.below(4) {
        // Most of what decides is in the first hundred bytes.
        let near = if choices.below(4) == 0 { frame.len() } else { frame.len().min(100) };
        let at = choices.place(near);
        frame[at] = choices.byte();
    }
    match choices.below(8) {
        0 => frame.truncate(choices.place(frame.len() + 1)),
        1 => frame.resize(frame.len() + usize::from(choices.byte()), 0xa5),
        _ => {}
    }
    if choices.below(2) == 0 {
        frame = repaired(frame);
    }
    let tags = [(0x88a8, 7), (0x8100, 0xffff), (0x9100, 1)];
    let depth = usize::from(choices.below(8)).saturating_sub(4);
    if frame.len() < 12 { frame } else { tagged(&frame, &tags[..depth]) }
}

/// What a proxy finds in a frame, held against what the decoder finds.
fn look(frame: &[u8]) {
    match asked(frame) {
        Ok(None) => {}
        Err(why) => assert!(Unproxied::ALL.contains(&why)),
        Ok(Some(Asked::Arp(request))) => {
            let operation = |frame: &[u8]| with_walk(frame, arp_of);
            let message = operation(frame);
            assert_eq!((message.operation, message.target_ip), (Arp::REQUEST, request.target()));
            assert_eq!((message.sender_mac, message.sender_ip), request.sender());
            let reply = request.reply(OWNER);
            let said = operation(&reply);
            assert_eq!((said.operation, said.sender_ip, said.sender_mac), (Arp::REPLY, request.target(), OWNER));
            assert_eq!((said.target_mac, said.target_ip), request.sender());
            answered(&reply, request.sender().0);
        }
        Ok(Some(Asked::Ndp(solicitation))) => {
            let sound = |frame: &[u8], kind: u8| {
                with_walk(frame, |packet| {
                    let index = packet.layers.iter().position(|layer| layer.kind() == LayerKind::Icmpv6).unwrap();
                    let layer = &packet.layers[index];
                    let Body::Icmpv6(header) = layer.body else { panic!("{layer:?}") };
                    assert_eq!((header.kind, header.code), (kind, 0));
                    assert_eq!(checksum::verify(frame, packet.layers, index), Some(Status::Correct));
                    assert_eq!(header.target(&frame[layer.end()..]), Some(solicitation.target()));
                    let Body::Ipv6(ip) = packet.layers[index - 1].body else { panic!("{packet:?}") };
                    assert_eq!(ip.hop_limit, 255);
                    ip.src
                })
            };
            assert_eq!(sound(frame, Icmpv6::NEIGHBOR_SOLICITATION), solicitation.sender().1);
            let reply = solicitation.reply(OWNER);
            assert_eq!(sound(&reply, Icmpv6::NEIGHBOR_ADVERTISEMENT), solicitation.target());
            let all_nodes = Mac([0x33, 0x33, 0, 0, 0, 1]);
            answered(&reply, if solicitation.is_duplicate_detection() { all_nodes } else { solicitation.sender().0 });
        }
        Ok(Some(Asked::Dhcp(request))) => {
            let resent = request.redirect(OWNER);
            let (field, status) = with_walk(&resent, |packet| {
                let index = packet.layers.iter().position(|layer| layer.kind() == LayerKind::Udp).unwrap();
                let layer = &packet.layers[index];
                let Body::Udp(udp) = layer.body else { panic!("{layer:?}") };
                let ports = match request.version() {
                    DhcpVersion::V4 => (port::DHCP_CLIENT, port::DHCP_SERVER),
                    DhcpVersion::V6 => (port::DHCPV6_CLIENT, port::DHCPV6_SERVER),
                };
                assert_eq!((udp.src_port, udp.dst_port), ports);
                (layer.offset as usize + 6, checksum::verify(&resent, packet.layers, index))
            });
            let zero = request.version() == DhcpVersion::V4 && status == Some(Status::Zero);
            assert!(zero || status == Some(Status::Correct), "{status:?}");
            // Nothing else was touched.
            let mut expected = frame.to_vec();
            expected[..6].copy_from_slice(&OWNER.0);
            expected[field..field + 2].copy_from_slice(&resent[field..field + 2]);
            assert_eq!(resent, expected);
            answered(&resent, OWNER);
        }
    }
}

/// An answer goes to the station it is for, and asks nothing.
fn answered(answer: &[u8], to: Mac) {
    assert_eq!(answer[..6], to.0);
    assert_eq!(asked(answer), Ok(None));
}

fn arp_of(packet: &Packet<'_>) -> Arp {
    match packet.layers.iter().find(|layer| layer.kind() == LayerKind::Arp).map(|layer| layer.body) {
        Some(Body::Arp(message)) => message,
        other => panic!("{other:?} in {packet:?}"),
    }
}

fn with_walk<T>(frame: &[u8], read: impl FnOnce(&Packet<'_>) -> T) -> T {
    let mut walker = Walker::default();
    read(&walker.walk(frame, u32::try_from(frame.len()).unwrap(), LinkType::ETHERNET))
}

#[test]
fn any_bytes() {
    fuzz(look);
}

#[test]
fn damaged_questions() {
    fuzz(|input| look(&damaged(&mut Choices(input))));
}
