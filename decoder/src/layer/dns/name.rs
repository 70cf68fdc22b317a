//! Which name stands at this place of a DNS message? Labels and compression pointers (RFC 1035 3.1, 4.1.4).
//!
//! A pointer may point anywhere, also at itself: every name is read within fixed bounds of jumps and length.

/// Pointers followed for one name at most. An honest name has no more than labels: 127, and one to the end.
const JUMPS_MAX: usize = 128;
/// Length of a name on the wire at most, the length bytes included (RFC 1035 2.3.4).
const WIRE_MAX: usize = 255;
/// Text of a name at most: four characters (`\ddd`) for each byte, a dot for each label.
const TEXT_MAX: usize = 1024;

/// Where a name leads that can be read to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// Every pointer points back, as it must: names refer to earlier ones (RFC 1035 4.1.4).
    Back,
    /// A pointer does not.
    Forward,
}

/// Why a name cannot be read to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Broken {
    /// The message ends within a label, or in front of one: `need` bytes from `at` on would be needed.
    Ends { at: usize, need: usize },
    /// A pointer at `at` leads behind the message.
    Beyond { at: usize },
    /// A label at `at` is of no known kind.
    Kind { at: usize },
    /// It is longer than a name can be.
    Long,
    /// Its pointers lead to where they came from.
    Loop,
}

/// Hands the labels of the name at `at` to `label`, in order and none of them twice.
pub(super) fn labels(message: &[u8], start: usize, mut label: impl FnMut(&[u8])) -> Result<Way, Broken> {
    let (mut at, mut lowest, mut way, mut wire) = (start, start, Way::Back, 1);
    // The places that pointers led to.
    let (mut seen, mut jumps) = ([0u16; JUMPS_MAX], 0);
    loop {
        match *message.get(at).ok_or(Broken::Ends { at, need: 1 })? {
            0 => return Ok(way),
            length @ 1..=63 => {
                let behind = at + 1 + usize::from(length);
                let text = message.get(at + 1..behind).ok_or(Broken::Ends { at, need: behind - at })?;
                wire += behind - at;
                if wire > WIRE_MAX {
                    return Err(Broken::Long);
                }
                label(text);
                at = behind;
            }
            high @ 0xc0.. => {
                let low = *message.get(at + 1).ok_or(Broken::Ends { at, need: 2 })?;
                let pointer = u16::from_be_bytes([high & 0x3f, low]);
                let target = usize::from(pointer);
                if target >= message.len() {
                    return Err(Broken::Beyond { at });
                }
                // Only what does not point back can lead to where the name was already.
                if target >= lowest {
                    if target == start || seen[..jumps].contains(&pointer) {
                        return Err(Broken::Loop);
                    }
                    way = Way::Forward;
                }
                if jumps == JUMPS_MAX {
                    return Err(Broken::Loop);
                }
                seen[jumps] = pointer;
                jumps += 1;
                lowest = lowest.min(target);
                at = target;
            }
            _ => return Err(Broken::Kind { at }),
        }
    }
}

/// A name as text, in the form of RFC 1035 5.1 without the last dot: printable ASCII only, all else as `\ddd`.
#[derive(Clone, Copy)]
pub(super) struct Name {
    text: [u8; TEXT_MAX],
    length: usize,
}

impl Name {
    /// Reads the name at `at`; `None` where the message ends within it or a label is of no known kind. A name that never ends
    /// reads as far as it went, with `(pointer loop)` or `(too long)` behind it.
    pub(super) fn read(message: &[u8], at: usize) -> Option<Self> {
        let mut name = Self { text: [0; TEXT_MAX], length: 0 };
        match labels(message, at, |label| name.label(label)) {
            Ok(_) if name.length == 0 => name.push(b"."),
            Ok(_) => {}
            Err(Broken::Loop) => name.push(b"(pointer loop)"),
            Err(Broken::Long) => name.push(b"(too long)"),
            Err(_) => return None,
        }
        Some(name)
    }

