//! Is what was written what is read? Stacks of headers with one to four tunnels, whole and cut at every byte.
//!
//! That each header alone reads what it writes is tested in its own file; those that have no such test there are here.

mod stack;

use overlay_decoder::checksum::{self, Status};
use overlay_decoder::layer::{Body, Dns, Gre, Ipv6Ext, Layer, LayerKind, Llc, Snap};
use overlay_decoder::{LinkType, StopKind, Walker};
use proptest::prelude::*;
use stack::{Choices, Part, frame};

/// An Ethernet frame with `tunnels` tunnels, as the bytes decide.
fn built(decisions: &[u8], tunnels: u8) -> Part {
    frame(&mut Choices(decisions), tunnels)
}

fn decisions() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..400)
}

/// The layers without what is only known behind the place where a packet was cut.
fn comparable(layers: &[Layer]) -> Vec<Layer> {
    let mut layers = layers.to_vec();
    for layer in &mut layers {
        if let Body::Ipv6(header) = &mut layer.body {
            header.upper_protocol = header.next_header;
        }
    }
    layers
}

/// The headers, without the bytes behind them that have no name.
fn headers(layers: &[Layer]) -> Vec<Layer> {
    let mut layers = comparable(layers);
    layers.retain(|layer| layer.kind() != LayerKind::Payload);
    layers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_stacked_is_found_layer_by_layer(decisions in decisions(), tunnels in 0..=4_u8) {
        let part = built(&decisions, tunnels);
        let mut walker = Walker::default();
        let packet = walker.walk(&part.bytes, part.bytes.len() as u32, LinkType::ETHERNET);
        prop_assert_eq!(packet.layers, &part.layers[..]);
        prop_assert_eq!(packet.stop, None);
        prop_assert_eq!(packet.gso, None);
        prop_assert_eq!(packet.segments().count(), usize::from(tunnels) + 1);
    }

    #[test]
    fn checksums_that_were_filled_in_hold_and_a_flipped_bit_is_noticed(decisions in decisions(), tunnels in 0..=4_u8, flip: u16) {
        let part = built(&decisions, tunnels);
        let verify = |bytes: &[u8], index: usize| checksum::verify(bytes, &part.layers, index);
        let mut covered = 0..0;
        for (index, layer) in part.layers.iter().enumerate() {
            let sctp_or_none = matches!(layer.body, Body::Sctp(_)) || layer.kind() == LayerKind::Gre;
            match verify(&part.bytes, index) {
                Some(Status::Correct) => covered = layer.offset as usize..layer.end(),
                None => {}
                status => prop_assert!(sctp_or_none, "{status:?} in {layer:?}"),
            }
        }
        if covered.is_empty() {
            return Ok(());
        }
        // The header of the last checksum, but for the field itself and for what the layers (read before) say.
        let at = covered.start + usize::from(flip) / 8 % covered.len();
        let mut bytes = part.bytes.clone();
        bytes[at] ^= 1 << (flip % 8);
        let index = part.layers.iter().position(|layer| layer.offset as usize == covered.start && layer.length > 0).unwrap();
        let mut walker = Walker::default();
        let packet = walker.walk(&bytes, bytes.len() as u32, LinkType::ETHERNET);
        if packet.layers.get(index).is_some_and(|layer| layer.kind() == part.layers[index].kind() && layer.length == part.layers[index].length) {
            let status = checksum::verify(packet.bytes, packet.layers, index);
            prop_assert_ne!(status, Some(Status::Correct), "byte {} of {:?}", at, part.layers[index]);
        }
    }

    #[test]
    fn a_packet_cut_anywhere_is_truncated_and_never_called_malformed(decisions in decisions(), tunnels in 1..=4_u8) {
        let part = built(&decisions, tunnels);
        let all = headers(&part.layers);
        let mut walker = Walker::default();
        let mut before = 0;
        for cut in 0..part.bytes.len() {
            let packet = walker.walk(&part.bytes[..cut], part.bytes.len() as u32, LinkType::ETHERNET);
            let found = headers(packet.layers);
            prop_assert_eq!(&all[..found.len()], &found[..], "cut at {}", cut);
            prop_assert!(found.len() >= before, "more bytes, fewer layers at {}", cut);
            before = found.len();
            let complete = found.len() == all.len();
            match packet.stop {
                None => {
                    // MPLS alone does not say what it carries: without a byte of it, nothing is known to be missing.
                    let unnamed = matches!(found.last().map(|layer| layer.body), Some(Body::Mpls(label)) if label.bottom);
                    prop_assert!(complete || unnamed, "cut at {} nothing seems to be missing behind {:?}", cut, found.last());
                }
                Some(stop) => {
                    prop_assert_eq!(stop.kind, StopKind::Truncated, "cut at {}: {}", cut, stop);
                    prop_assert!(stop.need > stop.have, "cut at {}: {}", cut, stop);
                    if complete {
                        // All headers, but not all of what the last one says: a chunk of SCTP, the packet that an error quotes.
                        let last = found.last().unwrap();
                        prop_assert_eq!((stop.layer, stop.offset as usize), (last.kind(), last.end()), "cut at {}: {}", cut, stop);
                        prop_assert_eq!(stop.offset + stop.have, cut as u32);
                        continue;
                    }
                    let next = all[found.len()..].iter().find(|layer| layer.length > 0).unwrap().kind();
                    // What makes GRE NVGRE stands in its first four bytes.
                    prop_assert!(stop.layer == next || (next, stop.layer) == (LayerKind::Nvgre, LayerKind::Gre), "cut at {cut}: {stop}");
                    prop_assert_eq!(stop.offset as usize, found.last().map_or(0, Layer::end));
                    prop_assert_eq!(stop.offset + stop.have, cut as u32);
                }
            }
        }
    }

    #[test]
    fn a_packet_of_a_packet_decodes_alone_as_it_did_inside(decisions in decisions(), tunnels in 0..=4_u8) {
        let part = built(&decisions, tunnels);
        let (mut outer, mut alone) = (Walker::default(), Walker::default());
        let packet = outer.walk(&part.bytes, part.bytes.len() as u32, LinkType::ETHERNET);
        for segment in packet.segments() {
            let (bytes, link) = segment.frame().unwrap();
            let start = bytes.as_ptr() as usize - packet.bytes.as_ptr() as usize;
            let again = alone.walk(bytes, bytes.len() as u32, link);
            let shifted = |layer: &Layer| Layer { offset: layer.offset + start as u32, ..*layer };
            let found: Vec<Layer> = again.layers.iter().filter(|layer| layer.kind() != LayerKind::Raw).map(shifted).collect();
            let expected = packet.layers.iter().position(|layer| layer.offset as usize == start && layer.length > 0).unwrap();
            prop_assert_eq!(&found[..], &packet.layers[expected..]);
        }
    }

    #[test]
    fn gre_of_any_flags_is_parsed_as_it_was_written(flags: u16, protocol: u16, words: [u32; 3], checksum: u16) {
        let present = |mask: u16| flags & mask != 0;
        let header = Gre {
            flags,
            protocol,
            checksum: present(Gre::CHECKSUM).then_some(checksum),
            key: present(Gre::KEY).then_some(words[0]),
            sequence: present(Gre::SEQUENCE).then_some(words[1]),
            acknowledgment: (flags & Gre::VERSION == 1 && present(Gre::ACKNOWLEDGMENT)).then_some(words[2]),
        };
        let bytes = header.emit();
        prop_assert_eq!(bytes.len(), Gre::length_of(flags));
        prop_assert_eq!(Gre::parse(&bytes), Some(header));
        prop_assert_eq!(Gre::parse(&bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn llc_is_parsed_as_it_was_written(dsap: u8, ssap: u8, control: u8, oui: [u8; 3], protocol: u16, snap: bool) {
        let snapped = Llc { dsap: Llc::SNAP, ssap: Llc::SNAP, control: Llc::UNNUMBERED_INFORMATION, snap: Some(Snap { oui, protocol }) };
        let plain = Llc { dsap, ssap, control, snap: None };
        let header = if snap { snapped } else { plain };
        prop_assume!(snap || (dsap, ssap, control) != (Llc::SNAP, Llc::SNAP, Llc::UNNUMBERED_INFORMATION));
        prop_assert_eq!(Llc::parse(&header.emit()), Some(header));
        prop_assert_eq!(header.emit().len(), header.length());
    }

    #[test]
    fn an_extension_header_keeps_what_it_names(header: u8, bytes: [u8; 8]) {
        let parsed = Ipv6Ext::parse(header, &bytes);
        prop_assert_eq!(Ipv6Ext::parse(header, &parsed.emit()), parsed);
        prop_assert!(parsed.length() >= Ipv6Ext::LENGTH);
    }

    #[test]
    fn dns_reads_its_six_numbers(id: u16, flags: u16, counts: [u16; 4]) {
        let bytes: Vec<u8> = [id, flags, counts[0], counts[1], counts[2], counts[3]].iter().flat_map(|half| half.to_be_bytes()).collect();
        let header = Dns::parse(bytes.first_chunk().unwrap());
        prop_assert_eq!((header.id, header.flags), (id, flags));
        prop_assert_eq!([header.questions, header.answers, header.authorities, header.additionals], counts);
    }
}
