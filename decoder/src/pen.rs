//! How is text made fast? The writers of what packets are made of, and the ways to hold the place of the next byte.
//!
//! Formatting through `std::fmt` costs about four times the decode (docs/benchmarks.md). Here a number, an address or a MAC is
//! a copy of a constant size out of a table: the copy may run past the end of what counts, and the place then moves by the
//! true length. That keeps the code free of `unsafe` and of per-byte loops.
//!
//! A [`Pen`] is where the copies go. There are three, which write the same:
//!
//! - [`Text`] grows, and keeps its place in memory, where each write waits for the one before: some five cycles, and a packet is a
//!   hundred writes. For what is rare.
//! - [`Cursor`] grows, too, and has its place in a register. For what has no bound.
//! - [`Room`] does not grow: that there are bytes enough is asked once, and each write compares its place with a constant. For the
//!   headers of nearly all packets, whose text has a bound.
//!
//! A place stays in a register only where everything is inlined, and so everything here is.

use crate::addr::Mac;
use crate::text::Text;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Decimal text of one octet with a dot behind it in the lowest four bytes, its length without the dot in the highest.
const OCTETS: [u64; 256] = {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let digits = [b'0' + (n / 100) as u8, b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
        table[n] = u64::from_le_bytes(match n {
            100.. => [digits[0], digits[1], digits[2], b'.', 0, 0, 0, 3],
            10.. => [digits[1], digits[2], b'.', 0, 0, 0, 0, 2],
            _ => [digits[2], b'.', 0, 0, 0, 0, 0, 1],
        });
        n += 1;
    }
    table
};