    /// Offset of what follows the name at `at`; follows no pointer.
    pub(super) fn end(message: &[u8], mut at: usize) -> Option<usize> {
        loop {
            match *message.get(at)? {
                0 => return Some(at + 1),
                length @ 1..=63 => at += usize::from(length) + 1,
                0xc0.. => return Some(at + 2),
                _ => return None,
            }
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }

    fn label(&mut self, label: &[u8]) {
        if self.length > 0 {
            self.push(b".");
        }
        for &byte in label {
            match byte {
                b'.' | b'\\' => self.push(&[b'\\', byte]),
                0x21..=0x7e => self.push(&[byte]),
                _ => self.push(&[b'\\', b'0' + byte / 100, b'0' + byte / 10 % 10, b'0' + byte % 10]),
            }
        }
    }

    fn push(&mut self, text: &[u8]) {
        // 255 bytes of wire make at most 1,016 characters, and the loop's note is shorter than what it stands for; a name that
        // does not fit after all is cut.
        if let Some(room) = self.text.get_mut(self.length..self.length + text.len()) {
            room.copy_from_slice(text);
            self.length += text.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(message: &[u8], at: usize) -> Option<String> {
        Name::read(message, at).map(|name| String::from_utf8(name.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn names_are_read_through_pointers() {
        let message = b"\x03www\x07example\x03com\0\x04mail\xc0\x04\0";
        assert_eq!(read(message, 0).as_deref(), Some("www.example.com"));
        assert_eq!(read(message, 17).as_deref(), Some("mail.example.com"));
        assert_eq!((Name::end(message, 0), Name::end(message, 17)), (Some(17), Some(24)));
        assert_eq!(read(message, 24).as_deref(), Some("."));
    }

    #[test]
    fn a_loop_ends_and_says_so() {
        assert_eq!(read(b"\xc0\x00", 0).as_deref(), Some("(pointer loop)"));
        assert_eq!(read(b"\x01a\xc0\x00", 0).as_deref(), Some("a(pointer loop)"));
        assert_eq!(read(b"\x01a\xc0\x04\x01b\xc0\x00", 0).as_deref(), Some("a.b(pointer loop)"));
        // The way into the loop is no part of it.
        assert_eq!(read(b"\x01a\xc0\x06\x01b\x01c\xc0\x04", 0).as_deref(), Some("a.c.b.c(pointer loop)"));
        assert_eq!(read(&[&[63; 64][..], &[63; 64], &[63; 64], &[63; 64], &[0]].concat(), 0).unwrap().matches("(too long)").count(), 1);
    }

    #[test]
    fn a_pointer_must_point_back() {
        let way = |message: &[u8], at| labels(message, at, |_| ());
        assert_eq!(way(b"\x01a\0\xc0\x00", 3), Ok(Way::Back));
        assert_eq!(way(b"\xc0\x02\x01a\0", 0), Ok(Way::Forward), "it can be read all the same");
        assert_eq!(way(b"\xc0\x05", 0), Err(Broken::Beyond { at: 0 }));
        assert_eq!(way(b"\xc0", 0), Err(Broken::Ends { at: 0, need: 2 }));
        assert_eq!(way(b"\x05ab", 0), Err(Broken::Ends { at: 0, need: 6 }));
        assert_eq!(way(b"\x41ab", 0), Err(Broken::Kind { at: 0 }));
    }

    #[test]
    fn bytes_that_are_no_hostname_are_escaped() {
        assert_eq!(read(b"\x05a.b\x1b \0", 0).as_deref(), Some("a\\.b\\027\\032"));
        assert_eq!(read(b"\x41a\0", 0), None, "labels of extended kinds (RFC 6891 5) are not in use");
        assert_eq!(read(b"\x05ab", 0), None);
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_bounded_printable_name(bytes: Vec<u8>, pointers in prop::collection::vec(0..400u16, 0..200), at in 0..400usize) {
            let message = [&bytes[..], &pointers.iter().flat_map(|p| (p | 0xc000).to_be_bytes()).collect::<Vec<_>>()].concat();
            if let Some(name) = Name::read(&message, at) {
                prop_assert!(name.as_bytes().len() < TEXT_MAX && name.as_bytes().iter().all(u8::is_ascii_graphic) || name.as_bytes().ends_with(b"(pointer loop)") || name.as_bytes().ends_with(b"(too long)"));
                prop_assert!(Name::end(&message, at).is_some());
            }
        }

        #[test]
        fn the_longest_name_fits(label in prop::collection::vec(any::<u8>(), 63)) {
            let mut message: Vec<u8> = std::iter::repeat_n([&[63], &label[..]].concat(), 3).flatten().collect();
            message.extend([61]);
            message.extend(&label[..61]);
            message.push(0);
            let escaped: usize = message[1..64].iter().map(|b| match b { b'.' | b'\\' => 2, 0x21..=0x7e => 1, _ => 4 }).sum();
            prop_assert_eq!(message.len(), WIRE_MAX);
            prop_assert!(Name::read(&message, 0).unwrap().as_bytes().len() > 3 * escaped);
        }
    }
}
