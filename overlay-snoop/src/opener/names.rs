//! Which files may the opener touch? Bare names that begin and end as agreed, with a number or a time between.

use std::fmt;
use std::path::Path;

/// The longest name of a file (`NAME_MAX` of `limits.h`), in bytes.
const NAME_MAX_BYTES: usize = 255;

/// The longest number or time, in bytes.
const MIDDLE_MAX_BYTES: usize = 80;

/// What may stand between the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Middle {
    Number,
    Time,
}

/// The names of a rotated capture: `capture.pcap1`, `capture-20260102-030405.pcap`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamePattern {
    middle: Middle,
    prefix: Vec<u8>,
    suffix: Vec<u8>,
}

/// A name that fits the pattern it was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileName(String);

/// Why a name, or an end of a pattern, is refused: a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameError(String);

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NameError {}

impl NamePattern {
    /// Digits, or nothing, between `prefix` and `suffix`.
    ///
    /// # Errors
    ///
    /// When an end has a slash or a NUL, or both together are too long for a name.
    pub(crate) fn numbered(prefix: &str, suffix: &str) -> Result<Self, NameError> {
        Self::new(Middle::Number, prefix.as_bytes(), suffix.as_bytes())
    }

    /// What `strftime` makes between `prefix` and `suffix`: ASCII letters and digits, space and `-_:.+,`, or nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::numbered`].
    pub(crate) fn timed(prefix: &str, suffix: &str) -> Result<Self, NameError> {
        Self::new(Middle::Time, prefix.as_bytes(), suffix.as_bytes())
    }

    fn new(middle: Middle, prefix: &[u8], suffix: &[u8]) -> Result<Self, NameError> {
        let pattern = Self { middle, prefix: prefix.to_vec(), suffix: suffix.to_vec() };
        if prefix.iter().chain(suffix).any(|byte| matches!(byte, b'/' | 0)) {
            return Err(NameError(format!("{pattern}: the name of a file has no slash and no NUL")));
        }
        if prefix.len() + suffix.len() > NAME_MAX_BYTES {
            return Err(NameError(format!("{pattern}: longer than {NAME_MAX_BYTES} bytes")));
        }
        Ok(pattern)
    }

    /// The name, if it fits.
    ///
    /// # Errors
    ///
    /// When it does not: the pattern is named.
    pub(crate) fn name(&self, name: &str) -> Result<FileName, NameError> {
        if self.fits(name.as_bytes()) {
            return Ok(FileName(name.to_owned()));
        }
        Err(NameError(format!("{name:?} is no name of the form {self}")))
    }

    fn fits(&self, name: &[u8]) -> bool {
        if name.len() > NAME_MAX_BYTES || matches!(name, b"" | b"." | b"..") {
            return false;
        }
        let middle = name.strip_prefix(self.prefix.as_slice()).and_then(|rest| rest.strip_suffix(self.suffix.as_slice()));
        let allowed = |byte: &u8| match self.middle {
            Middle::Number => byte.is_ascii_digit(),
            Middle::Time => byte.is_ascii_alphanumeric() || b" -_:.+,".contains(byte),
        };
        middle.is_some_and(|middle| middle.len() <= MIDDLE_MAX_BYTES && middle.iter().all(allowed))
    }

    /// The pattern as bytes: what stands between, the length of the prefix, prefix, suffix.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let middle = match self.middle {
            Middle::Number => b'n',
            Middle::Time => b't',
        };
        // At most NAME_MAX_BYTES, so it fits a byte.
        [&[middle, self.prefix.len() as u8], self.prefix.as_slice(), self.suffix.as_slice()].concat()
    }

    /// The pattern of [`Self::to_bytes`]; `None` for any other bytes.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[middle, length], ends) = bytes.split_first_chunk::<2>()?;
        let middle = match middle {
            b'n' => Middle::Number,
            b't' => Middle::Time,
            _ => return None,
        };
        let (prefix, suffix) = ends.split_at_checked(usize::from(length))?;
        Self::new(middle, prefix, suffix).ok()
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let middle = match self.middle {
            Middle::Number => "NUMBER",
            Middle::Time => "TIME",
        };
        write!(f, "{}{middle}{}", String::from_utf8_lossy(&self.prefix), String::from_utf8_lossy(&self.suffix))
    }
}

impl FileName {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(super) fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_stand_between_the_ends() {
        let numbered = NamePattern::numbered("x.pcap", "").unwrap();
        for name in ["x.pcap", "x.pcap0", "x.pcap0123"] {
            assert_eq!(numbered.name(name).unwrap().to_string(), name);
        }
        let timed = NamePattern::timed("cap-", ".pcap").unwrap();
        for name in ["cap-20260102-030405.pcap", "cap-2026-01-02T03:04:05+00:00.pcap", "cap-Fri Jan  2.pcap", "cap-.pcap"] {
            assert_eq!(timed.name(name).unwrap().to_string(), name);
        }
    }

    #[test]
    fn other_names_are_refused_with_the_pattern() {
        let pattern = NamePattern::numbered("x", ".pcap").unwrap();
        for name in
            ["", ".", "..", "x", ".pcap", "x.pca", "xx.pcap", "x1.pcap\0", "x/1.pcap", "../x1.pcap", "/x1.pcap", "x-1.pcap", "x1.pcapng"]
        {
            assert!(pattern.name(name).is_err(), "{name:?}");
        }
        assert_eq!(pattern.name("../x1.pcap").unwrap_err().to_string(), "\"../x1.pcap\" is no name of the form xNUMBER.pcap");
        assert!(pattern.name(&format!("x{}.pcap", "1".repeat(MIDDLE_MAX_BYTES))).is_ok());
        assert!(pattern.name(&format!("x{}.pcap", "1".repeat(MIDDLE_MAX_BYTES + 1))).is_err());
        let anything = NamePattern::timed("", "").unwrap();
        assert!(anything.name("..").is_err() && anything.name(".").is_err() && anything.name("a/b").is_err());
        assert!(anything.name("2026.01").is_ok());
    }

    #[test]
    fn prefix_and_suffix_do_not_share_bytes() {
        let pattern = NamePattern::numbered("ab", "bc").unwrap();
        assert!(pattern.name("abc").is_err());
        assert!(pattern.name("abbc").is_ok());
    }

    #[test]
    fn an_end_is_part_of_a_name() {
        assert_eq!(
            NamePattern::numbered("a/b", ".pcap").unwrap_err().to_string(),
            "a/bNUMBER.pcap: the name of a file has no slash and no NUL"
        );
        assert!(NamePattern::timed("x", "\0").is_err());
        assert!(NamePattern::timed(&"x".repeat(200), &"y".repeat(55)).is_ok());
        assert!(NamePattern::timed(&"x".repeat(200), &"y".repeat(56)).is_err());
    }

    #[test]
    fn a_pattern_survives_the_wire_and_nothing_else_does() {
        for pattern in [NamePattern::numbered("x", ".pcap"), NamePattern::timed("", ""), NamePattern::timed("\u{e9}", "")] {
            let pattern = pattern.unwrap();
            assert_eq!(NamePattern::from_bytes(&pattern.to_bytes()), Some(pattern));
        }
        for bytes in [&b""[..], b"n", b"q\0", b"n\x02x", b"n\x01/", b"t\x00a/b"] {
            assert_eq!(NamePattern::from_bytes(bytes), None, "{bytes:?}");
        }
    }
}
