//! How is a frame put into Geneve? RFC 8926 3.4, with options of the operator's choice (3.5).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Ver|  Opt Len  |O|C|    Rsvd.  |          Protocol Type        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |        Virtual Network Identifier (VNI)       |    Reserved   |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |          Option Class         |C|    Type     |R|R|R| Length  |
//! |              Data, `Length` words of 4 bytes ...              |
//! ```
//!
//! The options are the same in every frame of a device, so the header is written once, when the device is made.

use super::admission::{Admission, RESERVED_BITS};
use super::{Carrier, Codec, Decap, Encapsulation};
use crate::settings::Settings;
use overlay_api::{Access, DropReason, Kind, Properties, PropertyError, PropertySpec};
use overlay_decoder::Vni;
use overlay_decoder::layer::number::ethertype;
use overlay_decoder::layer::{self, Ethernet};
use std::borrow::Cow;
use std::net::IpAddr;

const NAME: &str = "geneve";

/// Bytes of the header without options.
const LENGTH: usize = layer::Geneve::LENGTH;

/// Bytes of all options: six bits of length in words of four bytes (RFC 8926 3.4).
const OPTIONS_MAX: usize = 63 * 4;
/// Bytes of the data of one option: five bits of length in words of four bytes (RFC 8926 3.5).
const DATA_MAX: usize = 31 * 4;

static PROPERTIES: [PropertySpec; 5] = [
    PropertySpec::new(
        "geneve/listen_ip",
        Kind::Ip,
        Access::Live,
        None,
        "The underlay address that encapsulated packets are sent from and received on: a unicast address of this host, or 0.0.0.0 or :: \
         for all of them. It may come to exist later than the overlay.",
    )
    .required(),
    PropertySpec::new(
        "geneve/listen_port",
        Kind::Uint { min: 1, max: 65535 },
        Access::Live,
        Some("6081"),
        "The UDP port that encapsulated packets are received on. Overlays with the same address and port share it and are told apart by \
         their VNI.",
    ),
    PropertySpec::new(
        "geneve/reserved_bits",
        Kind::Choice(Cow::Borrowed(RESERVED_BITS)),
        Access::Live,
        Some("lenient"),
        "Whether a packet with a reserved bit set in its Geneve header or in one of its options is taken (lenient, as RFC 8926 3.4 says) \
         or dropped (strict).",
    ),
    PropertySpec::new(
        "geneve/allowed_sources",
        Kind::Prefixes,
        Access::Live,
        Some(""),
        "The underlay addresses that packets are taken from; empty means any. Without it, whoever can reach the port can put frames into \
         the virtual network.",
    ),
    PropertySpec::new(
        "geneve/options",
        Kind::Text { max: 1024 },
        Access::Live,
        Some(""),
        "Options that are sent with every frame: CLASS:TYPE:DATA in hexadecimal, several with commas between, as in 0102:80:00010002. Data \
         is a multiple of 4 bytes, at most 124 for one option; all options together have at most 252 bytes, 4 of them for each option's \
         head. They take room from the overlay's MTU. A type from 80 on is critical: receivers that do not know it drop the packet. \
         The critical options listed here are also the ones that this overlay takes from others.",
    ),
];

/// Geneve over UDP (RFC 8926).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geneve;

