//! How does a frame get into texts? In parts, as digits, and only for a watcher.

use std::fmt::{self, Display};

/// Bytes of a frame in one firing of `frame-bytes`: their digits and the zero at the end fit into the longest text that bpftrace 0.17 takes
/// (`BPFTRACE_STRLEN=200`).
pub const FRAME_PART_BYTES: usize = 96;

/// Bytes of a frame in all its parts together: Ethernet, two VLAN tags, IPv6 and TCP with all of their usual options, and some payload. More
/// parts would be looked at by everybody whom nobody watches.
pub const FRAME_BYTES: usize = 2 * FRAME_PART_BYTES;

/// Fires `frame-bytes` for the first [`FRAME_BYTES`] of a frame of `len` bytes. Where they are is asked only for a watcher: `bytes` is a closure that
/// moves what it needs, because what it only refers to would be written to the stack for nobody.
#[inline(always)]
pub fn frame_parts<'a>(frame: u64, vni: u32, direction: u8, len: u32, bytes: impl Fn() -> &'a [u8] + Copy) {
    crate::frame_bytes(frame, vni, direction, len, 0, Hex { bytes, from: 0 });
    if len as usize > FRAME_PART_BYTES {
        crate::frame_bytes(frame, vni, direction, len, FRAME_PART_BYTES as u32, Hex { bytes, from: FRAME_PART_BYTES });
    }
}

/// A part of a frame, two digits for each byte. The part is cut out when it is displayed.
struct Hex<F> {
    bytes: F,
    from: usize,
}

impl<'a, F: Fn() -> &'a [u8]> Display for Hex<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.bytes)().iter().skip(self.from).take(FRAME_PART_BYTES).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_frame_are_its_first_bytes_in_order() {
        let frame: Vec<u8> = (0..=255).collect();
        let part = |bytes: &[u8], from| Hex { bytes: || bytes, from }.to_string();
        let parts = [0, FRAME_PART_BYTES].map(|from| part(&frame, from));
        let all: String = frame[..FRAME_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(parts.concat(), all);
        assert!(parts.iter().all(|part| part.len() < 200), "the longest text that bpftrace takes, with its end");
        assert_eq!(part(&frame[..60], 0).len(), 120);
        assert_eq!(part(&frame[..97], FRAME_PART_BYTES), "60");
        assert_eq!(part(&[], FRAME_PART_BYTES), "");
    }
}
