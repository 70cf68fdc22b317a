//! pcapng files built by hand, block by block, in both byte orders.

use overlay_decoder::{LinkType, Timestamp};

use super::*;
use crate::Direction;
use crate::options::{COMMENT, EPB_DROPCOUNT, EPB_FLAGS};
use crate::read::tests::{Seen, read_all};

/// A pcapng file under construction.
struct Build {
    order: Order,
    bytes: Vec<u8>,
}

impl Build {
    /// A file with one section header.
    fn new(order: Order) -> Self {
        let mut build = Self { order, bytes: Vec::new() };
        build.section(order);
        build
    }

    fn u16(&self, value: u16) -> [u8; 2] {
        if self.order == Order::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u32(&self, value: u32) -> [u8; 4] {
        if self.order == Order::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u64(&self, value: u64) -> [u8; 8] {
        if self.order == Order::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn block(&mut self, kind: u32, body: &[u8]) -> &mut Self {
        let mut body = body.to_vec();
        body.resize(padded(body.len()), 0);
        let length = self.u32(body.len() as u32 + BLOCK_OVERHEAD);
        self.bytes.extend([&self.u32(kind)[..], &length, &body, &length].concat());
        self
    }

    fn section(&mut self, order: Order) -> &mut Self {
        self.order = order;
        let body = [&self.u32(ORDER_MAGIC)[..], &self.u16(1), &self.u16(0), &self.u64(u64::MAX)].concat();
        self.block(SECTION_HEADER, &body)
    }

    fn option(&self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = [&self.u16(code)[..], &self.u16(value.len() as u16), value].concat();
        bytes.resize(padded(bytes.len()), 0);
        bytes
    }

    fn interface(&mut self, link: u16, snaplen: u32, options: &[Vec<u8>]) -> &mut Self {
        let body = [&self.u16(link)[..], &[0, 0], &self.u32(snaplen), &options.concat()].concat();
        self.block(INTERFACE, &body)
    }

    /// An enhanced packet with as many bytes on the wire as captured.
    fn packet(&mut self, interface: u32, ticks: u64, bytes: &[u8], options: &[Vec<u8>]) -> &mut Self {
        let mut body =
            [interface, (ticks >> 32) as u32, ticks as u32, bytes.len() as u32, bytes.len() as u32].map(|v| self.u32(v)).concat();
        body.extend(bytes);
        body.resize(padded(body.len()), 0);
        body.extend(options.concat());
        self.block(ENHANCED_PACKET, &body)
    }

    fn read(&self) -> (Vec<Seen>, Option<crate::ReadError>) {
        read_all(self.bytes.clone())
    }

    fn sentence(&self) -> String {
        self.read().1.expect("an error").to_string()
    }
}

const ORDERS: [Order; 2] = [Order::Little, Order::Big];

#[test]
fn two_sections_of_different_byte_order_number_their_interfaces_anew() {
    for (first, second) in [(Order::Little, Order::Big), (Order::Big, Order::Little)] {
        let mut build = Build::new(first);
        let name = build.option(IF_NAME, b"eth0");
        build.interface(1, 64, &[name]).interface(101, 0, &[]);
        build.packet(0, 1_000_001, &[1, 2, 3], &[]).packet(1, 2_000_002, &[4], &[]);
        build.section(second);
        let (name, resolution) = (build.option(IF_NAME, b"lo\0"), build.option(IF_TSRESOL, &[9]));
        build.interface(113, 0, &[name, resolution]).packet(0, 3_000_000_003, &[5], &[]);
        let (seen, error) = build.read();
        assert!(error.is_none(), "{error:?}");
        let brief: Vec<_> = seen
            .iter()
            .map(|s| {
                let interface = s.interface.as_ref().unwrap();
                (s.number, s.timestamp.unwrap(), s.link, interface.section, interface.index, interface.name.as_deref(), interface.snaplen)
            })
            .collect();
        assert_eq!(
            brief,
            [
                (1, Timestamp::new(1, 1_000), LinkType::ETHERNET, 0, 0, Some("eth0"), 64),
                (2, Timestamp::new(2, 2_000), LinkType::RAW, 0, 1, None, 0),
                (3, Timestamp::new(3, 3), LinkType::LINUX_SLL, 1, 0, Some("lo"), 0),
            ]
        );
    }
}

#[test]
fn offsets_and_binary_resolutions_give_exact_times() {
    for order in ORDERS {
        let mut build = Build::new(order);
        let (resolution, offset) =
            (build.option(IF_TSRESOL, &[0x80 | 20]), build.option(IF_TSOFFSET, &build.u64((-5_i64).cast_unsigned())));
        build.interface(1, 0, &[resolution, offset]).packet(0, (3 << 20) | (1 << 19), &[], &[]);
        let (seen, _) = build.read();
        assert_eq!(seen[0].timestamp, Some(Timestamp::new(-2, 500_000_000)));
        assert_eq!(seen[0].interface.as_ref().unwrap().offset_seconds, -5);
    }
}

#[test]
fn comments_direction_and_drops_are_read_in_both_orders() {
    for order in ORDERS {
        let mut build = Build::new(order);
        let options = [
            build.option(COMMENT, b"one"),
            build.option(EPB_FLAGS, &build.u32(2)),
            build.option(EPB_DROPCOUNT, &build.u64(1 << 40)),
            build.option(COMMENT, b"two"),
            build.option(0, b""),
        ];
        build.interface(1, 0, &[]).packet(0, 0, &[1, 2, 3, 4, 5], &options);
        let (seen, _) = build.read();
        assert_eq!((seen[0].direction, seen[0].dropped), (Some(Direction::Outbound), Some(1 << 40)));
        assert_eq!(seen[0].comments, ["one", "two"]);
        assert_eq!(seen[0].bytes, [1, 2, 3, 4, 5]);
    }
}

#[test]
fn simple_packets_have_no_time_and_end_at_the_snaplen() {
    for order in ORDERS {
        let mut build = Build::new(order);
        let body = [&build.u32(9)[..], &[1, 2, 3, 4]].concat();
        build.interface(1, 3, &[]).block(SIMPLE_PACKET, &body);
        let (seen, error) = build.read();
        assert!(error.is_none(), "{error:?}");
        assert_eq!((seen[0].timestamp, seen[0].len, seen[0].bytes.as_slice()), (None, 9, &[1, 2, 3][..]));
    }
}

#[test]
fn obsolete_packets_carry_their_drop_count_unless_it_is_unknown() {
    for (order, drops, expected) in [(Order::Little, 3, Some(3)), (Order::Big, 0, Some(0)), (Order::Big, 0xffff, None)] {
        let mut build = Build::new(order);
        let fixed = [0, 7, 2, 60].map(|v| build.u32(v)).concat();
        let body = [&build.u16(0)[..], &build.u16(drops), &fixed, &[0xaa, 0xbb, 0, 0], &build.option(2, &build.u32(1))].concat();
        build.interface(1, 0, &[]).block(OBSOLETE_PACKET, &body);
        let (seen, error) = build.read();
        assert!(error.is_none(), "{error:?}");
        assert_eq!((seen[0].len, seen[0].bytes.as_slice(), seen[0].dropped), (60, &[0xaa, 0xbb][..], expected));
        assert_eq!((seen[0].timestamp, seen[0].direction), (Some(Timestamp::new(0, 7_000)), Some(Direction::Inbound)));
    }
}

#[test]
fn other_blocks_are_skipped_even_when_they_are_longer_than_the_window() {
    for order in ORDERS {
        let mut build = Build::new(order);
        build.interface(1, 0, &[]);
        build.block(4, b"names").block(0xbad, &[7; 40]).block(0x8000_0001, &vec![9; 3 << 20]).packet(0, 1, &[1], &[]);
        build.block(0xa, &vec![8; (MAX_BLOCK_BYTES - BLOCK_OVERHEAD) as usize]).packet(0, 2, &[2], &[]);
        let (seen, error) = build.read();
        assert!(error.is_none(), "{error:?}");
        assert_eq!(seen.iter().map(|s| s.bytes[0]).collect::<Vec<_>>(), [1, 2]);
    }
}

#[test]
fn a_skipped_block_can_be_cut_off_or_damaged_too() {
    let mut build = Build::new(Order::Little);
    let start = build.bytes.len();
    build.block(0xbad, &vec![9; 1 << 20]);
    let whole = build.bytes.clone();
    for (missing, at) in [(1, whole.len() - 1), (4, whole.len() - 4), (5, whole.len() - 5), (1 << 19, whole.len() - (1 << 19))] {
        build.bytes.truncate(whole.len() - missing);
        let plural = if missing == 1 { "" } else { "s" };
        assert_eq!(
            build.sentence(),
            format!("capture: cut off at byte {at} in the block at byte {start}: needs {missing} more byte{plural}")
        );
        build.bytes.clone_from(&whole);
    }
    *build.bytes.last_mut().unwrap() = 1;
    assert_eq!(
        build.sentence(),
        "capture: the block at byte 28: length 1048588 at the start of the block, 17825804 at its end: both are the same in a sound file"
    );
}

#[test]
fn lengths_that_cannot_be_are_refused_with_place_and_limit() {
    let mut build = Build::new(Order::Big);
    build.interface(1, 0, &[]).packet(0, 1, &[1], &[]);
    let start = build.bytes.len();
    let good = build.bytes.clone();
    for (kind, length, sentence) in [
        (0xbad, 8, "block length 8: a multiple of 4 and at least 12 is allowed"),
        (0xbad, 30, "block length 30: a multiple of 4 and at least 12 is allowed"),
        (0xbad, MAX_BLOCK_BYTES + 4, "claims 16777220 bytes; at most 16777216 are read"),
        (INTERFACE, MAX_KEPT_BLOCK_BYTES + 4, "claims 2097156 bytes; at most 2097152 are read"),
    ] {
        build.bytes.clone_from(&good);
        build.bytes.extend([build.u32(kind), build.u32(length)].concat());
        build.bytes.extend([0; 64]);
        let (seen, error) = build.read();
        assert_eq!(seen.len(), 1, "what was good before {sentence} is delivered");
        let between = if sentence.starts_with("claims") { " " } else { ": " };
        assert_eq!(error.unwrap().to_string(), format!("capture: the block at byte {start}{between}{sentence}"));
    }
}

#[test]
fn packets_that_contradict_their_file_are_named_by_number() {
    let mut build = Build::new(Order::Little);
    build.packet(0, 0, &[], &[]);
    assert_eq!(build.sentence(), "capture: record 1 at byte 28: interface 0, but the section has described none");

    let mut build = Build::new(Order::Little);
    build.interface(1, 0, &[]).interface(1, 0, &[]).packet(2, 0, &[], &[]);
    assert_eq!(build.sentence(), "capture: record 1 at byte 68: interface 2, but the section has described only 0 to 1");

    let mut build = Build::new(Order::Little);
    let body = [0, 0, 0, 9, 9].map(u32::to_le_bytes).concat();
    build.interface(1, 0, &[]).packet(0, 0, &[], &[]).block(ENHANCED_PACKET, &body);
    assert_eq!(build.sentence(), "capture: record 2 at byte 80: claims 9 captured bytes, but its block has room for 0");

    let mut build = Build::new(Order::Little);
    build.interface(1, 0, &[]).block(ENHANCED_PACKET, &[0; 16]);
    assert_eq!(build.sentence(), "capture: record 1 at byte 48: packet block with 16 bytes inside: at least 20 are needed");
}

#[test]
fn a_block_whose_lengths_differ_is_not_trusted() {
    for order in ORDERS {
        let mut build = Build::new(order);
        build.interface(1, 0, &[]).packet(0, 1, &[1], &[]);
        let start = build.bytes.len();
        build.packet(0, 2, &[2, 2, 2, 2], &[]);
        let (end, other) = (build.bytes.len(), build.u32(40));
        build.bytes[end - 4..].copy_from_slice(&other);
        let (seen, error) = build.read();
        assert_eq!(seen.len(), 1);
        assert_eq!(
            error.unwrap().to_string(),
            format!(
                "capture: record 2 at byte {start}: length 36 at the start of the block, 40 at its end: both are the same in a sound file"
            )
        );
    }
}

#[test]
fn section_and_interface_headers_are_checked() {
    let mut build = Build::new(Order::Little);
    build.bytes[8] = 0;
    assert!(
        build.sentence().starts_with("capture: the block at byte 0: section header with byte-order magic 003c2b1a"),
        "{}",
        build.sentence()
    );

    let mut build = Build::new(Order::Big);
    build.bytes[13] = 2;
    assert_eq!(build.sentence(), "capture: the block at byte 0: pcapng version 2.0: only 1.x is read");

    let mut build = Build::new(Order::Big);
    let option = build.option(IF_TSRESOL, &[6, 6]);
    build.interface(1, 0, &[option]);
    assert_eq!(build.sentence(), "capture: the block at byte 28: if_tsresol of 2 bytes: it has one");
}

#[test]
fn the_number_of_interfaces_is_bounded() {
    let mut build = Build::new(Order::Little);
    for _ in 0..=MAX_INTERFACES {
        build.interface(1, 0, &[]);
    }
    assert!(build.sentence().ends_with("interface 16384: at most 16384 are read in one section"), "{}", build.sentence());
    let mut build = Build::new(Order::Little);
    let name = build.option(IF_NAME, &[b'x'; 65_000]);
    for _ in 0..40 {
        build.interface(1, 0, std::slice::from_ref(&name));
    }
    assert!(build.sentence().ends_with("names and descriptions of interfaces over 2097152 bytes in one section"), "{}", build.sentence());
}

#[test]
fn the_latest_statistics_of_every_interface_and_section_add_up() {
    let mut build = Build::new(Order::Big);
    build.interface(1, 0, &[]).interface(1, 0, &[]);
    for (interface, ifdrop, osdrop) in [(0_u32, 1, 2), (1, 10, 20), (0, 3, 4)] {
        let options = [build.option(ISB_IFDROP, &build.u64(ifdrop)), build.option(ISB_OSDROP, &build.u64(osdrop))].concat();
        let body = [&build.u32(interface)[..], &[0; 8], &options].concat();
        build.block(STATISTICS, &body);
    }
    build.section(Order::Little).interface(1, 0, &[]);
    let body = [&[0; 12][..], &build.option(ISB_IFDROP, &build.u64(100))].concat();
    build.block(STATISTICS, &body);
    let mut reader = crate::Reader::new(std::io::Cursor::new(build.bytes)).unwrap();
    assert_eq!(reader.reported_drops(), None);
    assert!(!reader.next_chunk(&mut crate::Chunk::new()).unwrap());
    assert_eq!(reader.reported_drops(), Some(3 + 4 + 10 + 20 + 100));
}
