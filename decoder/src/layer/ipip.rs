//! Where does an IP header follow an IP header? IP in IP (RFC 2003, RFC 4213 3, RFC 2473).
//!
//! The encapsulation has no header of its own: this marker has no bytes, and stands where the inner packet begins.

use super::{Header, View};
use crate::fields::Fields;
use crate::text::Text;

/// The mark of IP in IP, without bytes of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipip;

impl Header for Ipip {
    fn fields<F: Fields>(&self, _: View<'_>, _: &mut F) {}

    fn summary(&self, _: View<'_>, _: &mut Text) {}
}
