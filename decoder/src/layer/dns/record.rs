//! What does a DNS record say? Questions and resource records (RFC 1035 4.1.2, 4.1.3), and the data of the common types.

use super::name::{Broken, Name, Way, labels};
use crate::fields::{Fields, Key, key};
use crate::layer::fault::{Fault, Room};
use crate::text::Text;
use std::net::{Ipv4Addr, Ipv6Addr};

/// More entries of one section than this are cut off with `more`.
const LIST_MAX: usize = 64;

/// Record types with data that is read, or that the header's summary asks for.
mod kind {
    pub(super) const A: u16 = 1;
    pub(super) const NS: u16 = 2;
    pub(super) const CNAME: u16 = 5;
    pub(super) const SOA: u16 = 6;
    pub(super) const PTR: u16 = 12;
    pub(super) const MX: u16 = 15;
    pub(super) const TXT: u16 = 16;
    pub(super) const AAAA: u16 = 28;
    pub(super) const SRV: u16 = 33;
    pub(super) const DNAME: u16 = 39;
    pub(super) const OPT: u16 = 41;
    pub(super) const SVCB: u16 = 64;
    pub(super) const HTTPS: u16 = 65;
    pub(super) const CAA: u16 = 257;
}

/// The name of a record type (registry of IANA, "Resource Record (RR) TYPEs"), where it is one that people meet.
pub(super) const fn kind_name(kind: u16) -> Option<&'static str> {
    Some(match kind {
        kind::A => "A",
        kind::NS => "NS",
        kind::CNAME => "CNAME",
        kind::SOA => "SOA",
        kind::PTR => "PTR",
        13 => "HINFO",
        kind::MX => "MX",
        kind::TXT => "TXT",
        kind::AAAA => "AAAA",
        29 => "LOC",
        kind::SRV => "SRV",
        35 => "NAPTR",
        kind::DNAME => "DNAME",
        kind::OPT => "OPT",
        43 => "DS",
        44 => "SSHFP",
        46 => "RRSIG",
        47 => "NSEC",
        48 => "DNSKEY",
        50 => "NSEC3",
        51 => "NSEC3PARAM",
        52 => "TLSA",
        59 => "CDS",
        60 => "CDNSKEY",
        kind::SVCB => "SVCB",
        kind::HTTPS => "HTTPS",
        99 => "SPF",
        250 => "TSIG",
        251 => "IXFR",
        252 => "AXFR",
        255 => "ANY",
        kind::CAA => "CAA",
        _ => return None,
    })
}

const fn class_name(class: u16) -> Option<&'static str> {
    Some(match class {
        1 => "in",
        3 => "chaos",
        254 => "none",
        255 => "any",
        // RFC 6762 5.4, 10.2: the top bit asks for a unicast answer, or tells to forget older ones.
        0x8001 => "in, flush",
        _ => return None,
    })
}

/// Writes a type: its name, or `TYPE` and its number (RFC 3597 5).
pub(super) fn write_kind(kind: u16, out: &mut Text) {
    match kind_name(kind) {
        Some(name) => out.text(name),
        None => {
            out.text("TYPE");
            out.num(kind.into());
        }
    }
}

/// A question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Question {
    /// Offset of its name in the message.
    pub(super) name_at: usize,
    pub(super) kind: u16,
    pub(super) class: u16,
}

/// A resource record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record {
    /// Offset of its name in the message.
    pub(super) name_at: usize,
    pub(super) kind: u16,
    pub(super) class: u16,
    pub(super) ttl: u32,
    /// Offset and length of its data in the message.
    pub(super) data_at: usize,
    pub(super) data_length: usize,
}

