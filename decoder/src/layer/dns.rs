//! Which name was asked for, and what was the answer? DNS (RFC 1035 4.1.1, EDNS RFC 6891, multicast RFC 6762).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |              ID               |Q| Opcode|A|T|R|R|Z|A|C| Rcode |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |           Questions           |            Answers            |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |          Authorities          |          Additionals          |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |        Questions, then records of the three sections ...      |
//! ```
//!
//! Over TCP the length of the message stands in front, two bytes (RFC 1035 4.2.2).

mod name;
mod record;

use self::record::Sections;
use super::fault::{Fault, Room};
use super::{Header, View};
use crate::fields::{Fields, key};
use crate::stop::StopKind;
use crate::text::Text;

/// More answers than this are not told one by one in a summary.
const SUMMARY_MAX: usize = 4;

/// The header of a DNS message; questions and records stay in the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dns {
    /// The query that this is or answers.
    pub id: u16,
    /// [`Dns::RESPONSE`] and its siblings, the opcode, the response code in the last four bits.
    pub flags: u16,
    /// Number of questions.
    pub questions: u16,
    /// Number of answers.
    pub answers: u16,
    /// Number of authority records.
    pub authorities: u16,
    /// Number of additional records.
    pub additionals: u16,
    /// Over TCP: the message starts behind a length of two bytes. Not in the header: the walk fills it in.
    pub over_tcp: bool,
}

impl Dns {
    /// Length of the header in bytes.
    pub const LENGTH: usize = 12;
    /// QR: this is a response.
    pub const RESPONSE: u16 = 0x8000;
    /// AA: the server is authoritative for the name.
    pub const AUTHORITATIVE: u16 = 0x0400;
    /// TC: the message was cut to fit.
    pub const TRUNCATED: u16 = 0x0200;
    /// RD: the server shall ask others.
    pub const RECURSION_DESIRED: u16 = 0x0100;
    /// RA: the server does ask others.
    pub const RECURSION_AVAILABLE: u16 = 0x0080;
    /// AD: the data is verified (RFC 4035 3.2.3).
    pub const AUTHENTIC: u16 = 0x0020;
    /// CD: the server need not verify (RFC 4035 3.2.2).
    pub const CHECKING_DISABLED: u16 = 0x0010;

    /// Reads the header.
    #[must_use]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self {
            id: u16::from_be_bytes([b[0], b[1]]),
            flags: u16::from_be_bytes([b[2], b[3]]),
            questions: u16::from_be_bytes([b[4], b[5]]),
            answers: u16::from_be_bytes([b[6], b[7]]),
            authorities: u16::from_be_bytes([b[8], b[9]]),
            additionals: u16::from_be_bytes([b[10], b[11]]),
            over_tcp: false,
        }
    }

    /// Writes the header, without the length that stands in front of it over TCP.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        let ([a, b], [c, d], [e, f]) = (self.id.to_be_bytes(), self.flags.to_be_bytes(), self.questions.to_be_bytes());
        let ([g, h], [i, j], [k, l]) = (self.answers.to_be_bytes(), self.authorities.to_be_bytes(), self.additionals.to_be_bytes());
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }

    /// Whether this is a response.
    #[must_use]
    pub const fn is_response(&self) -> bool {
        self.flags & Self::RESPONSE != 0
    }

    /// What is asked for: 0 is a query.
    #[must_use]
    pub const fn opcode(&self) -> u8 {
        (self.flags >> 11 & 0xf) as u8
    }

    /// The response code, without the upper bits that EDNS adds.
    #[must_use]
    pub const fn rcode(&self) -> u8 {
        (self.flags & 0xf) as u8
    }

    /// Offset of the message in the layer.
    const fn start(&self) -> usize {
        if self.over_tcp { 2 } else { 0 }
    }

    /// The sections, at the first question.
    fn sections<'a>(&self, view: View<'a>) -> Sections<'a> {
        Sections { message: view.header.get(self.start()..).unwrap_or_default(), at: Self::LENGTH }
    }
}

const fn opcode_name(opcode: u8) -> Option<&'static str> {
    Some(match opcode {
        0 => "query",
        1 => "iquery",
        2 => "status",
        4 => "notify",
        5 => "update",
        6 => "stateful",
        _ => return None,
    })
}

const fn rcode_name(rcode: u8) -> Option<&'static str> {
    Some(match rcode {
        0 => "noerror",
        1 => "formerr",
        2 => "servfail",
        3 => "nxdomain",
        4 => "notimp",
        5 => "refused",
        6 => "yxdomain",
        7 => "yxrrset",
        8 => "nxrrset",
        9 => "notauth",
        10 => "notzone",
        11 => "dsotypeni",
        _ => return None,
    })
}

