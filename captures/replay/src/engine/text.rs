//! How is a line written that is written a million times a second? By hand, where serde would ask for a formatter for each number.
//!
//! The lines are those that serde makes of [`PacketLine`], byte for byte, which a test compares.

use super::lines::{PacketLine, When};
use overlay_api::Verdict;
use overlay_decoder::Ul3;
use std::fmt::Display;
use std::io::Write;
use std::net::IpAddr;

/// Appends the JSON object of a packet's line.
pub(super) fn push_packet(text: &mut Vec<u8>, line: &PacketLine<'_>) {
    text.extend_from_slice(b"{\"kind\":\"packet\",\"number\":");
    push_number(text, line.number);
    text.extend_from_slice(b",\"timestamp\":");
    push_time(text, line.timestamp);
    if let Some(vnic) = line.vnic {
        text.extend_from_slice(b",\"vnic\":");
        push_text(text, vnic);
    }
    if let Some(underlay) = line.underlay {
        text.extend_from_slice(b",\"underlay\":");
        push_ul3(text, underlay);
    }
    text.extend_from_slice(b",\"frame\":");
    push_number(text, line.frame);
    if let Some(taken) = line.taken {
        text.extend_from_slice(b",\"taken\":");
        push_text(text, taken);
    }
    if let Some(waited) = line.waited_ns {
        text.extend_from_slice(b",\"waited_ns\":");
        push_number(text, waited);
    }
    text.push(b',');
    push_verdict(text, line.verdict);
}

/// Appends the fields of a verdict and the end of the object.
fn push_verdict(text: &mut Vec<u8>, verdict: &Verdict) {
    match verdict {
        Verdict::Transmit { vni, to, ports } if ports.is_empty() => {
            text.extend_from_slice(b"\"verdict\":\"transmit\",\"vni\":");
            push_number(text, vni.get().into());
            text.extend_from_slice(b",\"to\":[");
            for (index, ul3) in to.iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                push_ul3(text, *ul3);
            }
            text.extend_from_slice(b"]}");
        }
        Verdict::Deliver { vni, ports } => {
            text.extend_from_slice(b"\"verdict\":\"deliver\",\"vni\":");
            push_number(text, vni.get().into());
            text.extend_from_slice(b",\"ports\":[");
            for (index, port) in ports.iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                push_text(text, port);
            }
            text.extend_from_slice(b"]}");
        }
        other => {
            let begin = text.len();
            // Only memory is written to, which takes all, and a verdict has texts for keys.
            let _ = serde_json::to_writer(&mut *text, other);
            // Its object is the rest of this one.
            if text.get(begin) == Some(&b'{') {
                text.remove(begin);
            }
        }
    }
}

/// Appends a decimal number.
fn push_number(text: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[at..]);
}

/// Appends seconds and nine decimals, in quotes.
fn push_time(text: &mut Vec<u8>, When(time): When) {
    let Ok(seconds) = u64::try_from(time.seconds) else { return push_any(text, When(time)) };
    text.push(b'"');
    push_number(text, seconds);
    let mut decimals = *b".000000000";
    let mut rest = time.nanoseconds;
    for digit in decimals[1..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    text.extend_from_slice(&decimals);
    text.push(b'"');
}

/// Appends an underlay place, in quotes.
fn push_ul3(text: &mut Vec<u8>, ul3: Ul3) {
    let IpAddr::V4(ip) = ul3.ip else { return push_any(text, ul3) };
    text.push(b'"');
    for (index, octet) in ip.octets().into_iter().enumerate() {
        if index > 0 {
            text.push(b'.');
        }
        push_number(text, octet.into());
    }
    if let Some(port) = ul3.port {
        text.push(b':');
        push_number(text, port.into());
    }
    text.push(b'"');
}

/// Appends what needs no escapes, in quotes.
fn push_any(text: &mut Vec<u8>, what: impl Display) {
    // Only memory is written to, which takes all.
    let _ = write!(text, "\"{what}\"");
}

/// Appends a text, in quotes.
fn push_text(text: &mut Vec<u8>, what: &str) {
    if what.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        text.push(b'"');
        text.extend_from_slice(what.as_bytes());
        text.push(b'"');
    } else {
        // Only memory is written to, which takes all.
        let _ = serde_json::to_writer(text, what);
    }
}

#[cfg(test)]
mod tests {
    use super::super::lines::Line;
    use super::*;
    use overlay_api::DropReason;
    use overlay_captures::Timestamp;
    use overlay_decoder::Vni;
    use proptest::prelude::*;

    fn same(line: PacketLine<'_>) -> Result<(), TestCaseError> {
        let mut text = Vec::new();
        push_packet(&mut text, &line);
        prop_assert_eq!(String::from_utf8(text).unwrap(), serde_json::to_string(&Line::Packet(line)).unwrap());
        Ok(())
    }

    fn places() -> impl Strategy<Value = Vec<Ul3>> {
        prop::collection::vec((any::<IpAddr>(), any::<Option<u16>>()).prop_map(|(ip, port)| Ul3 { ip, port }), 0..3)
    }

    proptest! {
        #[test]
        fn a_line_is_what_serde_makes_of_it(
            number: u64, frame: u64, seconds: i64, nanoseconds in 0..1_000_000_000_u32, vnic: Option<String>, taken: Option<String>,
            waited_ns: Option<u64>, to in places(), ports: Vec<String>, vni in 0..=0xff_ffff_u32, kind in 0..6,
        ) {
            let vni = Vni::new(vni).unwrap();
            let underlay = to.first().copied();
            let verdict = match kind {
                0 => Verdict::Transmit { vni, to, ports },
                1 => Verdict::Transmit { vni, to, ports: Vec::new() },
                2 => Verdict::Deliver { vni, ports },
                3 => Verdict::Pending { vni, request: serde_json::from_str("7").ok() },
                4 => Verdict::Answered { vni, by: "inject" },
                _ => Verdict::Drop { vni: None, reason: DropReason::TooBig },
            };
            let timestamp = When(Timestamp::new(seconds, nanoseconds));
            same(PacketLine {
                number, timestamp, vnic: vnic.as_deref(), underlay, frame, taken: taken.as_deref(), waited_ns, verdict: &verdict,
            })?;
        }
    }
}
