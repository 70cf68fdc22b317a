//! Where would this frame go, and why? A frame in hexadecimal or in words, or many of them, and the way each would take.

use super::Problem;
use crate::{LinkName, Verdict};
use overlay_decoder::Mac;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Largest frame that is traced, in bytes: what a TAP can give at once.
pub const FRAME_MAX_BYTES: usize = 65_549;
/// Most frames that are traced in one call: the owner of the engine follows them in a few milliseconds, and then does something else.
pub const TRACES_MAX: usize = 256;
/// An Ethernet header.
const ETHERNET: usize = 14;
/// A VLAN tag (IEEE 802.1Q 9.3).
const VLAN_TAG: usize = 4;

/// A frame to follow: `POST /v1/overlays/NAME/trace`. Nothing is sent and nothing changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceRequest {
    /// The frame.
    pub frame: TraceFrame,
    /// The VNIC that would give it; none is no VNIC of this overlay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vnic: Option<LinkName>,
}

/// Frames to follow, each for itself: `POST /v1/overlays/NAME/traces`. The answer is a list of [`Trace`], one for each, in their order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracesRequest {
    /// The frames, at most [`TRACES_MAX`].
    pub frames: Vec<TraceFrame>,
    /// The VNIC that would give them; none is no VNIC of this overlay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vnic: Option<LinkName>,
}

impl TracesRequest {
    /// The bytes of each frame. `source` is what they come from where they do not say so themselves.
    ///
    /// # Errors
    /// Too many frames, or the first that is none, with its place in the list.
    pub fn bytes(&self, source: Mac) -> Result<Vec<Vec<u8>>, Problem> {
        let count = self.frames.len();
        if count > TRACES_MAX {
            return Err(Problem::wrong(format_args!("frames: {count} are not allowed in one call; 0-{TRACES_MAX} are")));
        }
        let one = |(place, frame): (usize, &TraceFrame)| {
            frame.read(source).map_err(|problem| Problem::wrong(format_args!("frames[{place}]{problem}")))
        };
        self.frames.iter().enumerate().map(one).collect()
    }
}

/// A frame: a text of hexadecimal digits, or an object of words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum TraceFrame {
    /// All of it from the Ethernet header on, in hexadecimal digits; blanks, line breaks, `:` and `-` between bytes are allowed.
    Hex(String),
    /// What it is like.
    Words(FrameWords),
}

/// What a frame is like.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameWords {
    /// The inner destination (VL2).
    pub dst: Mac,
    /// The inner source (VL2); none is the VNIC's, or all zeros.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<Mac>,
    /// The EtherType; none is 0x0800, IPv4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ethertype: Option<u16>,
    /// The VLAN id of its tag; none is no tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// Bytes of the packet behind Ethernet header and tag; none is 64. They are zeros.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
}

/// The way of a frame.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trace {
    /// One sentence a decision, in their order.
    pub steps: Vec<String>,
    /// What would become of it now; its keys stand beside `steps`.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl TraceFrame {
    /// The frame's bytes. `source` is what it comes from where it does not say so itself.
    ///
    /// # Errors
    /// Digits that are none, half a byte, an id or a size out of its bounds.
    pub fn bytes(&self, source: Mac) -> Result<Vec<u8>, Problem> {
        self.read(source).map_err(|problem| Problem::wrong(format_args!("frame{problem}")))
    }

    /// The bytes, or what is wrong, to stand behind the name of the frame.
    fn read(&self, source: Mac) -> Result<Vec<u8>, String> {
        match self {
            Self::Hex(text) => unhex(text).map_err(|problem| format!(": {problem}")),
            Self::Words(words) => words.bytes(source).map_err(|problem| format!(".{problem}")),
        }
    }
}

impl FrameWords {
    fn bytes(&self, source: Mac) -> Result<Vec<u8>, String> {
        let size = self.size.map_or(64, |size| usize::try_from(size).unwrap_or(usize::MAX));
        let most = FRAME_MAX_BYTES - ETHERNET - VLAN_TAG;
        if size > most {
            return Err(format!("size: {size} is not allowed; 0-{most} is"));
        }
        let mut frame = Vec::with_capacity(ETHERNET + VLAN_TAG + size);
        frame.extend(self.dst.0);
        frame.extend(self.src.unwrap_or(source).0);
        match self.vlan {
            // IEEE 802.1Q 9.6: 4095 is reserved.
            Some(vlan) if vlan > 4094 => return Err(format!("vlan: {vlan} is not allowed; 0-4094 is")),
            Some(vlan) => frame.extend([0x8100, vlan].into_iter().flat_map(u16::to_be_bytes)),
            None => {}
        }
        frame.extend(self.ethertype.unwrap_or(0x0800).to_be_bytes());
        frame.resize(frame.len() + size, 0);
        Ok(frame)
    }
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity((text.len() / 2).min(FRAME_MAX_BYTES));
    let mut half = None;
    for (place, letter) in text.char_indices() {
        let between = letter.is_ascii_whitespace() || letter == ':' || letter == '-';
        match (letter.to_digit(16), half) {
            (None, None) if between => {}
            (None, _) => return Err(format!("{letter:?} at character {} is no hexadecimal digit, or in the middle of a byte", place + 1)),
            (Some(digit), None) => half = Some(digit as u8),
            (Some(digit), Some(high)) => {
                if bytes.len() == FRAME_MAX_BYTES {
                    return Err(format!("is larger than {FRAME_MAX_BYTES} bytes"));
                }
                bytes.push(high << 4 | digit as u8);
                half = None;
            }
        }
    }
    match half {
        Some(_) => Err("ends in the middle of a byte; two hexadecimal digits make one".to_owned()),
        None => Ok(bytes),
    }
}

/// Its own reader, as a derived one would not say which of the two was meant and what is wrong with it.
impl<'de> Deserialize<'de> for TraceFrame {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = TraceFrame;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a frame: hexadecimal digits, or an object with dst, src, ethertype, vlan, size")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<TraceFrame, E> {
                Ok(TraceFrame::Hex(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TraceFrame, A::Error> {
                FrameWords::deserialize(MapAccessDeserializer::new(map)).map(TraceFrame::Words)
            }
        }
        deserializer.deserialize_any(Either)
    }
}
