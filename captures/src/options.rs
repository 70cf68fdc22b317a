//! What did the writer of a pcapng block add to it? Options: code, length, value, padding.
//!
//! Source: pcapng (draft-ietf-opsawg-pcapng) 3.5 (form), 4.2 (interfaces), 4.3 (packets), 4.6 (statistics).

use crate::bytes::{Order, padded};

pub(crate) const END: u16 = 0;
pub(crate) const COMMENT: u16 = 1;
pub(crate) const EPB_FLAGS: u16 = 2;
pub(crate) const EPB_DROPCOUNT: u16 = 4;
pub(crate) const IF_NAME: u16 = 2;
pub(crate) const IF_DESCRIPTION: u16 = 3;
pub(crate) const IF_TSRESOL: u16 = 9;
pub(crate) const IF_TSOFFSET: u16 = 14;
pub(crate) const ISB_IFRECV: u16 = 4;
pub(crate) const ISB_IFDROP: u16 = 5;
pub(crate) const ISB_OSDROP: u16 = 7;
pub(crate) const ISB_USRDELIV: u16 = 8;

/// The options in `rest`, each as code and value. Ends at `opt_endofopt`, at the end of the bytes, or at an option that claims
/// more bytes than there are; [`Options::overrun`] tells the last case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options<'a> {
    rest: &'a [u8],
    order: Order,
    overrun: bool,
}

impl<'a> Options<'a> {
    pub(crate) const fn new(bytes: &'a [u8], order: Order) -> Self {
        Self { rest: bytes, order, overrun: false }
    }

    pub(crate) const fn order(&self) -> Order {
        self.order
    }

    /// Are there no bytes left that could be an option?
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Did the iteration end at an option that is longer than its block?
    pub(crate) const fn overrun(&self) -> bool {
        self.overrun
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = &[];
        let (code, length) = (self.order.u16(&head[..2]), usize::from(self.order.u16(&head[2..])));
        if code == END {
            return None;
        }
        let Some(value) = rest.get(..length) else {
            self.overrun = true;
            return None;
        };
        self.rest = rest.get(padded(length)..).unwrap_or_default();
        Some((code, value))
    }
}

/// Appends one option in little-endian order. `value` has at most `u16::MAX` bytes: the caller has checked that.
pub(crate) fn push(buffer: &mut Vec<u8>, code: u16, value: &[u8]) {
    debug_assert!(u16::try_from(value.len()).is_ok(), "option {code} of {} bytes", value.len());
    buffer.extend_from_slice(&code.to_le_bytes());
    buffer.extend_from_slice(&(value.len() as u16).to_le_bytes());
    buffer.extend_from_slice(value);
    buffer.extend_from_slice(&[0; 3][..padded(value.len()) - value.len()]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_back_in_order_until_the_end_marker() {
        let mut bytes = Vec::new();
        push(&mut bytes, COMMENT, b"hello");
        push(&mut bytes, IF_TSRESOL, &[9]);
        push(&mut bytes, END, b"");
        push(&mut bytes, COMMENT, b"after the end");
        let found: Vec<_> = Options::new(&bytes, Order::Little).collect();
        assert_eq!(found, [(COMMENT, &b"hello"[..]), (IF_TSRESOL, &[9][..])]);
    }

    #[test]
    fn an_option_longer_than_its_block_ends_the_list_and_is_told() {
        let mut options = Options::new(&[0, 1, 0, 9, 1, 2, 3, 4], Order::Big);
        assert_eq!(options.next(), None);
        assert!(options.overrun());
        let mut unpadded = Options::new(&[0, 1, 0, 3, 1, 2, 3], Order::Big);
        assert_eq!(unpadded.next(), Some((1, &[1, 2, 3][..])));
        assert_eq!(unpadded.next(), None);
        assert!(!unpadded.overrun());
    }
}