/// Decimal text of what 16 bits hold of hundreds in the lowest three bytes, its length in the highest.
const HUNDREDS: [u32; 656] = {
    let mut table = [0; 656];
    let mut n = 0;
    while n < 656 {
        let digits = [b'0' + (n / 100) as u8, b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
        table[n] = u32::from_le_bytes(match n {
            100.. => [digits[0], digits[1], digits[2], 3],
            10.. => [digits[1], digits[2], 0, 2],
            _ => [digits[2], 0, 0, 1],
        });
        n += 1;
    }
    table
};

/// Two decimal digits of 0 to 99.
pub(crate) const PAIR: [[u8; 2]; 100] = {
    let mut table = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        table[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    table
};

/// Two hexadecimal digits of an octet.
pub(crate) const HEX: [[u8; 2]; 256] = {
    let digits = *b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut n = 0;
    while n < 256 {
        table[n] = [digits[n >> 4], digits[n & 15]];
        n += 1;
    }
    table
};

/// Two hexadecimal digits of an octet with a colon behind them, in four bytes.
const HEX_COLON: [[u8; 4]; 256] = {
    let mut table = [[b':'; 4]; 256];
    let mut n = 0;
    while n < 256 {
        [table[n][0], table[n][1]] = HEX[n];
        n += 1;
    }
    table
};

/// The first number with nine digits.
const EIGHT_DIGITS: u64 = 100_000_000;

/// ASCII zeros in every byte.
const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);

/// The decimal digits of a number below [`EIGHT_DIGITS`], left-aligned, and how many there are. Both fit registers.
///
/// Leading zeros are shifted out of the eight bytes instead of being branched around.
#[inline(always)]
const fn digits(n: u32) -> (u64, usize) {
    let values = digit_values(n);
    // The last digit stays, be it zero.
    let zero_bits = (values | 1 << 56).trailing_zeros() & !7;
    ((values | ZEROS) >> zero_bits, 8 - zero_bits as usize / 8)
}

/// The eight digits of a number below [`EIGHT_DIGITS`] as values of 0 to 9, the first in the lowest byte.
///
/// Divides by 10,000, by 100 and by 10, each time all parts at once: they stand in lanes of one word that are wide enough for the
/// products. 10,486 / 2^20 is a hundredth for every number below 10,000, 103 / 2^10 a tenth for every one below 100.
#[inline(always)]
const fn digit_values(n: u32) -> u64 {
    let four = (n / 10_000) as u64 | ((n % 10_000) as u64) << 32;
    let hundreds = ((four * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let two = hundreds | (four - 100 * hundreds) << 16;
    let tens = ((two * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (two - 10 * tens) << 8
}

/// A number below [`EIGHT_DIGITS`] with leading zeros.
#[inline(always)]
const fn eight_digits(n: u32) -> u64 {
    digit_values(n) | ZEROS
}

/// What takes text.
pub(crate) trait Pen {
    /// Lets `write` fill `N` bytes, at most [`PUT_MAX`], of which the first `len` count; the next write overwrites the rest.
    fn fill<const N: usize>(&mut self, len: usize, write: impl FnOnce(&mut [u8; N]));

    /// Writes bytes as they are; where their number is a constant, that is a few stores.
    fn bytes(&mut self, bytes: &[u8]);

    /// Lets a text write something that is rare or long.
    fn rest(&mut self, write: impl FnOnce(&mut Text));

    /// Writes `N` bytes of which the first `len` count.
    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N], len: usize) {
        self.fill(len, |room| *room = bytes);
    }

    /// Writes a text as it is.
    #[inline(always)]
    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Writes 0 to 255 in decimal.
    #[inline(always)]
    fn octet(&mut self, n: u8) {
        let word = OCTETS[usize::from(n)];
        self.put((word as u32).to_le_bytes(), (word >> 56) as usize);
    }

    /// Writes a number in decimal. Where the type that it comes from is small, the compiler leaves only the branches of that.
    #[inline(always)]
    fn num(&mut self, n: u64) {
        if n < 256 {
            self.octet(n as u8);
        } else if n <= u16::MAX.into() {
            let word = HUNDREDS[n as usize / 100];
            self.put(word.to_le_bytes(), (word >> 24) as usize);
            self.put(PAIR[n as usize % 100], 2);
        } else if n < EIGHT_DIGITS {
            let (digits, len) = digits(n as u32);
            self.put(digits.to_le_bytes(), len);
        } else if n / EIGHT_DIGITS < 256 {
            // Sequence numbers and seconds: 32 bits have ten digits.
            self.octet((n / EIGHT_DIGITS) as u8);
            self.put(eight_digits((n % EIGHT_DIGITS) as u32).to_le_bytes(), 8);
        } else {
            let (digits, len) = long_digits(n);
            self.put(digits, len);
        }
    }

    /// Writes the last nine digits of a number: nanoseconds below one second.
    #[inline(always)]
    fn nanoseconds(&mut self, n: u32) {
        self.put([b'0' + (n / EIGHT_DIGITS as u32 % 10) as u8], 1);
        self.put(eight_digits(n % EIGHT_DIGITS as u32).to_le_bytes(), 8);
    }

    /// Writes the last six digits of a number: microseconds below one second.
    #[inline(always)]
    fn micros(&mut self, n: u32) {
        self.put((eight_digits(n % 1_000_000) >> 16).to_le_bytes(), 6);
    }

    /// Writes a MAC address, padded.
    #[inline(always)]
    fn mac(&mut self, mac: Mac) {
        // Each octet overwrites what is behind the colon of the one before.
        let [a, b, c, d, e, f] = mac.0.map(|octet| HEX_COLON[usize::from(octet)]);
        self.fill(17, |room: &mut [u8; 19]| {
            room[0..4].copy_from_slice(&a);
            room[3..7].copy_from_slice(&b);
            room[6..10].copy_from_slice(&c);
            room[9..13].copy_from_slice(&d);
            room[12..16].copy_from_slice(&e);
            room[15..19].copy_from_slice(&f);
        });
    }

    /// Writes an IPv4 address.
    #[inline(always)]
    fn ipv4(&mut self, address: Ipv4Addr) {
        let [a, b, c, d] = address.octets();
        for octet in [a, b, c] {
            let word = OCTETS[usize::from(octet)];
            self.put((word as u32).to_le_bytes(), (word >> 56) as usize + 1);
        }
        self.octet(d);
    }

    /// Writes an IPv6 address as RFC 5952 spells it.
    #[inline(always)]
    fn ipv6(&mut self, address: Ipv6Addr) {
        let (text, len) = colons(address);
        self.put(text, len);
    }
}

/// The decimal digits of a number, left-aligned, and how many there are: 20 at most.
#[cold]
#[inline(never)]
fn long_digits(n: u64) -> ([u8; 24], usize) {
    let (mut text, mut len) = ([0; 24 + PUT_MAX], 0);
    let mut room = Room::new(&mut text, &mut len);
    // At most three parts: 64 bits have 20 digits. The first one is below 1,845.
    let (high, low) = (n / EIGHT_DIGITS, n % EIGHT_DIGITS);
    if high < EIGHT_DIGITS {
        let (digits, len) = digits(high as u32);
        room.put(digits.to_le_bytes(), len);
    } else {
        let (digits, len) = digits((high / EIGHT_DIGITS) as u32);
        room.put(digits.to_le_bytes(), len);
        room.put(eight_digits((high % EIGHT_DIGITS) as u32).to_le_bytes(), 8);
    }
    room.put(eight_digits(low as u32).to_le_bytes(), 8);
    room.finish();
    (*text.first_chunk().unwrap_or(&[0; 24]), len)
}

/// The text of an IPv6 address as RFC 5952 spells it, left-aligned, and its length.
#[inline(never)]
fn colons(address: Ipv6Addr) -> ([u8; 48], usize) {
    let (mut text, mut len) = ([0; 48 + PUT_MAX], 0);
    let mut room = Room::new(&mut text, &mut len);
    let groups = address.segments();
    if matches!(groups, [0, 0, 0, 0, 0, 0xffff, ..]) {
        room.put(*b"::ffff:", 7);
        let [.., a, b, c, d] = address.octets();
        room.ipv4(Ipv4Addr::new(a, b, c, d));
    } else {
        let (start, end) = longest_zeros(&groups);
        for (index, group) in groups.iter().enumerate() {
            if (start..end).contains(&index) {
                continue;
            }
            if index == end && start < end {
                room.put(*b"::", 2);
            } else if index > 0 {
                room.put(*b":", 1);
            }
            // Four digits, shifted by those that are zero and lead.
            let [high, low] = group.to_be_bytes().map(|octet| u16::from_le_bytes(HEX[usize::from(octet)]));
            let zeros = (group.leading_zeros() / 4).min(3);
            let digits = (u32::from(high) | u32::from(low) << 16) >> (8 * zeros);
            room.put(digits.to_le_bytes(), 4 - zeros as usize);
        }
        if end == 8 {
            room.put(*b"::", 2);
        }
    }
    room.finish();
    (*text.first_chunk().unwrap_or(&[0; 48]), len)
}

/// The first of the longest runs of two zero groups and more: where it starts and ends. `(0, 0)` where there is none.
#[inline]
fn longest_zeros(groups: &[u16; 8]) -> (usize, usize) {
    let (mut best, mut start) = ((0, 0), 0);
    for (index, group) in groups.iter().enumerate() {
        if *group != 0 {
            start = index + 1;
        } else if index + 1 - start > (best.1 - best.0).max(1) {
            best = (start, index + 1);
        }
    }
    best
}

/// A growing [`Text`] with the place of the next byte in a register.
pub(crate) struct Cursor<'t> {
    text: &'t mut Text,
    at: usize,
}

impl<'t> Cursor<'t> {
    /// A cursor at the end of a text; [`finish`](Self::finish) puts the end where the cursor is.
    #[inline(always)]
    pub(crate) const fn new(text: &'t mut Text) -> Self {
        let at = text.len();
        Self { text, at }
    }

    /// Moves the end of the text to the cursor.
    #[inline(always)]
    pub(crate) const fn finish(self) {
        self.text.at = self.at;
    }
}

impl Pen for Cursor<'_> {
    #[inline(always)]
    fn fill<const N: usize>(&mut self, len: usize, write: impl FnOnce(&mut [u8; N])) {
        self.text.fill_at(self.at, write);
        self.at += len;
    }

    #[inline(always)]
    fn bytes(&mut self, bytes: &[u8]) {
        self.text.copy_to(self.at, bytes);
        self.at += bytes.len();
    }

    #[inline(always)]
    fn rest(&mut self, write: impl FnOnce(&mut Text)) {
        self.text.at = self.at;
        write(self.text);
        self.at = self.text.at;
    }
}

/// Bytes that a write may take, and so bytes of a [`Room`] that do not count: where its text ends in front of them, all of it is there.
pub(crate) const PUT_MAX: usize = 64;

/// `M` bytes of a [`Text`], made by [`Text::room`]. What does not fit is not written, but counts.
///
/// No function takes a closure that writes into a room: one that is not inlined would have the place in memory again.
pub(crate) struct Room<'t, const M: usize> {
    bytes: &'t mut [u8; M],
    at: usize,
    /// The end of the text around it.
    end: &'t mut usize,
}

