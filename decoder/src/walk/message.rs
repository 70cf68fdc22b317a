//! The walk into messages: what is wrong inside a header is noted, and the walk goes on.

use super::Walk;
use crate::layer::{Body, Fault, Ipv6Ext, LayerKind, View, number::ip};
use crate::stop::{Stop, StopKind};

impl Walk<'_> {
    /// Adds a header of `length` bytes as [`Walk::push`] does, and notes the first fault inside it.
    #[inline]
    pub(super) fn push_checked(&mut self, length: usize, body: Body) {
        let (header, payload) = self.rest.split_at_checked(length).unwrap_or((self.rest, &[]));
        let fault = body.fault(View { header, payload, claimed: self.left().saturating_sub(length) as u32 });
        let (kind, offset) = (body.kind(), self.at);
        self.push(length, body);
        if let Some(fault) = fault {
            self.note_fault(kind, offset, fault);
        }
    }

    #[cold]
    fn note_fault(&mut self, kind: LayerKind, offset: usize, fault: Fault) {
        let at = offset + fault.offset;
        // What a first fragment lacks comes with the next one.
        if self.fragment && at + fault.need > self.end {
            return;
        }
        self.note(Stop::new(fault.kind, kind, at, fault.need, fault.have, fault.reason));
    }

    /// Notes what an IPv6 extension header at the cursor must not be where it stands.
    pub(super) fn note_extension(&mut self, number: u8, header: &[u8]) {
        if number != ip::HOP_BY_HOP {
            return;
        }
        let reason = match self.layers.last().map(|layer| layer.body) {
            // RFC 2675 3.
            Some(Body::Ipv6(ipv6)) if ipv6.payload_length != 0 && Ipv6Ext::jumbo_length(header).is_some() => {
                "jumbo option with a payload length in the ipv6 header"
            }
            Some(Body::Ipv6(_)) => return,
            // RFC 8200 4.1.
            _ => "hop-by-hop header is not the first",
        };
        self.note(Stop::new(StopKind::Malformed, LayerKind::Ipv6Ext, self.at, 0, 0, Some(reason)));
    }
}