/// Reads one thing after the other from the sections of a message.
#[derive(Clone, Copy)]
pub(super) struct Sections<'a> {
    pub(super) message: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Sections<'a> {
    fn half(&self, at: usize) -> Option<u16> {
        self.message.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
    }

    /// The next question; `None` where the message ends before it does.
    pub(super) fn question(&mut self) -> Option<Question> {
        let behind = Name::end(self.message, self.at)?;
        let question = Question { name_at: self.at, kind: self.half(behind)?, class: self.half(behind + 2)? };
        self.at = behind + 4;
        Some(question)
    }

    /// The next record; `None` where the message ends before it does.
    pub(super) fn record(&mut self) -> Option<Record> {
        let behind = Name::end(self.message, self.at)?;
        let ttl = self.message.get(behind + 4..)?.first_chunk().copied().map(u32::from_be_bytes)?;
        let (data_at, data_length) = (behind + 10, usize::from(self.half(behind + 8)?));
        self.message.get(data_at..data_at + data_length)?;
        let record = Record { name_at: self.at, kind: self.half(behind)?, class: self.half(behind + 2)?, ttl, data_at, data_length };
        self.at = data_at + data_length;
        Some(record)
    }

    /// As many records as the header promises, and the message holds.
    pub(super) fn records(&mut self, count: u16) -> impl Iterator<Item = Record> {
        (0..count).map_while(|_| self.record())
    }

    /// Leaves a section of records behind. After a section that is cut, there is nothing to read any more.
    pub(super) fn skip_records(&mut self, count: u16) {
        if self.records(count).count() < usize::from(count) {
            self.at = self.message.len();
        }
    }

    /// Leaves the questions behind.
    pub(super) fn skip_questions(&mut self, count: u16) {
        if (0..count).map_while(|_| self.question()).count() < usize::from(count) {
            self.at = self.message.len();
        }
    }

    pub(super) fn name(&self, at: usize) -> Option<Name> {
        Name::read(self.message, at)
    }
}

/// Where the counts of the header, or the length of a name, promise more than there is.
const CUT: &str = "message shorter than its sections";

impl Sections<'_> {
    /// The first fault of these questions and records; leaves them behind. All offsets are those of the message.
    pub(super) fn fault(&mut self, questions: u16, records: u32, room: Room) -> Option<Fault> {
        for _ in 0..questions {
            let at = self.at;
            if self.question().is_none() {
                return self.name_fault(at, room).or_else(|| self.fixed_fault(at, 4, room));
            }
            if let Some(fault) = self.name_fault(at, room) {
                return Some(fault);
            }
        }
        for _ in 0..records {
            let at = self.at;
            if self.record().is_none() {
                return self.name_fault(at, room).or_else(|| self.fixed_fault(at, 10, room)).or_else(|| {
                    let behind = Name::end(self.message, at)?;
                    room.lacking(behind, 10 + usize::from(self.half(behind + 8)?), "record data beyond the message")
                });
            }
            if let Some(fault) = self.name_fault(at, room) {
                return Some(fault);
            }
        }
        None
    }

    /// What is wrong with the name at `at`.
    fn name_fault(&self, at: usize, room: Room) -> Option<Fault> {
        let reason = match labels(self.message, at, |_| ()) {
            Ok(Way::Back) => return None,
            Ok(Way::Forward) => "name points forward",
            Err(Broken::Ends { at, need }) => return room.lacking(at, need, CUT),
            // What was not captured may be there.
            Err(Broken::Beyond { .. }) if room.captured < room.claimed => "name points forward",
            Err(Broken::Beyond { .. }) => "name points behind the message",
            Err(Broken::Kind { at }) => return Some(Fault::wrong(at, "label of an unknown kind")),
            Err(Broken::Long) => "name longer than 255 bytes",
            Err(Broken::Loop) => "name points to itself",
        };
        Some(Fault::wrong(at, reason))
    }

    /// Whether `length` bytes are missing behind the name at `at`.
    fn fixed_fault(&self, at: usize, length: usize, room: Room) -> Option<Fault> {
        room.lacking(Name::end(self.message, at)?, length, CUT)
    }
}