impl<'t, const M: usize> Room<'t, M> {
    #[inline(always)]
    pub(crate) const fn new(bytes: &'t mut [u8; M], end: &'t mut usize) -> Self {
        Self { bytes, at: 0, end }
    }

    /// Adds what was written to the text; `false`, and nothing added, if it was too long for the room.
    #[inline(always)]
    pub(crate) const fn finish(self) -> bool {
        // Places only grow: if one write did not fit, the last place is too far.
        let fits = self.at <= const { M.saturating_sub(PUT_MAX) };
        if fits {
            *self.end += self.at;
        }
        fits
    }
}

impl<const M: usize> Pen for Room<'_, M> {
    #[inline(always)]
    fn fill<const N: usize>(&mut self, len: usize, write: impl FnOnce(&mut [u8; N])) {
        const { assert!(N <= PUT_MAX, "a write may take PUT_MAX bytes at most") };
        // One comparison with a constant, where `get_mut(at..at + N)` would be two with sums.
        if self.at <= const { M.saturating_sub(N) }
            && let Some(room) = self.bytes.get_mut(self.at..).and_then(|rest| rest.first_chunk_mut())
        {
            write(room);
        }
        self.at += len;
    }

    #[inline(always)]
    fn bytes(&mut self, bytes: &[u8]) {
        // As in `fill`.
        if bytes.len() <= M
            && self.at <= M - bytes.len()
            && let Some(room) = self.bytes.get_mut(self.at..).and_then(|rest| rest.get_mut(..bytes.len()))
        {
            room.copy_from_slice(bytes);
        }
        self.at += bytes.len();
    }

    #[inline(always)]
    fn rest(&mut self, write: impl FnOnce(&mut Text)) {
        let mut text = Text::new();
        write(&mut text);
        self.bytes(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What every pen writes; they must agree.
    fn written(write: impl Fn(&mut Room<'_, 256>), text: impl Fn(&mut Text)) -> String {
        let (mut buffer, mut len) = ([0; 256], 0);
        let mut room = Room::new(&mut buffer, &mut len);
        write(&mut room);
        assert!(room.finish());
        let mut other = Text::new();
        text(&mut other);
        assert_eq!(other.as_bytes(), &buffer[..len]);
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    #[test]
    fn every_part_of_eight_digits_is_divided_right() {
        for part in 0..10_000 {
            for n in [part, part * 10_000, part * 10_001] {
                let (digits, len) = digits(n);
                assert_eq!(digits.to_le_bytes()[..len], *n.to_string().as_bytes());
                assert_eq!(eight_digits(n).to_le_bytes(), *format!("{n:08}").as_bytes());
            }
        }
    }

    #[test]
    fn every_number_of_sixteen_bits_is_written_right() {
        for n in 0..=u64::from(u16::MAX) + 1 {
            assert_eq!(written(|room| room.num(n), |text| text.num(n)), n.to_string());
        }
    }

    #[test]
    fn a_text_that_is_too_long_for_its_room_is_told() {
        let fits = |count: usize| {
            let (mut buffer, mut len) = ([0; 128], 0);
            let mut room = Room::new(&mut buffer, &mut len);
            for _ in 0..count {
                room.put([b'x'; PUT_MAX], 1);
            }
            (room.finish(), len)
        };
        assert_eq!((fits(64), fits(65), fits(1000)), ((true, 64), (false, 0), (false, 0)));
        let (mut buffer, mut len) = ([0; 128], 0);
        let mut room = Room::new(&mut buffer, &mut len);
        room.bytes(&[1; 129]);
        room.bytes(&[1; 1]);
        assert!(!room.finish());
    }

    proptest! {
        #[test]
        fn numbers_and_addresses_read_as_the_standard_library_writes_them(n: u64, v4: u32, v6: u128, mask: u8, mac: [u8; 6]) {
            for n in [n, n >> (n & 63), n % 100_000_000_000] {
                prop_assert_eq!(written(|room| room.num(n), |text| text.num(n)), n.to_string());
            }
            let v4 = Ipv4Addr::from(v4);
            prop_assert_eq!(written(|room| room.ipv4(v4), |text| text.ipv4(v4)), v4.to_string());
            // Whole groups set to zero by the mask: random 128 bits alone never compress.
            let mut groups = Ipv6Addr::from(v6).segments();
            for (bit, group) in groups.iter_mut().enumerate() {
                if mask >> bit & 1 == 1 { *group = 0 } else if v6 >> bit & 3 == 0 { *group >>= bit * 2 }
            }
            let v6 = Ipv6Addr::from(groups);
            prop_assert_eq!(written(|room| room.ipv6(v6), |text| text.ipv6(v6)), v6.to_string());
            let mapped = v4.to_ipv6_mapped();
            prop_assert_eq!(written(|room| room.ipv6(mapped), |text| text.ipv6(mapped)), mapped.to_string());
            let mac = Mac(mac);
            prop_assert_eq!(written(|room| room.mac(mac), |text| text.mac(mac)), mac.to_string());
        }

        #[test]
        fn times_have_all_their_digits(n in 0u32..1_000_000_000) {
            prop_assert_eq!(written(|room| room.nanoseconds(n), |text| text.nanoseconds(n)), format!("{n:09}"));
            prop_assert_eq!(written(|room| room.micros(n / 1000), |text| text.micros(n / 1000)), format!("{:06}", n / 1000));
        }
    }
}
