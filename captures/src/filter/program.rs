//! Does a packet match a pcap-filter expression? libpcap compiles it; the program runs here.
//!
//! Why not libpcap's own interpreter? Through the `pcap` crate it takes the captured length for the length on the wire, so that
//! `greater 1000` never matches in a capture cut at 96 bytes; its programs cannot be shared between threads; and a packet can keep it
//! in the loop of `protochain` for ever. This one is checked against it by a property test. The instructions are those of McCanne and Jacobson, "The BSD Packet Filter", section 3, with the
//! modulus and exclusive-or that libpcap added.

use overlay_decoder::LinkType;
use overlay_decoder::layer::{Null, number::ethertype};
use pcap::{Capture, Linktype};

/// Loads from here on ask the kernel for what is not in the packet (`SKF_AD_OFF` and its siblings of linux/filter.h).
const KERNEL_ONLY: u32 = 0xffe0_0000;
/// Longest IPv4 header in bytes: what the instruction that reads its length can give.
const LONGEST_IPV4_HEADER: usize = 60;
/// As often as a packet of 64 KiB has headers of 8 bytes.
const MOST_JUMPS_BACK: u32 = 8_192;
/// Words of scratch memory (`BPF_MEMWORDS`).
const MEMORY_WORDS: usize = 16;
/// `AF_INET6` of Linux, which libpcap compiles in for packets that come from no file.
const AF_INET6: u32 = 10;

/// A compiled pcap-filter expression.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Program {
    instructions: Box<[Instruction]>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    k: u32,
}

/// Why an expression has no program for a link type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// No packet of the link type can match.
    RejectsAll,
    /// The expression is none on any link type: its grammar, or a name that is not known.
    Wrong(String),
    /// The expression cannot be asked of this link type.
    Unfit(String),
}

impl Refusal {
    /// libpcap's words.
    pub(super) fn sentence(&self) -> &str {
        match self {
            Self::RejectsAll => "no packet can match",
            Self::Wrong(sentence) | Self::Unfit(sentence) => sentence,
        }
    }
}

impl Program {
    /// Compiles `text` for packets that start with `link`.
    pub(super) fn compile(text: &str, link: LinkType) -> Result<Self, Refusal> {
        let unfit = |error: &pcap::Error| Refusal::Unfit(error.to_string());
        let program = Capture::dead(dlt(link)).map_err(|error| unfit(&error))?.compile(text, true).map_err(|error| match error {
            pcap::Error::PcapError(words) => refusal(&words),
            other => unfit(&other),
        })?;
        // The crate shows an instruction as `code jt jf k` and in no other way.
        let instructions =
            program.get_instructions().iter().map(|instruction| read(&instruction.to_string())).collect::<Option<Box<[_]>>>();
        let instructions = instructions.ok_or_else(|| Refusal::Unfit("libpcap's program cannot be read".into()))?;
        if instructions.iter().any(|instruction| instruction.loads() > 0 && instruction.k >= KERNEL_ONLY) {
            return Err(Refusal::Unfit("it asks for what only the kernel knows while it captures".into()));
        }
        Ok(Self { instructions })
    }

    /// Whether these captured bytes of a packet of `wire_len` bytes match. A program that reads beyond the captured bytes says no, as
    /// everywhere in BPF.
    #[inline]
    pub(super) fn matches(&self, bytes: &[u8], wire_len: u32) -> bool {
        self.run(bytes, wire_len).is_some_and(|kept| kept > 0)
    }

    /// Number of instructions.
    pub(super) fn len(&self) -> usize {
        self.instructions.len()
    }

    /// Whether it jumps back, as `protochain` makes it. The kernel refuses such a program, and libpcap's own interpreter may not end.
    pub(super) fn loops(&self) -> bool {
        self.instructions.iter().any(|instruction| instruction.code == JA && instruction.k.cast_signed() < 0)
    }

