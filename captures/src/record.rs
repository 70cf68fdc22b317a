//! What is known about one captured packet?

use std::borrow::Cow;

use overlay_decoder::{LinkType, Timestamp};

use crate::bytes::Order;
use crate::interface::Interface;
use crate::options::{COMMENT, EPB_DROPCOUNT, EPB_FLAGS, Options};

/// One captured packet, borrowed from the [`Chunk`](crate::Chunk) that holds its bytes, or made by hand for a
/// [`Writer`](crate::Writer).
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Place in the capture, from 1. Writers ignore it.
    pub number: u64,
    /// When it was captured; `None` where the file does not say (pcapng's Simple Packet Block).
    pub timestamp: Option<Timestamp>,
    /// Bytes on the wire. A damaged or unusual file may say less than `bytes.len()`.
    pub len: u32,
    /// The captured bytes, from the start of the link-layer header.
    pub bytes: &'a [u8],
    /// What the bytes start with.
    pub link: LinkType,
    /// The interface, where the file describes interfaces (pcapng); `None` for pcap and snoop.
    pub interface: Option<&'a Interface>,
    pub(crate) notes: Notes<'a>,
}

/// What a file says beside the packet, not parsed until asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notes<'a> {
    pub(crate) options: Options<'a>,
    pub(crate) direction: Option<Direction>,
    pub(crate) dropped: Option<u64>,
    pub(crate) comments: &'a [&'a str],
}

impl Notes<'_> {
    pub(crate) const NONE: Self = Notes { options: Options::new(&[], Order::Little), direction: None, dropped: None, comments: &[] };
}

/// Which way a packet passed its interface.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// Received by the capturing host.
    Inbound,
    /// Sent by the capturing host.
    Outbound,
}

impl<'a> Record<'a> {
    /// A record for a writer: whole bytes of a packet of `link`, all of them captured.
    #[must_use]
    pub fn new(link: LinkType, timestamp: Timestamp, bytes: &'a [u8]) -> Self {
        // Writers refuse lengths beyond their limit, long before 32 bits.
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Self { number: 0, timestamp: Some(timestamp), len, bytes, link, interface: None, notes: Notes::NONE }
    }

    /// The same record with this many bytes on the wire, for a packet that was not captured whole.
    #[must_use]
    pub const fn with_len(self, len: u32) -> Self {
        Self { len, ..self }
    }

    /// The same record, captured on `interface`, whose link type it takes.
    #[must_use]
    pub const fn with_interface(self, interface: &'a Interface) -> Self {
        Self { interface: Some(interface), link: interface.link, ..self }
    }

    /// The same record with a direction in place of the one that it had.
    #[must_use]
    pub const fn with_direction(mut self, direction: Direction) -> Self {
        self.notes.direction = Some(direction);
        self
    }

    /// The same record with this many packets lost just before it, in place of the number that it had.
    #[must_use]
    pub const fn with_dropped(mut self, dropped: u64) -> Self {
        self.notes.dropped = Some(dropped);
        self
    }

