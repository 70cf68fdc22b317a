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

/// The hundreds of a number, and what is left of it.
///
/// 42,949,673 / 2^32 is a hundredth: the whole part of the product are the hundreds, and its fraction, times 100, is what is left. Said
/// this way, the compiler needs two products, and sees that neither result exceeds its table.
#[inline(always)]
const fn hundreds(n: u16) -> (usize, usize) {
    let product = n as u64 * 42_949_673;
    ((product >> 32) as usize, ((product as u32 as u64 * 100) >> 32) as usize)
}

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

    /// Lets `write` fill `N` bytes, and say how many count. For a function that is not inlined: it has no place to move.
    fn fill_some<const N: usize>(&mut self, write: impl FnOnce(&mut [u8; N]) -> usize);

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
            let (hundreds, pair) = hundreds(n as u16);
            let word = HUNDREDS[hundreds];
            self.put(word.to_le_bytes(), (word >> 24) as usize);
            self.put(PAIR[pair], 2);
        } else if n < EIGHT_DIGITS {
            let (digits, len) = digits(n as u32);
            self.put(digits.to_le_bytes(), len);
        } else if n <= u32::MAX.into() {
            // Sequence numbers and seconds: 32 bits have ten digits.
            let n = n as u32;
            self.octet((n / EIGHT_DIGITS as u32) as u8);
            self.put(eight_digits(n % EIGHT_DIGITS as u32).to_le_bytes(), 8);
        } else {
            let (digits, len) = long_digits(n);
            // 20 digits at most; the compiler is told, so that it knows what is left of a room.
            self.put(digits, len & 31);
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
        // One copy an octet, and no closure that fills all of them: that would not be inlined.
        let [a, b, c, d, e, f] = mac.0;
        for octet in [a, b, c, d, e] {
            self.put(HEX_COLON[usize::from(octet)], 3);
        }
        self.put(HEX[usize::from(f)], 2);
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
        self.fill_some(|room| colons(address, room));
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

/// Writes an IPv6 address as RFC 5952 spells it, and gives the length of its text.
#[inline(never)]
fn colons(address: Ipv6Addr, text: &mut [u8; PUT_MAX]) -> usize {
    let mut out = Colons { text, at: 0 };
    let groups = address.segments();
    if matches!(groups, [0, 0, 0, 0, 0, 0xffff, ..]) {
        out.word(u64::from_le_bytes(*b"::ffff: "), 7);
        let [.., a, b, c, d] = address.octets();
        for octet in [a, b, c, d] {
            let word = OCTETS[usize::from(octet)];
            out.word(word, (word >> 56) as usize + 1);
        }
        // The last octet has no dot.
        return out.at - 1;
    }
    let mut zeros = 0;
    for (index, group) in groups.iter().enumerate() {
        zeros |= usize::from(*group == 0) << index;
    }
    let (start, end) = LONGEST_ZEROS[zeros];
    // Each group with a colon behind it.
    for group in groups.iter().take(start.into()) {
        out.group(*group);
    }
    if start < end {
        out.word(u64::from_le_bytes(*b"::      "), 1 + usize::from(start == 0));
        if end == 8 {
            return out.at;
        }
    }
    for group in groups.iter().skip(end.into()) {
        out.group(*group);
    }
    // The last group has no colon.
    out.at - 1
}

/// What [`colons`] writes, 48 bytes at most with what does not count: what would not fit is not written.
struct Colons<'t> {
    text: &'t mut [u8; PUT_MAX],
    at: usize,
}

impl Colons<'_> {
    /// Writes eight bytes of which the first `len` count.
    #[inline(always)]
    fn word(&mut self, word: u64, len: usize) {
        if let Some(room) = self.text.get_mut(self.at..).and_then(|rest| rest.first_chunk_mut()) {
            *room = word.to_le_bytes();
        }
        self.at += len;
    }

    /// Writes 16 bits in hexadecimal, without leading zeros, and a colon.
    #[inline(always)]
    fn group(&mut self, group: u16) {
        let [high, low] = group.to_be_bytes();
        let [high, low] = [HEX[usize::from(high)], HEX[usize::from(low)]];
        // Four digits and a colon, shifted by those that are zero and lead.
        let zeros = (group | 1).leading_zeros() / 4;
        self.word(u64::from_le_bytes([high[0], high[1], low[0], low[1], b':', 0, 0, 0]) >> (8 * zeros), 5 - zeros as usize);
    }
}

