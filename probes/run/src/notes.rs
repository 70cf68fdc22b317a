//! Which probes does a running program have? What the notes in its file say; a build may lack some of the catalogue's.
//!
//! Sources: the ELF format (elf(5)), and the notes that SystemTap's sys/sdt.h describes: name `stapsdt`, type 3, three addresses, then the
//! texts provider, probe and arguments.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Bytes of notes that are read at most: hundreds of probes at thousands of places.
const NOTES_MAX: u64 = 4 << 20;
/// Sections that are looked at.
const SECTIONS_MAX: u16 = 4096;
const TYPE_NOTE: u32 = 7;
const TYPE_STAPSDT: u32 = 3;
/// Location, base and semaphore.
const ADDRESSES: usize = 24;

/// The probes of a process's program, as (provider, name); `None` where its file cannot be read or is no 64-bit little-endian ELF file.
pub(crate) fn of_process(pid: u32) -> Option<BTreeSet<(String, String)>> {
    of_file(&File::open(format!("/proc/{pid}/exe")).ok()?)
}

fn of_file(file: &File) -> Option<BTreeSet<(String, String)>> {
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0).ok()?;
    // Magic, 64 bits, little-endian.
    if header[..6] != *b"\x7fELF\x02\x01" {
        return None;
    }
    let (table, size, count) = (u64_at(&header, 40)?, u16_at(&header, 58)?, u16_at(&header, 60)?);
    let mut probes = BTreeSet::new();
    for number in 0..count.min(SECTIONS_MAX) {
        let mut section = [0; 64];
        let at = table.checked_add(u64::from(number) * u64::from(size))?;
        file.read_exact_at(&mut section, at).ok()?;
        if u32_at(&section, 4)? != TYPE_NOTE {
            continue;
        }
        let (offset, length) = (u64_at(&section, 24)?, u64_at(&section, 32)?.min(NOTES_MAX));
        let mut notes = vec![0; usize::try_from(length).ok()?];
        file.read_exact_at(&mut notes, offset).ok()?;
        read_notes(&notes, &mut probes);
    }
    Some(probes)
}

fn read_notes(mut notes: &[u8], probes: &mut BTreeSet<(String, String)>) {
    while let (Some(name_length), Some(length), Some(kind)) = (u32_at(notes, 0), u32_at(notes, 4), u32_at(notes, 8)) {
        // Both are padded to four bytes.
        let padded = |length: u32| usize::try_from(length.checked_add(3)? & !3).ok();
        let parts = (|| {
            let (name_end, length) = (12_usize.checked_add(padded(name_length)?)?, padded(length)?);
            let end = name_end.checked_add(length)?;
            Some((notes.get(12..name_end)?, notes.get(name_end..end)?, notes.get(end..)?))
        })();
        let Some((name, content, rest)) = parts else { return };
        if kind == TYPE_STAPSDT && name.starts_with(b"stapsdt\0") {
            let mut texts = content.get(ADDRESSES..).unwrap_or_default().split(|byte| *byte == 0);
            let mut text = || texts.next().map(|text| String::from_utf8_lossy(text).into_owned());
            if let (Some(provider), Some(probe)) = (text(), text()) {
                probes.insert((provider, probe));
            }
        }
        notes = rest;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(name: &[u8], kind: u32, content: &[u8]) -> Vec<u8> {
        let mut note = [(name.len() as u32).to_le_bytes(), (content.len() as u32).to_le_bytes(), kind.to_le_bytes()].concat();
        for part in [name, content] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    #[test]
    fn probes_are_found_between_other_notes() {
        let stapsdt = |texts: &[u8]| note(b"stapsdt\0", 3, &[&[0; 24][..], texts].concat());
        let notes = [
            note(b"GNU\0", 3, &[7; 20]),
            stapsdt(b"overlay\0drop\08@%rdi\0"),
            stapsdt(b"varpd\0answer\0\0"),
            stapsdt(b"overlay\0drop\0\0"),
        ];
        let mut probes = BTreeSet::new();
        read_notes(&notes.concat(), &mut probes);
        let expected = [("overlay", "drop"), ("varpd", "answer")].map(|(provider, name)| (provider.to_owned(), name.to_owned()));
        assert_eq!(probes, expected.into());
        // However the bytes are cut, nothing but less is found.
        let whole = notes.concat();
        for end in 0..whole.len() {
            let mut found = BTreeSet::new();
            read_notes(&whole[..end], &mut found);
            assert!(found.is_subset(&probes), "{found:?}");
        }
        read_notes(&[0xff; 64], &mut BTreeSet::new());
    }

    #[test]
    fn a_file_that_is_no_program_has_no_notes() {
        let script = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
        assert_eq!(of_file(&script), None);
        assert!(of_process(std::process::id()).is_some(), "this test is an ELF file");
        assert_eq!(of_process(4_194_304), None);
    }
}
