//! Does the other end answer? What pings look like inside the encapsulation, and who may be answered how often.
//!
//! A ping is an Ethernet frame in the virtual network that no port takes. It is looked for where a frame from the underlay has found no
//! port, so that nothing is added to the way of the others.
//!
//! ```text
//!   bytes  0         6         12     14      18   19   20    22        30         34
//!          ADDRESS   ADDRESS   88b5   "OVPG"  1    kind MTU   id        sequence   zeros, up to the size
//! ```
//!
//! Source and destination are one address, so that a bridge that learns and floods does not hand it on. The EtherType is the first of those
//! for local experiments (IEEE 802-2014 9.2.3). Numbers are big-endian. The MTU is the answering overlay's, 0 in what is asked.
//!
//! **Nothing here is authenticated**, as nothing of VXLAN is. An answer goes to where the question came from, at the port that frames go to
//! anyway, and is as long as the question: a liar about his address makes this host send what he could have sent himself, and no more of it
//! than the budget of the overlay. An answer counts only if its id is that of a ping that is under way: 64 random bits that only the way
//! there and back has seen.

use crate::time::Time;
use overlay_api::DeviceId;
use overlay_decoder::{Mac, Ul3};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The inner source and destination (VL2) of pings: a local unicast address (IEEE 802c 8.4.4), "OVPNG" behind its first byte.
pub const ADDRESS: Mac = Mac([0x02, 0x4f, 0x56, 0x50, 0x4e, 0x47]);
/// Their EtherType: IEEE 802-2014 9.2.3, local experimental 1.
pub const ETHERTYPE: u16 = 0x88b5;
/// Bytes of the shortest packet behind the Ethernet header: what Ethernet itself asks for (IEEE 802.3 3.2.7).
pub const SIZE_MIN: u32 = 46;
/// Bytes of the longest packet behind the Ethernet header: with any encapsulation around it, it fits an IP packet.
pub const SIZE_MAX: u32 = 65_000;
/// Pings of one overlay that may be under way.
pub const PINGS_MAX: usize = 4;

const MAGIC: [u8; 4] = *b"OVPG";
const VERSION: u8 = 1;
/// Ethernet.
const L2: usize = 14;
/// Pings of one kind in a burst, and nanoseconds until the next one may follow it: those that are answered, and answers that are taken.
const BURST: u64 = 128;
const EACH_NS: u64 = 5_000_000;

/// Which way a ping goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Wants an answer.
    Ask,
    /// Is one.
    Answer,
}

/// What a ping says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ping {
    /// Which way it goes.
    pub kind: Kind,
    /// The MTU of the overlay that answers; 0 in what is asked.
    pub mtu: u16,
    /// Whose it is.
    pub id: u64,
    /// Which of those it is.
    pub sequence: u32,
}

impl Ping {
    /// Reads a frame; none if it is no ping of this version.
    #[must_use]
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let (head, _) = frame.split_first_chunk::<34>()?;
        let (ethernet, ping) = head.split_at(L2);
        let is_ping = ethernet.get(..6)? == ADDRESS.0
            && ethernet.get(12..)? == ETHERTYPE.to_be_bytes()
            && ping.get(..4)? == MAGIC
            && *ping.get(4)? == VERSION
            && frame.len() >= L2 + SIZE_MIN as usize;
        let kind = match ping.get(5)? {
            1 => Kind::Ask,
            2 => Kind::Answer,
            _ => return None,
        };
        let number = |from: usize| ping.get(from..).unwrap_or(&[]);
        is_ping.then_some(Self {
            kind,
            mtu: number(6).first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes)),
            id: number(8).first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)),
            sequence: number(16).first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes)),
        })
    }

    /// Adds the frame with a packet of `size` bytes, at least [`SIZE_MIN`], to `to`.
    pub fn write(&self, size: u32, to: &mut Vec<u8>) {
        let end = to.len() + L2 + size.max(SIZE_MIN) as usize;
        to.extend(ADDRESS.0);
        to.extend(ADDRESS.0);
        to.extend(ETHERTYPE.to_be_bytes());
        to.extend(MAGIC);
        to.extend([VERSION, if self.kind == Kind::Ask { 1 } else { 2 }]);
        to.extend(self.mtu.to_be_bytes());
        to.extend(self.id.to_be_bytes());
        to.extend(self.sequence.to_be_bytes());
        to.resize(end, 0);
    }

    /// What chooses its source port and flow label: where the underlay has several ways, one ping after the other finds them.
    pub(crate) fn flow(&self) -> u32 {
        let mixed = (self.id ^ u64::from(self.sequence).rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as u32
    }
}