impl Encapsulation for Geneve {
    fn name(&self) -> &'static str {
        NAME
    }

    fn carrier(&self) -> Carrier {
        Carrier::Udp
    }

    /// All 24 bits are free (RFC 8926 3.4).
    fn check_vni(&self, _: Vni) -> Result<(), String> {
        Ok(())
    }

    fn properties(&self) -> &[PropertySpec] {
        &PROPERTIES
    }

    fn compile(&self, vni: Vni, properties: &Properties) -> Result<Box<dyn Codec>, PropertyError> {
        let settings = Settings::new(&PROPERTIES, properties);
        settings.uint::<u16>("geneve/listen_port")?;
        let admission = Admission::compile(NAME, &settings)?;
        let options = read_options(&settings.text("geneve/options")?);
        let options = options.map_err(|problem| PropertyError::new("geneve/options", problem))?;
        let fixed = layer::Geneve {
            version: 0,
            // At most OPTIONS_MAX: they were read so.
            options_length: options.len() as u8,
            oam: false,
            critical: layer::Geneve::options(&options).any(|option| option.is_critical()),
            reserved: 0,
            protocol: ethertype::TEB,
            vni,
            reserved2: 0,
            guessed: false,
        };
        let known = layer::Geneve::options(&options).map(|option| (option.class, option.kind)).collect();
        Ok(Box::new(Device { header: [&fixed.emit()[..], &options].concat().into(), known, admission }))
    }

    fn decap(&self, datagram: &[u8]) -> Result<Decap, DropReason> {
        let header = layer::Geneve::parse(datagram.first_chunk().ok_or(DropReason::DatagramTooShort)?);
        // RFC 8926 3.4 of O: this is a message from endpoint to endpoint, whose payload must not be forwarded. No such message is
        // defined that this endpoint would understand.
        if header.version != 0 || header.protocol != ethertype::TEB || header.oam {
            return Err(DropReason::HeaderInvalid);
        }
        let options = datagram.get(LENGTH..header.length()).ok_or(DropReason::HeaderInvalid)?;
        if layer::Geneve::options_fault(options).is_some() {
            return Err(DropReason::HeaderInvalid);
        }
        if datagram.len() < header.length() + Ethernet::LENGTH {
            return Err(DropReason::DatagramTooShort);
        }
        Ok(Decap { vni: header.vni, header_len: header.length() })
    }
}

/// What a device has of Geneve.
#[derive(Clone, Debug)]
struct Device {
    /// With the options.
    header: Box<[u8]>,
    /// Class and type of the options that the device sends itself.
    known: Box<[(u16, u8)]>,
    admission: Admission,
}

impl Codec for Device {
    fn header_len(&self) -> usize {
        self.header.len()
    }

    fn write(&self, header: &mut [u8], _: u32) {
        if let Some(place) = header.get_mut(..self.header.len()) {
            place.copy_from_slice(&self.header);
        }
    }

    fn check(&self, header: &[u8], source: IpAddr) -> Result<(), DropReason> {
        let fixed = header.first_chunk().map(layer::Geneve::parse);
        let options = || layer::Geneve::options(header.get(LENGTH..).unwrap_or(&[]));
        let reserved = || fixed.is_none_or(|fixed| fixed.reserved_bits_set()) || options().any(|option| option.reserved != 0);
        self.admission.check(source, reserved)?;
        // Without the C bit a receiver may skip all options (RFC 8926 3.4): what is critical in them is then the sender's mistake.
        let unknown = || options().any(|option| option.is_critical() && !self.known.contains(&(option.class, option.kind)));
        if fixed.is_some_and(|fixed| fixed.critical) && unknown() { Err(DropReason::CriticalOption) } else { Ok(()) }
    }
}

/// The options of a list `CLASS:TYPE:DATA,...` as they are sent.
fn read_options(text: &str) -> Result<Vec<u8>, String> {
    let mut options = Vec::new();
    if text.is_empty() {
        return Ok(options);
    }
    for (index, part) in text.split(',').enumerate() {
        let option = read_option(part.trim()).map_err(|problem| format!("option {}, {part:?}: {problem}", index + 1))?;
        options.extend(option);
        if options.len() > OPTIONS_MAX {
            return Err(format!(
                "option {}, {part:?}: with it the options have {} bytes; {OPTIONS_MAX} are allowed, 4 of them for each option's head",
                index + 1,
                options.len()
            ));
        }
    }
    Ok(options)
}