    /// The same record with `comments` after those that its file holds.
    #[must_use]
    pub const fn with_comments(mut self, comments: &'a [&'a str]) -> Self {
        self.notes.comments = comments;
        self
    }

    /// The comments (pcapng's `opt_comment`), in order. Bytes that are not UTF-8 are replaced by U+FFFD.
    pub fn comments(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        let stored = self.notes.options.filter(|(code, _)| *code == COMMENT).map(|(_, value)| String::from_utf8_lossy(value));
        stored.chain(self.notes.comments.iter().map(|comment| Cow::Borrowed(*comment)))
    }

    /// Whether anything stands beside the packet that could be a comment: in nearly all captures, nothing.
    #[must_use]
    #[inline]
    pub const fn may_have_comments(&self) -> bool {
        !self.notes.options.is_empty() || !self.notes.comments.is_empty()
    }

    /// Which way the packet went: where the file says it (pcapng's `epb_flags`, bits 0 and 1); else by the packet type of a Linux
    /// cooked capture; else, captured live, by whether the interface's own address is the source.
    #[must_use]
    #[inline]
    pub fn direction(&self) -> Option<Direction> {
        // A plain file of Ethernet frames says nothing of the way.
        if self.interface.is_none() && self.link == LinkType::ETHERNET && self.notes.options.is_empty() {
            return self.notes.direction;
        }
        self.direction_by_any()
    }

    fn direction_by_any(&self) -> Option<Direction> {
        let stated = || match self.option_u64(EPB_FLAGS)? & 3 {
            1 => Some(Direction::Inbound),
            2 => Some(Direction::Outbound),
            _ => None,
        };
        self.notes.direction.or_else(stated).or_else(|| self.direction_by_header())
    }

    fn direction_by_header(&self) -> Option<Direction> {
        /// `PACKET_OUTGOING` of linux/if_packet.h.
        const OUTGOING: u8 = 4;
        let outgoing = match self.link {
            LinkType::LINUX_SLL => *self.bytes.get(1)? == OUTGOING,
            LinkType::LINUX_SLL2 => *self.bytes.get(10)? == OUTGOING,
            LinkType::ETHERNET => {
                let own = self.interface?.mac?.0;
                let (dst, src) = self.bytes.get(..12)?.split_at(6);
                // A device that bridges passes frames of others both ways; of those nothing can be told.
                if src != own && dst != own && dst[0] & 1 == 0 {
                    return None;
                }
                src == own
            }
            _ => return None,
        };
        Some(if outgoing { Direction::Outbound } else { Direction::Inbound })
    }

    /// Packets lost by the capturing system between the record before (of the same interface) and this one, where the file counts
    /// them (pcapng's `epb_dropcount`; the increase of snoop's cumulative drops, where it increases).
    #[must_use]
    pub fn dropped(&self) -> Option<u64> {
        self.notes.dropped.or_else(|| self.option_u64(EPB_DROPCOUNT))
    }

    /// The number in the first option `code`, which has four or eight bytes.
    fn option_u64(&self, code: u16) -> Option<u64> {
        let mut options = self.notes.options;
        let order = options.order();
        let (_, value) = options.find(|(found, _)| *found == code)?;
        match value.len() {
            4 => Some(order.u32(value).into()),
            8 => Some(order.u64(value)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options;

    #[test]
    fn options_of_a_file_are_read_when_asked_and_new_ones_take_precedence() {
        let mut bytes = Vec::new();
        options::push(&mut bytes, COMMENT, b"from the file");
        options::push(&mut bytes, EPB_FLAGS, &1_u32.to_le_bytes());
        options::push(&mut bytes, EPB_DROPCOUNT, &7_u64.to_le_bytes());
        let mut record = Record::new(LinkType::ETHERNET, Timestamp::new(1, 2), &[1, 2, 3]);
        record.notes.options = Options::new(&bytes, Order::Little);
        assert_eq!((record.direction(), record.dropped()), (Some(Direction::Inbound), Some(7)));
        let added = record.with_direction(Direction::Outbound).with_dropped(1).with_comments(&["mine"]);
        assert_eq!((added.direction(), added.dropped()), (Some(Direction::Outbound), Some(1)));
        assert_eq!(added.comments().collect::<Vec<_>>(), ["from the file", "mine"]);
        assert!(record.may_have_comments() && added.may_have_comments());
    }

    #[test]
    fn a_plain_frame_has_neither_comments_nor_a_direction_unless_given() {
        let record = Record::new(LinkType::ETHERNET, Timestamp::new(1, 2), &[0; 14]);
        assert_eq!((record.may_have_comments(), record.direction()), (false, None));
        assert_eq!(record.with_direction(Direction::Inbound).direction(), Some(Direction::Inbound));
        assert!(record.with_comments(&["mine"]).may_have_comments());
    }

    #[test]
    fn options_of_a_wrong_size_say_nothing() {
        let mut bytes = Vec::new();
        options::push(&mut bytes, EPB_FLAGS, &[1]);
        options::push(&mut bytes, COMMENT, &[0xff, b'x']);
        let mut record = Record::new(LinkType::RAW, Timestamp::new(0, 0), &[]);
        record.notes.options = Options::new(&bytes, Order::Big);
        assert_eq!((record.direction(), record.dropped()), (None, None));
        record.notes.options = Options::new(&bytes, Order::Little);
        assert_eq!(record.direction(), None);
        assert_eq!(record.comments().collect::<Vec<_>>(), ["\u{fffd}x"]);
    }
}
