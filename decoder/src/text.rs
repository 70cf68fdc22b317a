//! How is text made fast? The one output buffer of all renderings.
//!
//! Formatting through `std::fmt` costs about four times the decode (docs/benchmarks.md). Here a number, an address or a MAC is
//! a copy of a constant size out of a table: the copy may run past the end of what counts, and the cursor then moves by the
//! true length. That keeps the code free of `unsafe` and of per-byte loops.

use crate::addr::Mac;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Decimal text of one octet with a dot behind it, left-aligned in four bytes, and its length without the dot.
const DECIMAL: [([u8; 4], u8); 256] = {
    let mut table = [([b'.'; 4], 0); 256];
    let mut n = 0;
    while n < 256 {
        let digits = [b'0' + (n / 100) as u8, b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
        table[n] = if n >= 100 {
            ([digits[0], digits[1], digits[2], b'.'], 3)
        } else if n >= 10 {
            ([digits[1], digits[2], b'.', b'.'], 2)
        } else {
            ([digits[2], b'.', b'.', b'.'], 1)
        };
        n += 1;
    }
    table
};

/// Two decimal digits of 0 to 99.
const PAIR: [[u8; 2]; 100] = {
    let mut table = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        table[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    table
};

/// Two hexadecimal digits of an octet.
const HEX: [[u8; 2]; 256] = {
    let digits = *b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut n = 0;
    while n < 256 {
        table[n] = [digits[n >> 4], digits[n & 15]];
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
#[inline]
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
#[inline]
const fn digit_values(n: u32) -> u64 {
    let four = (n / 10_000) as u64 | ((n % 10_000) as u64) << 32;
    let hundreds = ((four * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let two = hundreds | (four - 100 * hundreds) << 16;
    let tens = ((two * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (two - 10 * tens) << 8
}

/// The text of an IPv4 address, left-aligned, and its length.
#[inline]
fn dotted(address: Ipv4Addr) -> ([u8; 16], usize) {
    // Each octet overwrites what is behind the dot of the one before: at most four times four bytes.
    let mut text = [0; 16];
    let mut at = 0;
    for octet in address.octets() {
        let (digits, len) = DECIMAL[usize::from(octet)];
        text[at..at + 4].copy_from_slice(&digits);
        at += usize::from(len) + 1;
    }
    (text, at - 1)
}

/// The text of a MAC address, padded.
#[inline]
fn colons(mac: Mac) -> [u8; 17] {
    let [a, b, c, d, e, f] = mac.0.map(|octet| HEX[usize::from(octet)]);
    [a[0], a[1], b':', b[0], b[1], b':', c[0], c[1], b':', d[0], d[1], b':', e[0], e[1], b':', f[0], f[1]]
}

/// A number below [`EIGHT_DIGITS`] with leading zeros.
#[inline]
const fn eight_digits(n: u32) -> [u8; 8] {
    (digit_values(n) | ZEROS).to_le_bytes()
}

/// A growing buffer of bytes with writers for what packets are made of.
///
/// Cleared and reused for every packet or chunk; it allocates only while it grows.
#[derive(Debug, Default)]
pub struct Text {
    buffer: Vec<u8>,
    at: usize,
}

impl Text {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What has been written.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.buffer[..self.at]
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.at
    }

    /// Whether nothing has been written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.at == 0
    }

    /// Forgets what has been written; keeps the memory.
    pub const fn clear(&mut self) {
        self.at = 0;
    }

    /// Forgets what has been written after the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.at = self.at.min(len);
    }

    /// Writes `N` bytes of which the first `len` count; the next write overwrites the rest.
    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N], len: usize) {
        match self.buffer.get_mut(self.at..).and_then(|room| room.first_chunk_mut()) {
            Some(room) => *room = bytes,
            None => self.put_growing(&bytes),
        }
        self.at += len;
    }

    /// Writes bytes as they are.
    #[inline(always)]
    pub fn bytes(&mut self, bytes: &[u8]) {
        match self.buffer.get_mut(self.at..).and_then(|room| room.get_mut(..bytes.len())) {
            Some(room) => room.copy_from_slice(bytes),
            None => self.put_growing(bytes),
        }
        self.at += bytes.len();
    }

    #[cold]
    #[inline(never)]
    fn put_growing(&mut self, bytes: &[u8]) {
        let wanted = (self.at + bytes.len()).max(self.buffer.len() * 2).max(4096);
        self.buffer.resize(wanted, 0);
        self.buffer[self.at..self.at + bytes.len()].copy_from_slice(bytes);
    }

    /// Writes a text as it is.
    #[inline(always)]
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Writes one byte.
    #[inline]
    pub fn byte(&mut self, byte: u8) {
        self.put([byte], 1);
    }

    /// Writes `n` spaces.
    pub fn spaces(&mut self, n: usize) {
        const SPACES: [u8; 64] = [b' '; 64];
        for start in (0..n).step_by(SPACES.len()) {
            self.bytes(&SPACES[..SPACES.len().min(n - start)]);
        }
    }

    /// Writes anything that has a `Display`; for what is rare.
    pub fn display(&mut self, value: &dyn std::fmt::Display) {
        use std::fmt::Write;
        // Writing into memory does not fail; a Display that fails by itself has nothing more to say.
        let _ = write!(self, "{value}");
    }

    /// Writes 0 to 255 in decimal.
    #[inline]
    pub fn octet(&mut self, n: u8) {
        let (digits, len) = DECIMAL[usize::from(n)];
        self.put(digits, len.into());
    }

    /// Writes a number in decimal.
    #[inline]
    pub fn num(&mut self, n: u64) {
        if n < 256 {
            self.octet(n as u8);
        } else if n < EIGHT_DIGITS {
            let (digits, len) = digits(n as u32);
            self.put(digits.to_le_bytes(), len);
        } else {
            self.long_num(n);
        }
    }

    #[inline(never)]
    fn long_num(&mut self, n: u64) {
        // At most three times: 64 bits have 20 digits.
        self.num(n / EIGHT_DIGITS);
        self.put(eight_digits((n % EIGHT_DIGITS) as u32), 8);
    }

    /// Writes a number in decimal with a sign where it is negative.
    pub fn signed(&mut self, n: i64) {
        if n < 0 {
            self.byte(b'-');
        }
        self.num(n.unsigned_abs());
    }

    /// Writes the lowest `width` decimal digits of a number, zeros in front.
    #[inline]
    pub fn padded(&mut self, mut n: u64, width: usize) {
        let mut digits = [b'0'; 20];
        let mut start = 20;
        while start > 20 - width.min(20) {
            start -= 1;
            digits[start] = b'0' + (n % 10) as u8;
            n /= 10;
        }
        self.bytes(&digits[start..]);
    }

    /// Writes two decimal digits; only the last two of the number count.
    #[inline]
    pub fn pair(&mut self, n: u32) {
        self.bytes(&PAIR[n as usize % 100]);
    }

    /// Writes a nanosecond count below one second with 9 digits.
    #[inline]
    pub fn nanoseconds(&mut self, n: u32) {
        self.micros(n / 1000);
        let n = n as usize % 1000;
        self.bytes(&[b'0' + (n / 100) as u8, PAIR[n % 100][0], PAIR[n % 100][1]]);
    }

    /// Writes a microsecond count below one second with 6 digits.
    #[inline]
    pub fn micros(&mut self, n: u32) {
        let n = n as usize;
        let (a, b, c) = (PAIR[n / 10_000 % 100], PAIR[n / 100 % 100], PAIR[n % 100]);
        self.bytes(&[a[0], a[1], b[0], b[1], c[0], c[1]]);
    }

    /// Writes `0x` and at least `width` hexadecimal digits (at most 16).
    pub fn hex(&mut self, n: u64, width: usize) {
        let mut digits = [b'0'; 16];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(n.to_be_bytes()) {
            pair.copy_from_slice(&HEX[usize::from(byte)]);
        }
        let significant = (16 - n.leading_zeros() as usize / 4).max(1);
        self.bytes(b"0x");
        self.bytes(&digits[16 - significant.max(width).min(16)..]);
    }

    /// Writes bytes as hexadecimal digits without separators.
    pub fn hex_bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.bytes(&HEX[usize::from(*byte)]);
        }
    }

    /// Writes a MAC address, padded.
    #[inline]
    pub fn mac(&mut self, mac: Mac) {
        self.bytes(&colons(mac));
    }

    /// Writes an IPv4 address.
    #[inline]
    pub fn ipv4(&mut self, address: Ipv4Addr) {
        let (text, len) = dotted(address);
        self.put(text, len);
    }

    /// Writes an IPv6 address as RFC 5952 spells it.
    pub fn ipv6(&mut self, address: Ipv6Addr) {
        let groups = address.segments();
        if matches!(groups, [0, 0, 0, 0, 0, 0xffff, ..]) {
            self.text("::ffff:");
            let [.., a, b, c, d] = address.octets();
            return self.ipv4(Ipv4Addr::new(a, b, c, d));
        }
        let (start, len) = longest_zeros(&groups);
        let mut index = 0;
        while index < 8 {
            if index == start && len > 1 {
                self.text("::");
                index += len;
                continue;
            }
            if index > 0 && (len < 2 || index != start + len) {
                self.byte(b':');
            }
            self.group(groups[index]);
            index += 1;
        }
    }

    #[inline]
    fn group(&mut self, group: u16) {
        let [high, low] = group.to_be_bytes();
        let (high, low) = (HEX[usize::from(high)], HEX[usize::from(low)]);
        let digits = [high[0], high[1], low[0], low[1]];
        let skip = (group.leading_zeros() as usize / 4).min(3);
        self.bytes(&digits[skip..]);
    }

    /// Writes what a packet claims to be text: printable ASCII as it is, everything else as `\xNN`, so that no control
    /// sequence of a packet ever reaches a terminal.
    pub fn printable(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match byte {
                b'\\' => self.text("\\\\"),
                0x20..=0x7e => self.byte(byte),
                _ => {
                    self.text("\\x");
                    self.bytes(&HEX[usize::from(byte)]);
                }
            }
        }
    }

    /// Writes a JSON string with its quotes (RFC 8259 7). Bytes that are not UTF-8 become U+FFFD.
    pub fn json_string(&mut self, bytes: &[u8]) {
        self.byte(b'"');
        for chunk in bytes.utf8_chunks() {
            let mut bytes = chunk.valid().as_bytes().iter().copied().peekable();
            while let Some(byte) = bytes.next() {
                match byte {
                    // U+0080 to U+009F, which steer terminals as ESC does.
                    0xc2 => match bytes.next_if(|next| matches!(next, 0x80..=0x9f)) {
                        Some(control) => {
                            self.text("\\u00");
                            self.bytes(&HEX[usize::from(control)]);
                        }
                        None => self.byte(byte),
                    },
                    b'"' => self.text("\\\""),
                    b'\\' => self.text("\\\\"),
                    b'\n' => self.text("\\n"),
                    b'\r' => self.text("\\r"),
                    b'\t' => self.text("\\t"),
                    0..0x20 | 0x7f => {
                        self.text("\\u00");
                        self.bytes(&HEX[usize::from(byte)]);
                    }
                    _ => self.byte(byte),
                }
            }
            if !chunk.invalid().is_empty() {
                self.text("\u{fffd}");
            }
        }
        self.byte(b'"');
    }
}

