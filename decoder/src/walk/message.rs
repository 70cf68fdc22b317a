//! The walk into messages: what is wrong inside a header is noted, and the walk goes on.

use super::Walk;
use crate::layer::{Body, Fault, Ipv6Ext, LayerKind, View, number::ip};
use crate::stop::{Stop, StopKind};

impl Walk<'_> {
    /// Adds a header of `length` bytes as [`Walk::push`] does, and notes the first fault inside it.
    ///
    /// Not inlined: the headers of nearly all packets have nothing to check, and should not pay for the room that this takes.
    #[inline(never)]
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

#[cfg(test)]
mod tests {
    use crate::link::LinkType;
    use crate::stop::{Stop, StopKind};
    use crate::walk::{Config, Walker};

    /// What the walk says of an IPv4 packet: `more` is the byte with the fragment flags.
    fn stop(protocol: u8, more: u8, payload: &[u8], missing: usize) -> Option<Stop> {
        let total = (20 + payload.len() + missing) as u16;
        let mut packet = vec![0x45, 0, (total >> 8) as u8, total as u8, 0, 1, more, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        packet.extend(payload);
        Walker::new(Config::default()).walk(&packet, u32::from(total), LinkType::RAW).stop
    }

    /// SCTP with a chunk of 20 bytes, its user data.
    const DATA: [u8; 32] = [19, 136, 19, 137, 0, 0, 0, 1, 0, 0, 0, 0, 0, 3, 0, 20, 0, 0, 0, 5, 0, 1, 0, 2, 0, 0, 0, 46, 1, 2, 3, 4];

    #[test]
    fn what_a_first_fragment_lacks_is_nobodys_fault() {
        assert_eq!(stop(132, 0, &DATA, 0), None);
        let fault = stop(132, 0, &DATA[..24], 0).unwrap();
        assert_eq!((fault.kind, fault.offset, fault.need, fault.have), (StopKind::Malformed, 32, 20, 12));
        assert_eq!(stop(132, 0x20, &DATA[..24], 0), None);
        // What is wrong within the fragment stays wrong.
        let mut short = DATA;
        short[15] = 3;
        assert_eq!(stop(132, 0x20, &short[..24], 0).map(|fault| fault.kind), Some(StopKind::Malformed));
    }

    #[test]
    fn what_was_not_captured_is_the_captures_fault() {
        let fault = stop(132, 0, &DATA[..24], 8).unwrap();
        assert_eq!(fault.to_string(), "sctp at byte 32: needs 16, 12 captured");
    }

    #[test]
    fn a_fault_inside_a_header_does_not_end_the_walk_and_the_first_one_counts() {
        // TCP to port 53: an option of length 0, then a DNS message over TCP that is shorter than its sections.
        let mut segment = vec![0xc3, 0x50, 0, 53, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 0x18, 0xff, 0xff, 0, 0, 0, 0, 3, 0, 0, 0];
        segment.extend([0, 12, 0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        let fault = stop(6, 0, &segment, 0).unwrap();
        assert_eq!(fault.to_string(), "tcp at byte 40: option length 0");
        segment[20] = 0;
        let fault = stop(6, 0, &segment, 0).unwrap();
        assert_eq!(fault.to_string(), "dns at byte 58: message shorter than its sections: 1, there are 0");
    }

    #[test]
    fn a_hop_by_hop_header_stands_first_and_gives_a_length_only_where_there_is_none() {
        let stop = |payload_length: u8, next: u8, headers: &[u8]| {
            let mut packet = vec![0x60, 0, 0, 0, 0, payload_length, next, 64];
            packet.extend([[0xfd; 16], [0xfc; 16]].concat());
            packet.extend(headers);
            let length = packet.len() as u32;
            Walker::new(Config::default()).walk(&packet, length, LinkType::RAW).stop.map(|stop| stop.to_string())
        };
        let (pad, alert) = ([59, 0, 1, 4, 0, 0, 0, 0], [59, 0, 5, 2, 0, 0, 1, 0]);
        assert_eq!(stop(8, 0, &alert), None);
        let turned = [[0, 0, 1, 4, 0, 0, 0, 0], alert].concat();
        assert_eq!(stop(16, 60, &turned).as_deref(), Some("ipv6_ext at byte 48: hop-by-hop header is not the first"));
        assert_eq!(stop(16, 0, &[[60, 0, 5, 2, 0, 0, 1, 0], pad].concat()), None);
        let jumbo = [59, 0, 0xc2, 4, 0, 1, 0, 0];
        assert_eq!(stop(8, 0, &jumbo).as_deref(), Some("ipv6_ext at byte 40: jumbo option with a payload length in the ipv6 header"));
        assert_eq!(stop(0, 0, &jumbo), None);
    }
}