fn read_option(text: &str) -> Result<Vec<u8>, String> {
    let mut parts = text.split(':');
    let (Some(class), Some(kind), Some(data), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err("CLASS:TYPE:DATA is allowed, as in 0102:80:00010002; DATA may be empty".to_owned());
    };
    let class = u16::from_str_radix(hexadecimal("the class", class, 4)?, 16);
    let class = class.map_err(|_| "the class is missing; one to four hexadecimal digits are allowed".to_owned())?;
    let kind = u8::from_str_radix(hexadecimal("the type", kind, 2)?, 16);
    let kind = kind.map_err(|_| "the type is missing; one or two hexadecimal digits are allowed".to_owned())?;
    let digits = hexadecimal("the data", data, usize::MAX)?;
    if digits.len() % 8 != 0 || digits.len() > DATA_MAX * 2 {
        let most = DATA_MAX * 2;
        return Err(format!("the data has {} digits; a multiple of 8 (4 bytes) is allowed, up to {most} ({DATA_MAX} bytes)", digits.len()));
    }
    let mut option = class.to_be_bytes().to_vec();
    // Five bits of words: 31 at most, as was just checked.
    option.extend([kind, (digits.len() / 8) as u8]);
    let (pairs, _) = digits.as_bytes().as_chunks::<2>();
    option.extend(pairs.iter().map(|[high, low]| nibble(*high) << 4 | nibble(*low)));
    Ok(option)
}

/// Checks that a part is made of at most so many hexadecimal digits.
fn hexadecimal<'a>(what: &str, text: &'a str, most: usize) -> Result<&'a str, String> {
    if text.bytes().all(|byte| byte.is_ascii_hexdigit()) && text.len() <= most {
        return Ok(text);
    }
    let allowed = if most == usize::MAX { "they are allowed".to_owned() } else { format!("at most {most} of them are allowed") };
    Err(format!("{what} is {text:?}, not hexadecimal digits alone or too many; {allowed}"))
}