/// The writers of what is written most, with the place of the next byte in a register.
///
/// A [`Text`] keeps that place in memory, where each write has to wait for the one before: some five cycles, and a packet is a
/// hundred writes. A cursor that never leaves a function has its place in a register. So everything here is inlined, and whoever uses
/// it must be, too; what is rare goes through [`Cursor::rest`].
pub(crate) struct Cursor<'t> {
    text: &'t mut Text,
    at: usize,
}

impl<'t> Cursor<'t> {
    /// A cursor at the end of a text; [`finish`](Self::finish) puts the end where the cursor is.
    #[inline(always)]
    pub(crate) const fn new(text: &'t mut Text) -> Self {
        let at = text.at;
        Self { text, at }
    }

    /// Moves the end of the text to the cursor.
    #[inline(always)]
    pub(crate) const fn finish(self) {
        self.text.at = self.at;
    }

    /// Lets the text write something that is rare or long.
    #[inline(always)]
    pub(crate) fn rest(&mut self, write: impl FnOnce(&mut Text)) {
        self.text.at = self.at;
        write(self.text);
        self.at = self.text.at;
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N], len: usize) {
        match self.text.buffer.get_mut(self.at..).and_then(|room| room.first_chunk_mut()) {
            Some(room) => *room = bytes,
            None => self.rest(|text| text.put_growing(&bytes)),
        }
        self.at += len;
    }

    /// Writes a text as it is; one of constant length is a few stores.
    #[inline(always)]
    pub(crate) fn text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        match self.text.buffer.get_mut(self.at..).and_then(|room| room.get_mut(..bytes.len())) {
            Some(room) => room.copy_from_slice(bytes),
            None => self.rest(|text| text.put_growing(bytes)),
        }
        self.at += bytes.len();
    }

    /// Writes a number in decimal.
    #[inline(always)]
    pub(crate) fn num(&mut self, n: u64) {
        if n < 256 {
            let (digits, len) = DECIMAL[n as usize];
            self.put(digits, len.into());
        } else if n < EIGHT_DIGITS {
            let (digits, len) = digits(n as u32);
            self.put(digits.to_le_bytes(), len);
        } else if n / EIGHT_DIGITS < 256 {
            // Sequence numbers: 32 bits have ten digits.
            let (digits, len) = DECIMAL[(n / EIGHT_DIGITS) as usize];
            self.put(digits, len.into());
            self.put(eight_digits((n % EIGHT_DIGITS) as u32), 8);
        } else {
            self.rest(|text| text.long_num(n));
        }
    }

    /// Writes a MAC address, padded.
    #[inline(always)]
    pub(crate) fn mac(&mut self, mac: Mac) {
        self.put(colons(mac), 17);
    }

    /// Writes an IPv4 address.
    #[inline(always)]
    pub(crate) fn ipv4(&mut self, address: Ipv4Addr) {
        let (text, len) = dotted(address);
        self.put(text, len);
    }
}

