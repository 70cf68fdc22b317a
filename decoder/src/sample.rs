//! Frames for the tests that hold a short way to the general one: nearly all are what the short ways are for, the rest almost.

use crate::checksum::internet;
use proptest::collection::vec;
use proptest::prelude::*;

/// A frame as captured, and its length on the wire.
pub(crate) type Sample = (Vec<u8>, u32);

/// TCP, UDP or ICMP over IPv4 or IPv6 in VXLAN over IPv4, mostly sound: then a few bytes are overwritten, the end is cut off or a
/// trailer is added.
pub(crate) fn frames() -> impl Strategy<Value = Sample> {
    let numbers = (any::<[u8; 40]>(), any::<[u8; 40]>(), any::<u32>());
    let kinds = (any::<bool>(), prop_oneof![Just(6u8), Just(17), Just(1), Just(132)], prop_oneof![Just(4789u16), Just(8472), Just(53)]);
    let faults = (vec((0usize..140, any::<u8>()), 0..3), prop_oneof![4 => Just(usize::MAX), 1 => 0usize..160], 0usize..90, any::<bool>());
    (numbers, kinds, vec(any::<u8>(), 0..300), faults).prop_map(|((head, transport, vni), kinds, payload, faults)| {
        let (version6, protocol, port) = kinds;
        let transport = transport_header(protocol, transport, payload.len());
        let length = transport.len() + payload.len();
        let mut inner = [&[2, 8, 0x20, 10, 0, 1, 2, 8, 0x20, 10, 0, 2][..], if version6 { &[0x86, 0xdd] } else { &[8, 0][..] }].concat();
        if version6 {
            inner.extend([0x60 | head[0] & 15, head[1], head[2], head[3]]);
            inner.extend([&(length as u16).to_be_bytes()[..], &[protocol, 64]].concat());
            // Addresses with zeros in them.
            inner.extend(head[8..].iter().map(|byte| if byte % 3 == 0 { *byte } else { 0 }));
        } else {
            inner.extend(ipv4(protocol, length, &head[..20]));
        }
        inner.extend(transport);
        inner.extend(payload);
        let mut frame = [&head[20..32], &[8, 0]].concat();
        frame.extend(ipv4(17, 16 + inner.len(), &head[10..30]));
        frame.extend([0xc0 | head[5], head[6]]);
        frame.extend([port, 16 + inner.len() as u16, 0].map(u16::to_be_bytes).concat());
        frame.extend([8, 0, 0, 0]);
        frame.extend((vni << 8).to_be_bytes());
        frame.extend(inner);
        spoil(frame, faults)
    })
}

/// A frame in another VXLAN tunnel over IPv4.
pub(crate) fn tunneled((frame, wire_len): Sample) -> Sample {
    let length = 16 + wire_len as usize;
    let mut outer = [[2, 0x88, 0, 0, 0, 1, 2, 0x88, 0, 0, 0, 2].as_slice(), &[8, 0]].concat();
    outer.extend(ipv4(17, length, &[5; 20]));
    outer.extend([49_500, 4789, length as u16, 0].map(u16::to_be_bytes).concat());
    outer.extend([8, 0, 0, 0, 0, 0, 77, 0]);
    let wire_len = wire_len + outer.len() as u32;
    outer.extend(frame);
    (outer, wire_len)
}

fn spoil(mut frame: Vec<u8>, (overwritten, captured, trailer, on_wire): (Vec<(usize, u8)>, usize, usize, bool)) -> Sample {
    for (at, byte) in overwritten {
        if let Some(place) = frame.get_mut(at) {
            *place = byte;
        }
    }
    if on_wire {
        frame.resize(frame.len() + trailer, 0);
    }
    let wire_len = frame.len() as u32;
    frame.truncate(captured);
    (frame, wire_len)
}

/// A header for `length` bytes. Now and then it is one of a first fragment, has the reserved flag, or options.
fn ipv4(protocol: u8, length: usize, numbers: &[u8]) -> Vec<u8> {
    let flags = match numbers[2] % 16 {
        0 => 0,
        1 => 0x20,
        2 => 0xc0,
        _ => 0x40,
    };
    let options: &[u8] = if numbers[3].is_multiple_of(16) { &[1, 1, 1, 0] } else { &[] };
    let length = 20 + options.len() + length;
    let mut header = vec![0x45 + options.len() as u8 / 4, numbers[1]];
    header.extend((length as u16).to_be_bytes());
    header.extend([numbers[4], numbers[5], flags, 0, 64, protocol, 0, 0]);
    header.extend(&numbers[12..20]);
    header.extend(options);
    let checksum = internet(&header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header
}

fn transport_header(protocol: u8, mut bytes: [u8; 40], payload: usize) -> Vec<u8> {
    // Ports that stand for nothing else.
    (bytes[0], bytes[2]) = (0x90, 0xa0);
    match protocol {
        6 => {
            bytes[12] = 0x80;
            bytes[20..24].copy_from_slice(&[1, 1, 8, 10]);
            bytes[..32].to_vec()
        }
        17 => {
            bytes[4..6].copy_from_slice(&(8 + payload as u16).to_be_bytes());
            bytes[..8].to_vec()
        }
        1 => [&[8, 0], &bytes[2..8]].concat(),
        _ => bytes[..12].to_vec(),
    }
}