/// The first of the longest runs of two zero groups and more: where it starts and ends, for every set of zero groups, the first group in
/// the lowest bit. `(0, 0)` where there is none.
const LONGEST_ZEROS: [(u8, u8); 256] = {
    let mut table = [(0, 0); 256];
    let mut zeros = 0;
    while zeros < 256 {
        let (mut start, mut end) = (0, 0);
        while end < 8 {
            end += 1;
            let longest = table[zeros].1 - table[zeros].0;
            if zeros >> (end - 1) & 1 == 0 {
                start = end;
            } else if end - start > longest && end - start > 1 {
                table[zeros] = (start, end);
            }
        }
        zeros += 1;
    }
    table
};

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
    fn fill_some<const N: usize>(&mut self, write: impl FnOnce(&mut [u8; N]) -> usize) {
        let mut len = 0;
        self.text.fill_at(self.at, |room| len = write(room));
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

    /// A room of `K` bytes at the place of this one, unless that is too near to its end.
    ///
    /// In a text of many numbers the compiler gives up summing how long they may be; from here on it starts again at zero.
    #[inline(always)]
    pub(crate) fn part<const K: usize>(&mut self) -> Option<Room<'_, K>> {
        const { assert!(K <= M, "a part is smaller than the whole") };
        let bytes = self.bytes.get_mut(self.at..).and_then(|rest| rest.first_chunk_mut())?;
        Some(Room::new(bytes, &mut self.at))
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
    fn fill_some<const N: usize>(&mut self, write: impl FnOnce(&mut [u8; N]) -> usize) {
        const { assert!(N <= PUT_MAX, "a write may take PUT_MAX bytes at most") };
        // Where it does not fit, it counts as long as it may be.
        let mut len = N;
        if self.at <= const { M.saturating_sub(N) }
            && let Some(room) = self.bytes.get_mut(self.at..).and_then(|rest| rest.first_chunk_mut())
        {
            // Said, so that the compiler knows what is left of the room.
            len = write(room).min(N);
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
    fn every_set_of_zero_groups_is_shortened_as_the_standard_library_does() {
        for zeros in 0..256 {
            for other in [1, 0x12, 0x345, 0x6789] {
                let group = |index: usize| if zeros >> index & 1 == 1 { 0 } else { other };
                let address = Ipv6Addr::from(std::array::from_fn::<u16, 8, _>(group));
                assert_eq!(written(|room| room.ipv6(address), |text| text.ipv6(address)), address.to_string());
            }
        }
    }

    #[test]
    fn an_address_that_does_not_fit_its_room_is_told() {
        let fits = |count: usize| {
            let (mut buffer, mut len) = ([0; 256], 0);
            let mut room = Room::new(&mut buffer, &mut len);
            for _ in 0..count {
                room.ipv6(Ipv6Addr::from([0xffff; 8]));
            }
            (room.finish(), len)
        };
        assert_eq!((fits(4), fits(5), fits(100)), ((true, 156), (false, 0), (false, 0)));
    }

    #[test]
    fn a_part_of_a_room_counts_in_the_whole() {
        let (mut buffer, mut len) = ([0; 256], 0);
        let mut room = Room::new(&mut buffer, &mut len);
        room.text("one ");
        let mut part = room.part::<128>().unwrap();
        part.text("two ");
        assert!(part.finish());
        room.text("three");
        let mut part = room.part::<128>().unwrap();
        part.bytes(&[0; 65]);
        assert!(!part.finish(), "it keeps what a write may need behind it");
        room.bytes(&[b'.'; 120]);
        assert!(room.part::<128>().is_none());
        assert!(room.finish());
        assert!(buffer.starts_with(b"one two three..."));
        assert_eq!(len, 13 + 120);
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