/// The first of the longest runs of zero groups: its index and length.
fn longest_zeros(groups: &[u16; 8]) -> (usize, usize) {
    let (mut best, mut run) = ((0, 0), (0, 0));
    for (index, group) in groups.iter().enumerate() {
        if *group == 0 {
            run = if run.1 == 0 { (index, 1) } else { (run.0, run.1 + 1) };
            if run.1 > best.1 {
                best = run;
            }
        } else {
            run.1 = 0;
        }
    }
    best
}

impl std::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.text(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Text)) -> String {
        let mut text = Text::new();
        write(&mut text);
        String::from_utf8(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn edges_of_numbers_are_written_as_the_standard_library_does() {
        for n in [0, 9, 10, 99, 100, 255, 256, 999, 1000, 9999, 10_000, 99_999, 100_000, u64::MAX - 1, u64::MAX] {
            assert_eq!(written(|t| t.num(n)), n.to_string());
        }
        assert_eq!(written(|t| t.signed(i64::MIN)), i64::MIN.to_string());
        assert_eq!(written(|t| t.hex(0x8100, 4)), "0x8100");
        assert_eq!(written(|t| t.hex(0, 1)), "0x0");
        assert_eq!(written(|t| t.hex(u64::MAX, 1)), "0xffffffffffffffff");
        assert_eq!(written(|t| t.padded(7, 3)), "007");
        assert_eq!(written(|t| t.nanoseconds(123_456_789)), "123456789");
        assert_eq!(written(|t| t.micros(42)), "000042");
    }

    #[test]
    fn every_part_of_eight_digits_is_divided_right() {
        for part in 0..10_000 {
            for n in [part, part * 10_000, part * 10_001] {
                let (digits, len) = digits(n);
                assert_eq!(digits.to_le_bytes()[..len], *n.to_string().as_bytes());
                assert_eq!(eight_digits(n), *format!("{n:08}").as_bytes());
            }
        }
    }

    #[test]
    fn control_characters_of_two_bytes_are_escaped_in_json() {
        assert_eq!(written(|t| t.json_string("a\u{9b}31m\u{a0}\u{7f}é".as_bytes())), "\"a\\u009b31m\u{a0}\\u007fé\"");
        assert_eq!(written(|t| t.json_string(b"\xc2")), "\"\u{fffd}\"");
    }

    #[test]
    fn bytes_of_a_packet_cannot_steer_a_terminal() {
        assert_eq!(written(|t| t.printable(b"a\x1b[31m\\\xff")), "a\\x1b[31m\\\\\\xff");
    }

    proptest! {
        #[test]
        fn numbers_and_addresses_read_as_the_standard_library_writes_them(n: u64, v4: u32, v6: u128, mask: u8, mac: [u8; 6]) {
            prop_assert_eq!(written(|t| t.num(n)), n.to_string());
            prop_assert_eq!(written(|t| t.num(n >> (n & 63))), (n >> (n & 63)).to_string());
            prop_assert_eq!(written(|t| t.ipv4(v4.into())), Ipv4Addr::from(v4).to_string());
            // Whole groups set to zero by the mask: random 128 bits alone never compress.
            let mut groups = Ipv6Addr::from(v6).segments();
            for (bit, group) in groups.iter_mut().enumerate() {
                if mask >> bit & 1 == 1 { *group = 0 }
            }
            let address = Ipv6Addr::from(groups);
            prop_assert_eq!(written(|t| t.ipv6(address)), address.to_string());
            prop_assert_eq!(written(|t| t.mac(Mac(mac))), Mac(mac).to_string());
        }

        #[test]
        fn json_strings_are_read_back(bytes: Vec<u8>) {
            let json = written(|t| t.json_string(&bytes));
            let read: String = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(read, String::from_utf8_lossy(&bytes));
        }
    }
}