    /// A packet with this many captured bytes is one in which the program never reads too far. `None` when it reads at places that
    /// depend on the packet, other than behind an IPv4 header.
    pub(super) fn bytes_needed(&self) -> Option<usize> {
        let mut needed = 0;
        for instruction in &self.instructions {
            let k = instruction.k as usize;
            let end = match instruction.code {
                LDW_ABS | LDH_ABS | LDB_ABS | LDX_MSH => k + instruction.loads(),
                // The index register holds nothing but the length of an IPv4 header: see the next arm.
                LDW_IND | LDH_IND | LDB_IND => k + LONGEST_IPV4_HEADER + instruction.loads(),
                LDX_IMM | LDX_MEM | LDX_LEN | TAX => return None,
                _ => 0,
            };
            needed = needed.max(end);
        }
        Some(needed)
    }

    fn run(&self, bytes: &[u8], wire_len: u32) -> Option<u32> {
        let (mut a, mut x, mut memory) = (0_u32, 0_u32, [0_u32; MEMORY_WORDS]);
        let (mut at, mut jumps_back) = (0_usize, 0);
        loop {
            let instruction @ Instruction { code, if_true, if_false, k } = *self.instructions.get(at)?;
            at += 1;
            let holds = match code {
                LDH_ABS => {
                    a = half(bytes, k as usize)?;
                    continue;
                }
                LDB_ABS => {
                    a = byte(bytes, k as usize)?;
                    continue;
                }
                LDW_ABS => {
                    a = word(bytes, k as usize)?;
                    continue;
                }
                LDH_IND => {
                    a = half(bytes, (k as usize).checked_add(x as usize)?)?;
                    continue;
                }
                LDB_IND => {
                    a = byte(bytes, (k as usize).checked_add(x as usize)?)?;
                    continue;
                }
                LDW_IND => {
                    a = word(bytes, (k as usize).checked_add(x as usize)?)?;
                    continue;
                }
                LDX_MSH => {
                    x = (byte(bytes, k as usize)? & 0x0f) << 2;
                    continue;
                }
                JEQ_K => a == k,
                JGT_K => a > k,
                JGE_K => a >= k,
                JSET_K => a & k != 0,
                JEQ_X => a == x,
                JGT_X => a > x,
                JGE_X => a >= x,
                JSET_X => a & x != 0,
                RET_K => return Some(k),
                RET_A => return Some(a),
                JA => {
                    // `protochain` alone jumps back, once per header that it follows.
                    let offset = k.cast_signed();
                    jumps_back += u32::from(offset < 0);
                    at = at.checked_add_signed(offset as isize).filter(|_| jumps_back <= MOST_JUMPS_BACK)?;
                    continue;
                }
                LD_IMM | LDX_IMM | LD_LEN | LDX_LEN | LD_MEM | LDX_MEM => {
                    let value = match code & MODE {
                        IMM => k,
                        LEN => wire_len,
                        _ => *memory.get(k as usize)?,
                    };
                    *(if code & CLASS == LD { &mut a } else { &mut x }) = value;
                    continue;
                }
                ST => {
                    *memory.get_mut(k as usize)? = a;
                    continue;
                }
                STX => {
                    *memory.get_mut(k as usize)? = x;
                    continue;
                }
                TAX => {
                    x = a;
                    continue;
                }
                TXA => {
                    a = x;
                    continue;
                }
                _ => {
                    a = instruction.calculate(a, if code & SOURCE_X == 0 { k } else { x })?;
                    continue;
                }
            };
            at += usize::from(if holds { if_true } else { if_false });
        }
    }
}

// Instruction codes, and what they are made of (pcap/bpf.h of libpcap).
const LDW_ABS: u16 = 0x20;
const LDH_ABS: u16 = 0x28;
const LDB_ABS: u16 = 0x30;
const LDW_IND: u16 = 0x40;
const LDH_IND: u16 = 0x48;
const LDB_IND: u16 = 0x50;
const LD_IMM: u16 = 0x00;
const LD_MEM: u16 = 0x60;
const LD_LEN: u16 = 0x80;
const LDX_IMM: u16 = 0x01;
const LDX_MEM: u16 = 0x61;
const LDX_LEN: u16 = 0x81;
const LDX_MSH: u16 = 0xb1;
const ST: u16 = 0x02;
const STX: u16 = 0x03;
const JA: u16 = 0x05;
const JEQ_K: u16 = 0x15;
const JEQ_X: u16 = 0x1d;
const JGT_K: u16 = 0x25;
const JGT_X: u16 = 0x2d;
const JGE_K: u16 = 0x35;
const JGE_X: u16 = 0x3d;
const JSET_K: u16 = 0x45;
const JSET_X: u16 = 0x4d;
const RET_K: u16 = 0x06;
const RET_A: u16 = 0x16;
const TAX: u16 = 0x07;
const TXA: u16 = 0x87;
const CLASS: u16 = 0x07;
const LD: u16 = 0;
const ALU: u16 = 4;
const MODE: u16 = 0xe0;
const IMM: u16 = 0x00;
const LEN: u16 = 0x80;
const SOURCE_X: u16 = 0x08;

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes).into())
}

