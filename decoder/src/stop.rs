//! Why did the walk stop? The tolerant walk never refuses a packet; it says where it ended and whose fault that is.

use crate::layer::LayerKind;
use std::fmt;

/// Whose fault an early end is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StopKind {
    /// The capture's: the packet was longer on the wire than what was captured.
    Truncated,
    /// The sender's: a length or a field contradicts the bytes around it.
    Malformed,
    /// Ours: a valid packet of a kind that this walk does not decode further.
    Unsupported,
    /// Nobody's: the packet nests deeper than the walk goes.
    Depth,
}

impl StopKind {
    /// The word that JSON, text and filters use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::Depth => "depth",
        }
    }
}

/// Where and why a walk ended before the packet did.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Stop {
    /// Whose fault it is.
    pub kind: StopKind,
    /// The layer that could not be read, or whose fields are at fault.
    pub layer: LayerKind,
    /// Byte offset of that layer in the packet.
    pub offset: u32,
    /// Bytes the layer needs from that offset; 0 where no length is at fault.
    pub need: u32,
    /// Bytes there are from that offset.
    pub have: u32,
    /// What is wrong, where it is more than a lack of bytes.
    pub reason: Option<&'static str>,
    /// The number that the reason speaks of: an EtherType, a protocol, a link type.
    pub number: Option<u32>,
}

impl Stop {
    pub(crate) const fn new(
        kind: StopKind,
        layer: LayerKind,
        offset: usize,
        need: usize,
        have: usize,
        reason: Option<&'static str>,
    ) -> Self {
        // Offsets are below the captured length, which is a u32; a claimed length beyond that saturates.
        const fn narrow(n: usize) -> u32 {
            if n > u32::MAX as usize { u32::MAX } else { n as u32 }
        }
        Self { kind, layer, offset: narrow(offset), need: narrow(need), have: narrow(have), reason, number: None }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: ", self.layer.name(), self.offset)?;
        match (self.kind, self.reason) {
            (StopKind::Truncated, None) => write!(f, "needs {}, {} captured", self.need, self.have),
            (StopKind::Truncated, Some(reason)) => write!(f, "{reason}: needs {}, {} captured", self.need, self.have),
            (StopKind::Malformed, None) => write!(f, "needs {}, the packet has {}", self.need, self.have),
            (_, Some(reason)) if self.need > 0 => write!(f, "{reason}: {}, there are {}", self.need, self.have),
            (_, Some(reason)) => match self.number {
                Some(number) => write!(f, "{reason}: {number}"),
                None => f.write_str(reason),
            },
            (kind, None) => f.write_str(kind.name()),
        }
    }
}