/// Names the questions; leaves the section behind.
pub(super) fn questions<F: Fields>(sections: &mut Sections<'_>, count: u16, out: &mut F) {
    let (message, mut ahead) = (*sections, *sections);
    sections.skip_questions(count);
    out.open_list(key!("questions"));
    for (index, question) in (0..count).map_while(|_| ahead.question()).take(LIST_MAX + 1).enumerate() {
        out.open_item();
        if index == LIST_MAX {
            out.flag(key!("more"), true);
        } else {
            if let Some(name) = message.name(question.name_at) {
                out.text(key!("name"), name.as_bytes());
            }
            out.named(key!("type"), question.kind.into(), kind_name(question.kind));
            out.named(key!("class"), question.class.into(), class_name(question.class));
        }
        out.close_item();
    }
    out.close_list();
}

/// Names the records of one section; leaves the section behind.
pub(super) fn records<F: Fields>(list: Key, sections: &mut Sections<'_>, count: u16, out: &mut F) {
    let (message, mut ahead) = (*sections, *sections);
    sections.skip_records(count);
    let mut scratch = Text::new();
    out.open_list(list);
    for (index, record) in ahead.records(count).take(LIST_MAX + 1).enumerate() {
        out.open_item();
        if index == LIST_MAX {
            out.flag(key!("more"), true);
        } else {
            record.fields(message, &mut scratch, out);
        }
        out.close_item();
    }
    out.close_list();
}

impl Record {
    fn data<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        message.get(self.data_at..self.data_at + self.data_length).unwrap_or_default()
    }

    fn fields<F: Fields>(&self, sections: Sections<'_>, scratch: &mut Text, out: &mut F) {
        if let Some(name) = sections.name(self.name_at) {
            out.text(key!("name"), name.as_bytes());
        }
        out.named(key!("type"), self.kind.into(), kind_name(self.kind));
        let data = self.data(sections.message);
        if self.kind == kind::OPT {
            // RFC 6891 6.1.3: class and TTL are something else.
            out.num(key!("udp_size"), self.class.into());
            out.num(key!("extended_rcode"), (self.ttl >> 24).into());
            out.num(key!("edns_version"), (self.ttl >> 16 & 0xff).into());
            out.flag(key!("dnssec_ok"), self.ttl & 0x8000 != 0);
            return out.bytes(key!("data"), data);
        }
        out.named(key!("class"), self.class.into(), class_name(self.class));
        out.num(key!("ttl"), self.ttl.into());
        scratch.clear();
        match (self.kind, data) {
            (kind::A, &[a, b, c, d]) => out.ipv4(key!("data"), Ipv4Addr::new(a, b, c, d)),
            (kind::AAAA, data) if data.len() == 16 => {
                out.ipv6(key!("data"), Ipv6Addr::from(data.first_chunk::<16>().copied().unwrap_or_default()));
            }
            (kind::TXT, data) => {
                strings(data, |string, gap| {
                    scratch.text(gap);
                    scratch.bytes(string);
                });
                out.text(key!("data"), scratch.as_bytes());
            }
            _ if self.write_named(sections, scratch).is_some() => out.text(key!("data"), scratch.as_bytes()),
            _ => out.bytes(key!("data"), data),
        }
    }

    /// Type and data in a few words.
    pub(super) fn write(&self, sections: Sections<'_>, out: &mut Text) {
        write_kind(self.kind, out);
        let start = out.len();
        out.byte(b' ');
        let data = self.data(sections.message);
        match (self.kind, data) {
            (kind::A, &[a, b, c, d]) => out.ipv4(Ipv4Addr::new(a, b, c, d)),
            (kind::AAAA, data) if data.len() == 16 => out.ipv6(data.first_chunk::<16>().copied().unwrap_or_default().into()),
            (kind::TXT, data) => strings(data, |string, gap| {
                out.text(gap);
                out.printable(string);
            }),
            _ => {
                if self.write_named(sections, out).is_none() {
                    out.truncate(start);
                }
            }
        }
    }

    /// Writes data that has names in it; `None` for types without, and where the data is not what the type says.
    fn write_named(&self, sections: Sections<'_>, out: &mut Text) -> Option<()> {
        let at = self.data_at;
        let numbers: usize = match self.kind {
            kind::NS | kind::CNAME | kind::PTR | kind::DNAME | kind::SOA => 0,
            kind::MX | kind::SVCB | kind::HTTPS => 1,
            kind::SRV => 3,
            _ => return None,
        };
        // Everything is read before anything is written: half a record is worse than its bytes. The data must hold its names whole;
        // only pointers lead out of it.
        let message = sections.message;
        let name_at = at + 2 * numbers;
        let name = sections.name(name_at)?;
        let mut end = Name::end(message, name_at)?;
        let mut second = None;
        if self.kind == kind::SOA {
            let serial_at = Name::end(message, end)?;
            second = Some((sections.name(end)?, message.get(serial_at..)?.first_chunk().copied().map(u32::from_be_bytes)?));
            end = serial_at + 4;
        }
        if end > at + self.data_length {
            return None;
        }
        for number in 0..numbers {
            out.num(sections.half(at + 2 * number)?.into());
            out.byte(b' ');
        }
        out.bytes(name.as_bytes());
        if let Some((mailbox, serial)) = second {
            out.byte(b' ');
            out.bytes(mailbox.as_bytes());
            out.byte(b' ');
            out.num(serial.into());
        }
        Some(())
    }
}

