//! Was this packet here before? On several interfaces, `any` above all, one packet is seen on its way through each of them.

use overlay_decoder::{LayerKind, Packet, Timestamp};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How long a packet may take from one interface to the next; equal bytes after that are another packet.
const WINDOW_NANOSECONDS: i128 = 100_000_000;
/// Packets that are remembered.
const REMEMBERED: usize = 16_384;
/// Bytes of a packet that are compared.
const COMPARED_BYTES: usize = 512;

/// The packets of the last tenth of a second.
#[derive(Default)]
pub(crate) struct Sightings {
    seen: HashMap<u64, Timestamp>,
}

impl Sightings {
    /// Whether the same packet was seen a moment ago. The link header does not count: it is another on each interface.
    pub(crate) fn again(&mut self, packet: &Packet<'_>, time: Option<Timestamp>) -> bool {
        let Some(time) = time else { return false };
        let start = match packet.layers.first() {
            Some(first) if matches!(first.kind(), LayerKind::Ethernet | LayerKind::Sll | LayerKind::Sll2 | LayerKind::Null) => first.end(),
            _ => 0,
        };
        let bytes = packet.bytes.get(start..).unwrap_or_default();
        let mut hasher = DefaultHasher::new();
        bytes.len().hash(&mut hasher);
        bytes[..bytes.len().min(COMPARED_BYTES)].hash(&mut hasher);
        if self.seen.len() >= REMEMBERED {
            self.seen.retain(|_, seen| time.since(*seen) < WINDOW_NANOSECONDS);
            if self.seen.len() >= REMEMBERED {
                // More than the table holds within the window: forget rather than grow.
                self.seen.clear();
            }
        }
        let before = self.seen.insert(hasher.finish(), time);
        before.is_some_and(|before| time.since(before).abs() < WINDOW_NANOSECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlay_decoder::{LinkType, Walker};

    #[test]
    fn the_same_packet_on_another_interface_is_known_and_a_later_one_is_not() {
        let mut sightings = Sightings::default();
        let mut walker = Walker::default();
        let mut see = |bytes: &[u8], time| sightings.again(&walker.walk(bytes, bytes.len() as u32, LinkType::ETHERNET), Some(time));
        let frame = |source: u8, last: u8| [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, source, 0x88, 0xb5][..], &[1, 2, 3, last]].concat();
        assert!(!see(&frame(9, 4), Timestamp::new(1, 0)));
        assert!(see(&frame(8, 4), Timestamp::new(1, 50_000)), "another link header is the same packet");
        assert!(!see(&frame(8, 5), Timestamp::new(1, 60_000)));
        assert!(!see(&frame(8, 4), Timestamp::new(2, 0)), "a second later it is another");
    }
}