/// What is to be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PingSpec {
    /// The id that [`open_ping`](crate::Control::open_ping) was told.
    pub id: u64,
    /// Which of its pings this is.
    pub sequence: u32,
    /// Bytes of the inner packet, behind the Ethernet header: [`SIZE_MIN`] to [`SIZE_MAX`].
    pub size: u32,
    /// The other end, with a port exactly if UDP carries the encapsulation.
    pub to: Ul3,
    /// Whether routers may not fragment it; without, that is as the overlay has it.
    pub whole: bool,
}

/// An answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pong {
    /// Over which device it came.
    pub device: DeviceId,
    /// What it says.
    pub ping: Ping,
    /// Bytes of the inner packet.
    pub size: u32,
    /// Where it came from.
    pub from: Ul3,
    /// When a worker had it in hand.
    pub at: Time,
}

/// What workers know of a device's pings.
#[derive(Debug, Default)]
pub(crate) struct Pings {
    /// What may still be answered.
    asks: Budget,
    /// Answers that may still be taken: who has seen an id could send any number.
    answers: Budget,
    /// Ids of those that are under way; 0 is none.
    open: [AtomicU64; PINGS_MAX],
}

/// A token bucket, kept as the [`Time`] at which all of the burst will be there again.
#[derive(Debug, Default)]
struct Budget(AtomicU64);

impl Budget {
    /// Takes one, if there is one.
    fn take(&self, now: Time) -> bool {
        let next = |full_at| {
            let has_one = Time(full_at).since(now) <= (BURST - 1) * EACH_NS;
            has_one.then(|| (now.max(Time(full_at)) + EACH_NS).0)
        };
        self.0.fetch_update(Relaxed, Relaxed, next).is_ok()
    }
}

impl Pings {
    /// Takes one that is to be answered from the budget, if there is one.
    pub(crate) fn take(&self, now: Time) -> bool {
        self.asks.take(now)
    }

    /// Takes an answer from a budget of its own, if there is one.
    pub(crate) fn take_answer(&self, now: Time) -> bool {
        self.answers.take(now)
    }

    /// Whether that ping is under way.
    pub(crate) fn awaits(&self, id: u64) -> bool {
        id != 0 && self.open.iter().any(|open| open.load(Relaxed) == id)
    }

    /// Notes a ping, if there is room. Only the control half does.
    pub(crate) fn open(&self, id: u64) -> bool {
        let free = self.open.iter().find(|open| open.load(Relaxed) == 0);
        free.inspect(|open| open.store(id, Relaxed)).is_some()
    }

    /// Forgets a ping. Only the control half does.
    pub(crate) fn close(&self, id: u64) {
        self.open.iter().filter(|open| open.load(Relaxed) == id).for_each(|open| open.store(0, Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: Ping = Ping { kind: Kind::Answer, mtu: 1400, id: 0x0102_0304_0506_0708, sequence: 9 };

    fn written(size: u32) -> Vec<u8> {
        let mut frame = Vec::new();
        PING.write(size, &mut frame);
        frame
    }

    #[test]
    fn a_ping_is_read_as_it_was_written_and_as_long_as_was_asked() {
        for size in [SIZE_MIN, 1400, SIZE_MAX] {
            let frame = written(size);
            assert_eq!((Ping::parse(&frame), frame.len()), (Some(PING), 14 + size as usize));
        }
        assert_eq!(written(0).len(), 14 + SIZE_MIN as usize, "Ethernet has no shorter ones");
    }

    #[test]
    fn what_is_not_a_ping_to_the_byte_is_none() {
        let frame = written(SIZE_MIN);
        for place in (0..6).chain(12..20) {
            let mut other = frame.clone();
            other[place] ^= 0x40;
            assert_eq!(Ping::parse(&other), None, "byte {place}");
        }
        for end in 0..frame.len() {
            assert_eq!(Ping::parse(&frame[..end]), None, "{end} bytes");
        }
    }

    #[test]
    fn answers_come_in_a_burst_and_then_as_the_budget_allows() {
        let pings = Pings::default();
        let taken = |now| (0..1000).filter(|_| pings.take(Time(now))).count() as u64;
        assert_eq!(taken(5), BURST);
        assert_eq!(taken(5 + 3 * EACH_NS), 3);
        assert_eq!(taken(5 + 3000 * EACH_NS), BURST);
        assert!(pings.take_answer(Time(6 + 3000 * EACH_NS)), "answers have their own");
    }

    #[test]
    fn only_answers_to_what_is_under_way_are_awaited() {
        let pings = Pings::default();
        assert!((1..=PINGS_MAX as u64).all(|id| pings.open(id)) && !pings.open(9));
        assert!(pings.awaits(2) && !pings.awaits(9) && !pings.awaits(0));
        pings.close(2);
        assert!(!pings.awaits(2) && pings.open(9) && pings.awaits(9));
    }
}