/// The strings of a TXT record (RFC 1035 3.3.14), each with what stands in front of it.
fn strings(mut data: &[u8], mut write: impl FnMut(&[u8], &'static str)) {
    let mut gap = "";
    while let Some((&length, rest)) = data.split_first() {
        // A string that is cut is shown as far as it goes.
        let (string, rest) = rest.split_at_checked(length.into()).unwrap_or((rest, &[]));
        write(string, gap);
        (data, gap) = (rest, " ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record for the root name behind 12 bytes of header, as text.
    fn told(kind: u16, data: &[u8]) -> String {
        let mut message = vec![0; 12];
        message.push(0);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 60]);
        message.extend((data.len() as u16).to_be_bytes());
        message.extend(data);
        let mut sections = Sections { message: &message, at: 12 };
        let record = sections.record().unwrap();
        assert_eq!(sections.at, message.len());
        let mut text = Text::new();
        record.write(sections, &mut text);
        String::from_utf8(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn the_data_of_common_types_is_told() {
        assert_eq!(told(1, &[192, 0, 2, 1]), "A 192.0.2.1");
        assert_eq!(told(28, &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]), "AAAA fd00::1");
        assert_eq!(told(15, b"\0\x0a\x02mx\0"), "MX 10 mx");
        assert_eq!(told(33, b"\0\x01\0\x02\x14\x95\x02vm\0"), "SRV 1 2 5269 vm");
        assert_eq!(told(16, b"\x02a\x1b\x01b"), "TXT a\\x1b b");
        assert_eq!(told(6, b"\x02ns\0\x01h\0\0\0\0\x07\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x01"), "SOA ns h 7");
        assert_eq!(told(65, b"\0\x01\0\0\x01\0\x03\x02h2"), "HTTPS 1 .");
        assert_eq!(told(48, &[1, 2]), "DNSKEY");
        assert_eq!(told(1234, &[1]), "TYPE1234");
    }

    #[test]
    fn data_that_is_not_what_the_type_says_is_not_told() {
        assert_eq!(told(1, &[192, 0, 2]), "A");
        assert_eq!(told(15, &[0]), "MX");
        assert_eq!(told(2, b"\x02ns"), "NS");
        assert_eq!(told(6, b"\x02ns\0"), "SOA");
    }
}
