//! Where does a packet begin that was captured without a link layer? `LINKTYPE_RAW`, `LINKTYPE_IPV4`, `LINKTYPE_IPV6`.
//!
//! Such a packet starts with its IP header: this marker has no bytes, and says only that nothing is missing in front.

use super::{Header, View};
use crate::fields::Fields;
use crate::text::Text;

/// The mark of a capture without a link layer, without bytes of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Raw;

impl Header for Raw {
    fn fields<F: Fields>(&self, _: View<'_>, _: &mut F) {}

    fn summary(&self, _: View<'_>, _: &mut Text) {}
}
