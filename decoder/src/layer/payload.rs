//! What is left behind the last header? Bytes that no decoder here reads.

use super::{Header, View};
use crate::fields::{Fields, key};
use crate::text::Text;

/// The rest of a packet; the layer's own length is what was captured of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payload {
    /// Bytes by the lengths in the headers, captured or not.
    pub wire_length: u32,
}

impl Header for Payload {
    #[inline(always)]
    fn fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
        if self.wire_length as usize != view.header.len() {
            out.num(key!("wire_length"), self.wire_length.into());
        }
    }

    fn summary(&self, view: View<'_>, out: &mut Text) {
        out.num(self.wire_length.into());
        out.text(if self.wire_length == 1 { " byte" } else { " bytes" });
        if self.wire_length as usize != view.header.len() {
            out.text(", ");
            out.num(view.header.len() as u64);
            out.text(" captured");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_payload_says_both_lengths() {
        let said = |wire_length, header| {
            let mut text = Text::new();
            Payload { wire_length }.summary(View { header, payload: &[], claimed: 0 }, &mut text);
            String::from_utf8(text.as_bytes().to_vec()).unwrap()
        };
        assert_eq!(said(3, &[1, 2, 3]), "3 bytes");
        assert_eq!(said(1, &[1]), "1 byte");
        assert_eq!(said(100, &[1, 2, 3]), "100 bytes, 3 captured");
    }
}
