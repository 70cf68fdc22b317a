//! Where does all text go? The one output buffer of all renderings.
//!
//! How a number or an address becomes text fast stands in `pen.rs`.

use crate::addr::Mac;
use crate::pen::{HEX, PAIR, Pen, Room};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A growing buffer of bytes with writers for what packets are made of.
///
/// Cleared and reused for every packet or chunk; it allocates only while it grows.
#[derive(Debug, Default)]
pub struct Text {
    buffer: Vec<u8>,
    /// Where the next byte goes.
    pub(crate) at: usize,
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

    /// Lets `write` fill the `N` bytes at `at`.
    #[inline(always)]
    pub(crate) fn fill_at<const N: usize>(&mut self, at: usize, write: impl FnOnce(&mut [u8; N])) {
        match self.buffer.get_mut(at..).and_then(|room| room.first_chunk_mut()) {
            Some(room) => write(room),
            None => {
                let mut bytes = [0; N];
                write(&mut bytes);
                self.copy_growing(at, &bytes);
            }
        }
    }

    /// Copies bytes to `at`.
    #[inline(always)]
    pub(crate) fn copy_to(&mut self, at: usize, bytes: &[u8]) {
        match self.buffer.get_mut(at..).and_then(|room| room.get_mut(..bytes.len())) {
            Some(room) => room.copy_from_slice(bytes),
            None => self.copy_growing(at, bytes),
        }
    }

    #[cold]
    #[inline(never)]
    fn copy_growing(&mut self, at: usize, bytes: &[u8]) {
        self.grow(at + bytes.len());
        self.buffer[at..at + bytes.len()].copy_from_slice(bytes);
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, wanted: usize) {
        self.buffer.resize(wanted.max(self.buffer.len() * 2).max(4096), 0);
    }

    /// A room of `M` bytes at the end. What is written there counts when the room is [finished](Room::finish).
    #[inline(always)]
    pub(crate) fn room<const M: usize>(&mut self) -> Option<Room<'_, M>> {
        // Asked in the words of the next line, which the compiler then does not ask again.
        if self.buffer.get(self.at..).is_none_or(|room| room.len() < M) {
            self.grow(self.at + M);
        }
        let bytes = self.buffer.get_mut(self.at..).and_then(|room| room.first_chunk_mut())?;
        Some(Room::new(bytes, &mut self.at))
    }

    /// Writes bytes as they are.
    #[inline(always)]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.copy_to(self.at, bytes);
        self.at += bytes.len();
    }

    /// Writes a text as it is.
    #[inline(always)]
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Writes one byte.
    #[inline]
    pub fn byte(&mut self, byte: u8) {
        Pen::put(self, [byte], 1);
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
        Pen::octet(self, n);
    }

    /// Writes a number in decimal.
    #[inline]
    pub fn num(&mut self, n: u64) {
        Pen::num(self, n);
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
        Pen::nanoseconds(self, n);
    }

    /// Writes a microsecond count below one second with 6 digits.
    #[inline]
    pub fn micros(&mut self, n: u32) {
        Pen::micros(self, n);
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
        Pen::mac(self, mac);
    }

    /// Writes an IPv4 address.
    #[inline]
    pub fn ipv4(&mut self, address: Ipv4Addr) {
        Pen::ipv4(self, address);
    }

    /// Writes an IPv6 address as RFC 5952 spells it.
    pub fn ipv6(&mut self, address: Ipv6Addr) {
        Pen::ipv6(self, address);
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

impl Pen for Text {
    #[inline(always)]
    fn fill<const N: usize>(&mut self, len: usize, write: impl FnOnce(&mut [u8; N])) {
        self.fill_at(self.at, write);
        self.at += len;
    }

    #[inline(always)]
    fn fill_some<const N: usize>(&mut self, write: impl FnOnce(&mut [u8; N]) -> usize) {
        let mut len = 0;
        self.fill_at(self.at, |room| len = write(room));
        self.at += len;
    }

    #[inline(always)]
    fn bytes(&mut self, bytes: &[u8]) {
        self.bytes(bytes);
    }

    #[inline(always)]
    fn rest(&mut self, write: impl FnOnce(&mut Self)) {
        write(self);
    }
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
        fn json_strings_are_read_back(bytes: Vec<u8>) {
            let json = written(|t| t.json_string(&bytes));
            let read: String = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(read, String::from_utf8_lossy(&bytes));
        }
    }
}