fn byte(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at).map(|byte| u32::from(*byte))
}

impl Instruction {
    /// Bytes that it takes from the packet, at `k` or from there on by the index register; 0 for none.
    const fn loads(self) -> usize {
        match self.code {
            LDW_ABS | LDW_IND => 4,
            LDH_ABS | LDH_IND => 2,
            LDB_ABS | LDB_IND | LDX_MSH => 1,
            _ => 0,
        }
    }

    /// `None` for a division by zero and for what is no instruction: both end the program.
    fn calculate(self, a: u32, with: u32) -> Option<u32> {
        if self.code & CLASS != ALU {
            return None;
        }
        Some(match self.code & 0xf0 {
            0x00 => a.wrapping_add(with),
            0x10 => a.wrapping_sub(with),
            0x20 => a.wrapping_mul(with),
            0x30 => a.checked_div(with)?,
            0x40 => a | with,
            0x50 => a & with,
            0x60 => a.checked_shl(with).unwrap_or(0),
            0x70 => a.checked_shr(with).unwrap_or(0),
            0x80 => a.wrapping_neg(),
            0x90 => a.checked_rem(with)?,
            0xa0 => a ^ with,
            _ => return None,
        })
    }
}

fn read(shown: &str) -> Option<Instruction> {
    let mut numbers = shown.split(' ');
    let instruction = Instruction {
        code: numbers.next()?.parse().ok()?,
        if_true: numbers.next()?.parse().ok()?,
        if_false: numbers.next()?.parse().ok()?,
        k: numbers.next()?.parse().ok()?,
    };
    numbers.next().is_none().then_some(instruction)
}

fn refusal(words: &str) -> Refusal {
    if words == "expression rejects all packets" {
        return Refusal::RejectsAll;
    }
    let words = words.strip_prefix("can't parse filter expression: ").unwrap_or(words).to_owned();
    // A name is looked up only once: another link type would not know it either.
    if words.starts_with("syntax error") || words.starts_with("unknown ") { Refusal::Wrong(words) } else { Refusal::Unfit(words) }
}

/// libpcap's own number for a link type, which for a few old ones is not the number in files (pcap-linktype(7)).
const fn dlt(link: LinkType) -> Linktype {
    Linktype(match link.0 {
        100 => 11, // RFC 1483
        101 => 12, // raw IP
        102 => 15, // SLIP of BSD/OS
        103 => 16, // PPP of BSD/OS
        other => other as i32,
    })
}

/// A link type in a sentence: `link type raw`, `link type 147`.
pub(super) fn called(link: LinkType) -> String {
    link.name().map_or_else(|| link.to_string(), |name| format!("link type {name}"))
}

/// The bytes of a captured packet as a program for its link type expects them.
///
/// Only loopback headers differ: their address family is the capturing system's, in its byte order, and libpcap, which asks the file
/// about both, compiles in ours here. `scratch` holds the bytes where they had to change.
pub(super) fn expected<'b>(bytes: &'b [u8], link: LinkType, scratch: &'b mut Vec<u8>) -> &'b [u8] {
    let (LinkType::NULL | LinkType::LOOP, Some((family, packet))) = (link, bytes.split_first_chunk()) else { return bytes };
    let mut header = Null::parse(family);
    if link == LinkType::LOOP {
        header = Null { family: u32::from_be_bytes(*family), big_endian: true };
    }
    if header.ethertype() == Some(ethertype::IPV6) {
        header.family = AF_INET6;
    }
    scratch.clear();
    scratch.extend(if link == LinkType::LOOP { header.family.to_be_bytes() } else { header.family.to_ne_bytes() });
    scratch.extend_from_slice(packet);
    scratch
}

#[cfg(test)]
mod tests;