impl Header for Dns {
    fn fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
        out.num(key!("id"), self.id.into());
        out.flag(key!("response"), self.is_response());
        out.named(key!("opcode"), self.opcode().into(), opcode_name(self.opcode()));
        out.named(key!("rcode"), self.rcode().into(), rcode_name(self.rcode()));
        if self.flags & Self::TRUNCATED != 0 {
            out.flag(key!("truncated"), true);
        }
        let mut sections = self.sections(view);
        if !out.wants_details() {
            record::questions(&mut sections, self.questions, out);
            return record::records(key!("answers"), &mut sections, self.answers, out);
        }
        for (key, bit) in [
            (key!("authoritative"), Self::AUTHORITATIVE),
            (key!("recursion_desired"), Self::RECURSION_DESIRED),
            (key!("recursion_available"), Self::RECURSION_AVAILABLE),
            (key!("authentic"), Self::AUTHENTIC),
            (key!("checking_disabled"), Self::CHECKING_DISABLED),
        ] {
            if self.flags & bit != 0 {
                out.flag(key, true);
            }
        }
        record::questions(&mut sections, self.questions, out);
        record::records(key!("answers"), &mut sections, self.answers, out);
        record::records(key!("authorities"), &mut sections, self.authorities, out);
        record::records(key!("additionals"), &mut sections, self.additionals, out);
    }

    fn summary(&self, view: View<'_>, out: &mut Text) {
        match (self.opcode(), opcode_name(self.opcode())) {
            (0, _) => {}
            (_, Some(name)) => {
                out.text(name);
                out.byte(b' ');
            }
            (opcode, None) => {
                out.text("opcode ");
                out.octet(opcode);
                out.byte(b' ');
            }
        }
        out.text(if self.is_response() { "response " } else { "query " });
        out.num(self.id.into());
        if self.rcode() != 0 {
            out.byte(b' ');
            match rcode_name(self.rcode()) {
                Some(name) => out.text(name),
                None => {
                    out.text("rcode ");
                    out.octet(self.rcode());
                }
            }
        }
        if self.flags & Self::TRUNCATED != 0 {
            out.text(" truncated");
        }
        let mut sections = self.sections(view);
        let mut answers = sections;
        answers.skip_questions(self.questions);
        let mut told = 0;
        let at = answers;
        for record in answers.records(self.answers).take(SUMMARY_MAX) {
            out.text(if told == 0 { " " } else { ", " });
            record.write(at, out);
            told += 1;
        }
        if usize::from(self.answers) > told && told > 0 {
            out.text(", ...");
        }
        // The question is what the answers do not already say.
        if let (0, Some(question)) = (told, Some(()).filter(|()| self.questions > 0).and_then(|()| sections.question())) {
            out.byte(b' ');
            record::write_kind(question.kind, out);
            out.text("? ");
            match sections.name(question.name_at) {
                Some(name) => out.bytes(name.as_bytes()),
                None => out.text("(malformed name)"),
            }
        }
    }

    fn fault(&self, view: View<'_>) -> Option<Fault> {
        let captured = view.header.len().saturating_sub(self.start());
        let claimed = match view.header {
            // Behind a message over TCP there may be another.
            [high, low, ..] if self.over_tcp => usize::from(u16::from_be_bytes([*high, *low])),
            _ => captured + view.claimed as usize,
        };
        let room = Room { captured, claimed };
        let records = u32::from(self.answers) + u32::from(self.authorities) + u32::from(self.additionals);
        let fault = self.sections(view).fault(self.questions, records, room)?;
        // A message that says it was cut may lack what its counts promise (RFC 1035 4.1.1).
        if self.flags & Self::TRUNCATED != 0 && fault.kind == StopKind::Malformed && fault.need > 0 {
            return None;
        }
        Some(Fault { offset: fault.offset + self.start(), ..fault })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::recorder::{self, Extent};
    use proptest::prelude::*;

    /// What dig asks: example.com A, with EDNS.
    const QUERY: &[u8] = b"\x12\x34\x01\x20\0\x01\0\0\0\0\0\x01\x07example\x03com\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\x80\0\0\0";
    /// The answer: a CNAME and an address, names compressed.
    const RESPONSE: &[u8] = b"\x12\x34\x81\x80\0\x01\0\x02\0\0\0\0\x07example\x03com\0\0\x01\0\x01\
        \xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x06\x03www\xc0\x0c\xc0\x29\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01";

    fn parse(bytes: &[u8]) -> Dns {
        Dns::parse(bytes.first_chunk().unwrap())
    }

    fn summary(bytes: &[u8]) -> String {
        recorder::summary(&parse(bytes), recorder::whole(bytes))
    }

    #[test]
    fn a_query_and_its_answer_are_told() {
        assert_eq!(summary(QUERY), "query 4660 A? example.com");
        assert_eq!(summary(RESPONSE), "response 4660 CNAME www.example.com, A 192.0.2.1");
        let mut missing = QUERY.to_vec();
        (missing[2], missing[3]) = (0x81, 0x83);
        assert_eq!(summary(&missing), "response 4660 nxdomain A? example.com");
    }

    #[test]
    fn fields_hold_questions_answers_and_edns() {
        let response = recorder::lines(&parse(RESPONSE), RESPONSE, Extent::Short);
        for line in [
            "response=true",
            "questions[0].name=example.com",
            "answers[0].data=www.example.com",
            "answers[1].name=www.example.com",
            "answers[1].data=192.0.2.1",
        ] {
            assert!(response.iter().any(|field| field == line), "{line} is not in {response:?}");
        }
        let query = recorder::lines(&parse(QUERY), QUERY, Extent::Details);
        for line in ["recursion_desired=true", "authentic=true", "additionals[0].udp_size=1232", "additionals[0].dnssec_ok=true"] {
            assert!(query.iter().any(|field| field == line), "{line} is not in {query:?}");
        }
    }

    #[test]
    fn over_tcp_the_message_is_behind_its_length() {
        let bytes = [&[0, QUERY.len() as u8][..], QUERY].concat();
        let header = Dns { over_tcp: true, ..parse(QUERY) };
        assert_eq!(recorder::summary(&header, recorder::whole(&bytes)), "query 4660 A? example.com");
        assert!(recorder::lines(&header, &bytes, Extent::Short).contains(&"questions[0].name=example.com".into()));
    }

    #[test]
    fn counts_beyond_the_message_are_promises() {
        let mut bytes = RESPONSE.to_vec();
        bytes[6..8].fill(0xff);
        assert_eq!(summary(&bytes), "response 4660 CNAME www.example.com, A 192.0.2.1, ...");
        bytes[4..6].fill(0xff);
        assert_eq!(summary(&bytes), "response 4660 A? example.com", "answers cannot be found behind questions that are not there");
    }

    fn fault(bytes: &[u8], missing: u32) -> Option<(StopKind, usize, usize, usize)> {
        let fault = parse(bytes).fault(View { header: bytes, payload: &[], claimed: missing });
        fault.map(|fault| (fault.kind, fault.offset, fault.need, fault.have))
    }

    #[test]
    fn a_message_is_at_fault_where_it_cannot_be_read() {
        assert_eq!((fault(QUERY, 0), fault(RESPONSE, 0)), (None, None));
        assert_eq!(fault(&RESPONSE[..RESPONSE.len() - 1], 0), Some((StopKind::Malformed, 49, 14, 13)));
        assert_eq!(fault(&RESPONSE[..RESPONSE.len() - 1], 1), Some((StopKind::Truncated, 49, 14, 13)));
        assert_eq!(fault(&QUERY[..16], 0), Some((StopKind::Malformed, 12, 8, 4)));
        let mut bytes = RESPONSE.to_vec();
        bytes[7] = 3;
        assert_eq!(fault(&bytes, 0), Some((StopKind::Malformed, bytes.len(), 1, 0)), "a third answer is promised");
        bytes[2] |= 2;
        assert_eq!(fault(&bytes, 0), None, "a message that was cut to fit may lack what its counts promise");
        bytes[30] = 29;
        assert_eq!(fault(&bytes, 0), Some((StopKind::Malformed, 29, 0, 0)), "the second name points to itself");
    }

    #[test]
    fn over_tcp_the_length_in_front_counts() {
        let bytes = [&[0, QUERY.len() as u8][..], QUERY].concat();
        let over_tcp = |bytes: &[u8], claimed| {
            let fault = Dns { over_tcp: true, ..parse(QUERY) }.fault(View { header: bytes, payload: &[], claimed });
            fault.map(|fault| (fault.kind, fault.offset, fault.need, fault.have))
        };
        assert_eq!(over_tcp(&bytes, 60), None, "another message follows");
        assert_eq!(over_tcp(&bytes[..20], 60), Some((StopKind::Truncated, 14, 8, 6)));
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(bytes: [u8; 12]) {
            prop_assert_eq!(Dns::parse(&bytes).emit(), bytes);
        }

        #[test]
        fn hostile_messages_are_told_in_bounds(mut tail: Vec<u8>, changes in prop::collection::vec((0..70usize, any::<u8>()), 0..4), cut in 12..100usize, over_tcp: bool) {
            let mut bytes = RESPONSE.to_vec();
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            bytes.append(&mut tail);
            for bytes in [&bytes[..], &bytes[..cut.min(bytes.len())]] {
                let header = Dns { over_tcp, ..parse(bytes) };
                recorder::lines(&header, bytes, Extent::Details);
                // Four answers with two names each, or with as much text as there is.
                prop_assert!(recorder::summary(&header, recorder::whole(bytes)).len() < 8 * 1024 + 4 * bytes.len());
            }
        }

        #[test]
        fn thousands_of_pointers_cost_no_more_than_their_bytes(kind in 0..70u16) {
            // A message of records that all point into the same loop.
            let mut bytes = vec![0, 1, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
            for _ in 0..4000 {
                bytes.extend([0xc0, 12]);
                bytes.extend(kind.to_be_bytes());
                bytes.extend([0, 1, 0, 0, 0, 0, 0, 2, 0xc0, 12]);
            }
            let lines = recorder::lines(&parse(&bytes), &bytes, Extent::Details);
            prop_assert!(lines.len() < 3 * 65 * 6 && lines.iter().map(String::len).sum::<usize>() < 1 << 20);
        }
    }
}