/// The value of a hexadecimal digit.
const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20).wrapping_sub(b'a').wrapping_add(10) & 0x0f,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encap::HEADROOM;
    use proptest::prelude::*;

    const ANYONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn compile(vni: u32, set: &[(&str, &str)]) -> Result<Box<dyn Codec>, PropertyError> {
        let mut properties = Properties::new();
        for (name, text) in [("geneve/listen_ip", "10.0.0.1")].iter().chain(set) {
            properties.set(Geneve.properties(), name, text)?;
        }
        Geneve.compile(Vni::new(vni).unwrap(), &properties)
    }

    fn codec(set: &[(&str, &str)]) -> Box<dyn Codec> {
        compile(77, set).unwrap()
    }

    fn header(codec: &dyn Codec) -> Vec<u8> {
        let mut header = vec![0xff; codec.header_len()];
        codec.write(&mut header, 12345);
        header
    }

    fn datagram(header: &[u8]) -> Vec<u8> {
        [header, &[0; 14]].concat()
    }

    #[test]
    fn the_header_is_that_of_the_rfc() {
        // RFC 8926 3.4: version 0, no options, neither O nor C, 0x6558, 24 bits of VNI, a reserved byte.
        let plain = compile(0x12_3456, &[]).unwrap();
        assert_eq!(header(&*plain), [0, 0, 0x65, 0x58, 0x12, 0x34, 0x56, 0]);
        assert_eq!(header(&*compile(16_777_215, &[]).unwrap()), [0, 0, 0x65, 0x58, 0xff, 0xff, 0xff, 0]);
        // 3.5: class, type, length in words. One is critical, so C is set.
        let options = codec(&[("geneve/options", "0102:80:0001000c, 129:1:,FFFF:7f:0123456789abCDEF")]);
        #[rustfmt::skip]
        assert_eq!(header(&*options), [
            0x06, 0x40, 0x65, 0x58, 0, 0, 77, 0,
            0x01, 0x02, 0x80, 1, 0, 1, 0, 0x0c,
            0x01, 0x29, 0x01, 0,
            0xff, 0xff, 0x7f, 2, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
        ]);
        assert_eq!(header(&*codec(&[("geneve/options", "0102:7f:0001000c")]))[1], 0, "nothing critical, no C");
    }

    #[test]
    fn as_many_options_fit_as_the_lengths_can_say_and_no_more() {
        let whole = format!("1:2:{},1:2:{}", "00".repeat(124), "00".repeat(120));
        let codec = codec(&[("geneve/options", &whole)]);
        assert_eq!((codec.header_len(), header(&*codec)[0]), (260, 63));
        assert!(codec.header_len() <= HEADROOM);
        let good = datagram(&header(&*codec));
        assert_eq!(Geneve.decap(&good).map(|decap| decap.header_len), Ok(260));
        // 63 options without data are the longest list.
        let most = ["0102:80:"; 63].join(",");
        assert_eq!(compile(1, &[("geneve/options", &most)]).unwrap().header_len(), 260);
        let said = compile(1, &[("geneve/options", &format!("{whole},1:2:"))]).unwrap_err().to_string();
        assert_eq!(
            said,
            "property geneve/options: option 3, \"1:2:\": with it the options have 256 bytes; 252 are allowed, 4 of them for each option's head"
        );
    }

    #[test]
    fn a_wrong_option_is_named_with_what_is_wrong_about_it() {
        let said = |text: &str| compile(1, &[("geneve/options", text)]).unwrap_err().problem;
        for (text, start) in [
            ("1:2:,0102:80", "option 2, \"0102:80\": CLASS:TYPE:DATA is allowed"),
            ("1:2:3:4", "option 1, \"1:2:3:4\": CLASS:TYPE:DATA is allowed"),
            ("1:2:,", "option 2, \"\": CLASS:TYPE:DATA is allowed"),
            ("0x102:80:", "option 1, \"0x102:80:\": the class is \"0x102\", not hexadecimal digits alone or too many; at most 4"),
            ("10102:80:", "option 1, \"10102:80:\": the class is \"10102\", not hexadecimal digits alone or too many; at most 4"),
            ("+1:80:", "option 1, \"+1:80:\": the class is \"+1\""),
            (":80:", "option 1, \":80:\": the class is missing; one to four"),
            ("1::", "option 1, \"1::\": the type is missing; one or two"),
            ("1:180:", "option 1, \"1:180:\": the type is \"180\""),
            ("1:2:abcdefg0", "option 1, \"1:2:abcdefg0\": the data is \"abcdefg0\", not hexadecimal"),
            ("1:2:abcdef", "option 1, \"1:2:abcdef\": the data has 6 digits; a multiple of 8 (4 bytes) is allowed, up to 248"),
        ] {
            assert!(said(text).starts_with(start), "{}", said(text));
        }
        assert!(said(&format!("1:2:{}", "00".repeat(128))).contains("the data has 256 digits"));
        assert!(said("1:2:é").contains("the data is \"é\""));
    }

    #[test]
    fn a_datagram_says_which_network_it_belongs_to_or_what_is_wrong() {
        let good = datagram(&header(&*codec(&[("geneve/options", "0102:80:0001000c")])));
        assert_eq!(Geneve.decap(&good), Ok(Decap { vni: Vni::new(77).unwrap(), header_len: 16 }));
        for len in 0..good.len() {
            // Whoever says that there are options must bring them.
            let reason = if (8..16).contains(&len) { DropReason::HeaderInvalid } else { DropReason::DatagramTooShort };
            assert_eq!(Geneve.decap(&good[..len]), Err(reason), "{len} bytes");
        }
        let with = |at: usize, byte: u8| {
            let mut datagram = good.clone();
            datagram[at] = byte;
            Geneve.decap(&datagram)
        };
        let wrong = Err(DropReason::HeaderInvalid);
        assert_eq!(with(0, 0x42), wrong, "version 1");
        assert_eq!(with(0, 0x3f), wrong, "options beyond the datagram");
        assert_eq!(with(1, 0xc0), wrong, "a control message");
        assert_eq!(with(3, 0x59), wrong, "another protocol");
        assert_eq!(with(11, 2), wrong, "an option beyond the options");
        assert!(with(1, 0x3f).is_ok(), "reserved bits are another matter");
    }

    #[test]
    fn strict_minds_every_reserved_bit_and_lenient_none() {
        let set = [("geneve/options", "0102:80:0001000c"), ("geneve/reserved_bits", "strict")];
        let (strict, lenient) = (codec(&set), codec(&set[..1]));
        let sound = header(&*strict);
        assert_eq!(strict.check(&sound, ANYONE), Ok(()));
        let reserved = [(1, 0x20u8), (1, 0x01), (7, 0x80), (7, 0x01), (11, 0x80), (11, 0x20)];
        for (at, bit) in reserved {
            let mut header = sound.clone();
            header[at] |= bit;
            assert_eq!(strict.check(&header, ANYONE), Err(DropReason::ReservedBits), "byte {at}, bit {bit:#x}");
            assert_eq!(lenient.check(&header, ANYONE), Ok(()), "byte {at}, bit {bit:#x}");
        }
    }

    #[test]
    fn a_critical_option_must_be_known() {
        let (knows, plain) = (codec(&[("geneve/options", "0102:80:0001000c")]), codec(&[]));
        let sent = |options: &str| header(&*codec(&[("geneve/options", options)]));
        for (options, by_knows, by_plain) in [
            ("", true, true),
            ("0102:80:00020003", true, false),
            ("0102:01:00020003", true, true),
            ("0102:81:00020003", false, false),
            ("0103:80:", false, false),
            ("0102:80:,0103:01:,0103:ff:", false, false),
        ] {
            let header = sent(options);
            let verdict = |ok: bool| if ok { Ok(()) } else { Err(DropReason::CriticalOption) };
            assert_eq!(knows.check(&header, ANYONE), verdict(by_knows), "{options} where one is known");
            assert_eq!(plain.check(&header, ANYONE), verdict(by_plain), "{options} where none is known");
        }
        let mut without_c = sent("0103:80:");
        without_c[1] = 0;
        assert_eq!(plain.check(&without_c, ANYONE), Ok(()), "without the C bit the options are skipped");
    }

    #[test]
    fn only_allowed_sources_are_heard() {
        let codec = codec(&[("geneve/allowed_sources", "10.0.0.0/24")]);
        let critical = [0x01, 0x40, 0x65, 0x58, 0, 0, 77, 0, 9, 9, 0x80, 0];
        assert_eq!(codec.check(&critical, ANYONE), Err(DropReason::SourceNotAllowed), "whatever its options");
        assert_eq!(codec.check(&critical, "10.0.0.9".parse().unwrap()), Err(DropReason::CriticalOption));
        assert_eq!(codec.check(&header(&*codec), "10.0.0.9".parse().unwrap()), Ok(()));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(vni in 0..=Vni::MAX.get(), options in prop::collection::vec((any::<u16>(), any::<u8>(), 0usize..8), 0..7)) {
            let text: Vec<String> =
                options.iter().map(|(class, kind, words)| format!("{class:x}:{kind:x}:{}", "9aBcDeF0".repeat(*words))).collect();
            let codec = compile(vni, &[("geneve/options", &text.join(",")), ("geneve/reserved_bits", "strict")]).unwrap();
            let header = header(&*codec);
            let decap = Geneve.decap(&datagram(&header)).unwrap();
            prop_assert_eq!((decap.vni.get(), decap.header_len), (vni, header.len()));
            prop_assert_eq!(codec.check(&header, ANYONE), Ok(()), "a device takes what it sends");
            let read: Vec<_> = layer::Geneve::options(&header[8..]).map(|option| (option.class, option.kind, option.data.len() / 4)).collect();
            prop_assert_eq!(read, options);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[0-9a-f:,é]{0,40}") {
            let codec = codec(&[("geneve/options", "0102:80:0001000c"), ("geneve/reserved_bits", "strict")]);
            let _ = Geneve.decap(&bytes);
            let _ = Geneve.decap(&[&[(bytes.len() / 4) as u8 & 0x3f, 0x40, 0x65, 0x58][..], &bytes].concat());
            let _ = codec.check(&bytes, ANYONE);
            codec.write(&mut bytes.clone(), 0);
            let _ = read_options(&text);
        }
    }
}
