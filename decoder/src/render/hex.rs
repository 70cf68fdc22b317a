//! The bytes (`-x`, `-X`), as tcpdump lays them out.

use crate::text::Text;

/// Bytes on a line.
const WIDTH: usize = 16;

/// Writes bytes in lines of 16: offset, groups of two bytes, and with `ascii` what of it is printable.
pub fn hex(bytes: &[u8], ascii: bool, out: &mut Text) {
    for (index, row) in bytes.chunks(WIDTH).enumerate() {
        out.byte(b'\t');
        out.hex((index * WIDTH) as u64, 4);
        out.text(": ");
        for pair in row.chunks(2) {
            out.byte(b' ');
            out.hex_bytes(pair);
        }
        if ascii {
            let written = row.len().div_ceil(2) + row.len() * 2;
            out.spaces(WIDTH / 2 + WIDTH * 2 - written + 2);
            for byte in row {
                out.byte(if byte.is_ascii_graphic() || *byte == b' ' { *byte } else { b'.' });
            }
        }
        out.byte(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_line_up_and_control_bytes_are_dots() {
        let mut out = Text::new();
        hex(b"0123456789abcdef\x1b[A", true, &mut out);
        let text = String::from_utf8(out.as_bytes().to_vec()).unwrap();
        assert_eq!(
            text,
            "\t0x0000:  3031 3233 3435 3637 3839 6162 6364 6566  0123456789abcdef\n\t0x0010:  1b5b 41                                  .[A\n"
        );
    }
}
