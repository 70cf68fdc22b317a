"""Captures of file formats: byte orders, time resolutions, pcapng blocks, snoop, compression, and files cut off.

The packets inside are always the same four, so that only the container differs.
"""

import gzip
import shutil
import struct
import subprocess
import zlib

import files
from files import RAW, T0, Packet, Pcapng, pcap
from scene import *
from wire import *


def four():
    return [tunnel(vxlan(77, vm(syn()))), tunnel(geneve(78, vm(hello())), dport=6081), in_gre(nvgre(5001, 7, vm(echo()))), vm(syn(T6))]


def timed():
    """The four at times that need nanoseconds, microseconds, the last microsecond of a second, and the year 2038."""
    times = [T0 * 10**9 + 123_456_789, T0 * 10**9 + 123_456_000, T0 * 10**9 + 1_999_999_999, 2**31 * 10**9 + 1]
    return [Packet(frame, nanos=nanos) for frame, nanos in zip(four(), times, strict=True)]


@capture(
    "pcap-little-endian.pcap",
    """pcap, little-endian, microseconds; packet 4 lies behind January 2038 (seconds above 2^31):
    `tcpdump -tttt` 4.99.3 says `Error converting time`.""",
)
def pcap_little():
    return timed()


@capture("pcap-big-endian.pcap", "The same, written by a big-endian host.", order=">")
def pcap_big():
    return timed()


@capture(
    "pcap-nano.pcap",
    """The same with nanoseconds (magic a1b23c4d): 123456789, 123456000, 999999999, 1. tcpdump needs --nano to
    show them.""",
    nano=True,
)
def pcap_nano():
    return timed()


@capture("pcap-nano-big-endian.pcap", "Nanoseconds and big-endian.", nano=True, order=">")
def pcap_nano_big():
    return timed()


@capture("pcap-modified.pcap", "Kuznetzov's modified pcap (magic a1b2cd34): eight more bytes in each record header.", modified=True)
def pcap_modified():
    return four()


@capture(
    "pcap-fcs.pcap",
    """The upper bits of the link type say: each frame ends with an FCS of 4 bytes (0x28000001). The frames do.""",
    link=0x28000001,
)
def pcap_fcs():
    return [frame + struct.pack("<I", zlib.crc32(frame)) for frame in four()]


@capture(
    "pcap-odd-records.pcap",
    """Microseconds of 1,500,000 in packet 2; a captured length above the original length in packet 3; an
    original length of 0 in packet 4; snaplen 0 in the file header.""",
)
def pcap_odd():
    out = pcap(four(), snaplen=0)
    starts, at = [], 24
    while at < len(out):
        starts.append(at)
        at += 16 + struct.unpack_from("<I", out, at + 8)[0]
    out = bytearray(out)
    struct.pack_into("<I", out, starts[1] + 4, 1_500_000)
    struct.pack_into("<I", out, starts[2] + 12, 20)
    struct.pack_into("<I", out, starts[3] + 12, 0)
    return bytes(out)


@capture("pcap-record-too-large.pcap", "Packet 2 claims 0xfffffff0 bytes: the reader must stop with a sentence, not allocate.")
def pcap_too_large():
    frame = four()[0]
    return pcap([frame]) + struct.pack("<IIII", T0, 0, 0xFFFFFFF0, 0xFFFFFFF0) + frame


@capture(
    "pcap-times.pcap",
    """Times that go backwards: now, a second earlier, 1970-01-01 00:00:00, and the last second of a 32-bit
    field (2106-02-07).""",
)
def pcap_times():
    return [Packet(frame, nanos=seconds * 10**9) for frame, seconds in zip(four(), (T0, T0 - 1, 0, 2**32 - 1), strict=True)]


@capture("pcap-link-unsupported.pcap", "Link type 105 (IEEE 802.11): not one of ours; a sentence, and the bytes as payload.", link=105)
def pcap_link():
    return [bytes.fromhex("80000000ffffffffffff") + mac(VM1) * 2 + bytes(20)]


@capture("pcap-empty.pcap", "A file header and no packet.")
def pcap_empty():
    return []


@capture(
    "pcap-cut-in-data.pcap",
    """The file ends 20 bytes into the data of packet 3 (disk full, or still being written): two packets,
    then a sentence.""",
)
def pcap_cut_data():
    whole = pcap(four())
    return whole[: 24 + sum(16 + len(f) for f in four()[:2]) + 16 + 20]


@capture("pcap-cut-in-record.pcap", "The file ends inside the record header of packet 3.")
def pcap_cut_record():
    return pcap(four())[: 24 + sum(16 + len(f) for f in four()[:2]) + 9]


@capture("pcap-cut-in-header.pcap", "12 bytes of a pcap file header.")
def pcap_cut_header():
    return pcap([])[:12]


@capture("not-a-capture.pcap", "A text file: no known magic.")
def not_a_capture():
    return b"This is not a capture file.\n"


@capture(
    "pcapng-little-endian.pcapng",
    """pcapng with one interface (name, description, tsresol 9, filter), packet comments, flags and
    drop counter, a custom block, name resolution, interface statistics with 5 dropped. tshark counts the custom block as packet 5.""",
)
def pcapng_little():
    ng = Pcapng().section([(1, b"section comment"), (2, b"no hardware"), (3, b"Linux"), (4, b"generate.py")])
    ng.interface(pairs=[(2, b"uplink0"), (3, b"underlay of host 1"), (9, b"\x09"), (11, b"\0udp port 4789"), (12, b"Linux")])
    for n, frame in enumerate(four()):
        ng.packet(
            frame,
            (T0 + n) * 10**9 + 123_456_789,
            pairs=[(1, b"packet comment %d" % (n + 1)), (2, struct.pack("<I", 1 if n % 2 else 2)), (4, struct.pack("<Q", n))],
        )
    ng.block(0x00000BAD, struct.pack("<I", 0x7FFFFFFF) + b"custom..").names([(addr("10.88.0.1"), "host1.example")])
    return ng.statistics(0, 9, 5, T0 * 10**9).out


@capture("pcapng-big-endian.pcapng", "pcapng in big-endian order, no options at all (microseconds by default).")
def pcapng_big():
    ng = Pcapng(">").section().interface()
    for n, frame in enumerate(four()):
        ng.packet(frame, (T0 + n) * 10**6 + 123_456)
    return ng.out


@capture(
    "pcapng-two-linktypes.pcapng",
    """Two interfaces of different link types (Ethernet `vxlan-uplink`, raw IP `tun0`), packets
    interleaved, a comment on each. libpcap and tcpdump refuse the file; tshark reads it.""",
)
def pcapng_two():
    ng = (
        Pcapng()
        .section()
        .interface(pairs=[(2, b"vxlan-uplink"), (1, b"first interface")])
        .interface(RAW, pairs=[(2, b"tun0"), (1, b"second interface"), (9, b"\x09")])
    )
    ng.packet(four()[0], T0 * 10**6, 0, pairs=[(1, b"on Ethernet")]).packet(hello(), T0 * 10**9 + 500_000_001, 1, pairs=[(1, b"on raw IP")])
    return (
        ng.packet(four()[1], (T0 + 1) * 10**6, 0)
        .packet(tunnel(vxlan(79, vm(echo())))[14:], (T0 + 1) * 10**9 + 1, 1)
        .statistics(0, 2, 0)
        .statistics(1, 2, 7, T0 * 10**9)
        .out
    )


@capture(
    "pcapng-tsresol-binary.pcapng",
    """if_tsresol 0x94: units of 2^-20 seconds. Packet 1 at .0, packet 2 at half a second, packet 3
    at 1/1048576 s (953 or 954 ns).""",
)
def pcapng_binary():
    ng = Pcapng().section().interface(pairs=[(9, b"\x94")])
    for n, (frame, part) in enumerate(zip(four(), (0, 1 << 19, 1, (1 << 20) - 1), strict=True)):
        ng.packet(frame, ((T0 + n) << 20) + part)
    return ng.out


@capture(
    "pcapng-tsoffset-negative.pcapng",
    """if_tsoffset -3600 seconds (signed): times are an hour earlier than the ticks say; second
    interface with +1800 and tsresol 3 (milliseconds).""",
)
def pcapng_offset():
    ng = Pcapng().section().interface(pairs=[(14, struct.pack("<q", -3600))]).interface(pairs=[(9, b"\x03"), (14, struct.pack("<q", 1800))])
    return (
        ng.packet(four()[0], (T0 + 3600) * 10**6)
        .packet(four()[1], (T0 - 1800 + 1) * 1000 + 250, 1)
        .packet(four()[2], (T0 + 3602) * 10**6)
        .out
    )


@capture("pcapng-simple-packets.pcapng", "Simple packet blocks (no times); the interface's snaplen of 64 cuts packet 2.")
def pcapng_simple():
    frames = four()
    return Pcapng().section().interface(snaplen=64).simple(vm(hello(payload=b"hello"))).simple(frames[1][:64], orig=len(frames[1])).out


@capture(
    "pcapng-two-sections.pcapng",
    """Two sections in one file (as after `cat a b`): little-endian, then big-endian; interface
    numbers start again at 0; a known section length in the first. libpcap stays in the first byte order and fails (`block size
    469762048`); tshark reads it.""",
)
def pcapng_sections():
    first = Pcapng().interface().packet(four()[0], T0 * 10**6)
    head = Pcapng().section(length=len(first.out))
    return head.out + first.out + Pcapng(">").section().interface(RAW).packet(hello(), (T0 + 1) * 10**6).out


@capture("pcapng-faults.pcapng", "Packet 1 is good; packet 2 names interface 9, which does not exist: a sentence that says so.")
def pcapng_faults():
    return (
        Pcapng()
        .section()
        .interface()
        .packet(four()[0], T0 * 10**6)
        .packet(four()[1], T0 * 10**6, interface=9)
        .packet(four()[2], T0 * 10**6)
        .out
    )


@capture("pcapng-bad-block-length.pcapng", "Block 4 has a total length of 30, not a multiple of 4, and a trailer that disagrees.")
def pcapng_bad_length():
    good = Pcapng().section().interface().packet(four()[0], T0 * 10**6).out
    return good + struct.pack("<II", 6, 30) + bytes(18) + struct.pack("<I", 32)


@capture("pcapng-block-too-large.pcapng", "Block 4 claims 1 GiB (the limit is 16 MiB): a sentence, not an allocation.")
def pcapng_too_large():
    return Pcapng().section().interface().packet(four()[0], T0 * 10**6).out + struct.pack("<II", 6, 1 << 30) + bytes(32)


@capture("pcapng-bad-captured-length.pcapng", "A packet block whose captured length (5000) is longer than its block.")
def pcapng_bad_captured():
    good = Pcapng().section().interface().packet(four()[0], T0 * 10**6)
    return good.block(6, struct.pack("<IIIII", 0, T0 * 10**6 >> 32, T0 * 10**6 & 0xFFFFFFFF, 5000, 5000) + bytes(40)).out


@capture(
    "pcapng-option-overrun.pcapng",
    """Packet 1 has a comment option that claims 400 bytes in a short block; packet 2 is good. The
    packet's data is whole, so both can be shown.""",
)
def pcapng_option_overrun():
    frame = four()[0]
    head = struct.pack("<IIIII", 0, T0 * 10**6 >> 32, T0 * 10**6 & 0xFFFFFFFF, len(frame), len(frame))
    ng = Pcapng().section().interface().block(6, head + files.padded(frame) + struct.pack("<HH", 1, 400) + b"comment.")
    return ng.packet(four()[1], (T0 + 1) * 10**6).out


@capture("pcapng-obsolete-packet.pcapng", "The obsolete packet block (type 2) with interface 0 and 7 drops, then a modern one.")
def pcapng_obsolete():
    frame = four()[0]
    body = struct.pack("<HHIIII", 0, 7, T0 * 10**6 >> 32, T0 * 10**6 & 0xFFFFFFFF, len(frame), len(frame)) + files.padded(frame)
    return Pcapng().section().interface().block(2, body).packet(four()[1], (T0 + 1) * 10**6).out


@capture("pcapng-cut-off.pcapng", "Ends in the middle of the second packet block.")
def pcapng_cut():
    one = Pcapng().section().interface().packet(four()[0], T0 * 10**6).out
    return Pcapng().section().interface().packet(four()[0], T0 * 10**6).packet(four()[1], T0 * 10**6).out[: len(one) + 40]


@capture(
    "snoop-rfc1761.snoop",
    """snoop, data link 4 (Ethernet): padding to 4 bytes, 3 cumulative drops from packet 3 on, packet 4 cut
    to 60 bytes. tshark reads it; tcpdump does not.""",
)
def snoop_plain():
    frames = four()
    return files.snoop(
        [Packet(frames[0]), Packet(frames[1]), Packet(frames[2], drops=3), Packet(frames[3][:60], orig=len(frames[3]), drops=3)]
    )


@capture(
    "snoop-wide-padding.snoop",
    """snoop with 8 more bytes of padding per record than needed: the record length counts, not the
    rounding.""",
)
def snoop_wide():
    return files.snoop(four(), tail=8)


@capture(
    "snoop-bad-record.snoop",
    """snoop whose second record claims a record length of 10 (below the 24 bytes of its own header): a
    reader that trusts it loops.""",
)
def snoop_bad():
    good = files.snoop(four()[:1])
    return good + struct.pack("!IIIIII", 60, 60, 10, 0, T0, 0) + bytes(60)


@capture("snoop-cut-off.snoop", "snoop that ends inside packet 2.")
def snoop_cut():
    return files.snoop(four())[:-300]


def zstd(data):
    """By the zstd program, since python3 before 3.14 has no zstd; its frames differ between versions, so this file may."""
    if not shutil.which("zstd"):
        raise SystemExit("zstd: not found; install the package zstd")
    return subprocess.run(["zstd", "-q", "-3", "--no-check", "-c"], input=data, capture_output=True, check=True).stdout


@capture("compressed.pcap.gz", "gzip around pcap-little-endian.pcap. tshark reads it; tcpdump does not.")
def compressed_gzip():
    return gzip.compress(pcap(timed()), mtime=0)


@capture(
    "compressed-two-members.pcap.gz",
    """gzip in two members (as after `cat a.gz b.gz`), cut in the middle of packet 2: both belong
    to one file.""",
)
def compressed_members():
    whole = pcap(timed())
    return gzip.compress(whole[:200], mtime=0) + gzip.compress(whole[200:], mtime=0)


@capture("compressed-cut-off.pcap.gz", "gzip that ends before its trailer: what could be unpacked is shown, then a sentence.")
def compressed_cut():
    return gzip.compress(pcap(timed()), mtime=0)[:-40]


@capture("compressed.pcap.zst", "zstd around pcap-little-endian.pcap. tshark 4.0 reads it when built with zstd; tcpdump does not.")
def compressed_zstd():
    return zstd(pcap(timed()))


@capture("compressed.pcapng.zst", "zstd in two frames around pcapng-big-endian.pcapng.")
def compressed_pcapng():
    whole = pcapng_big()
    return zstd(whole[:300]) + zstd(whole[300:])


@capture(
    "compressed-wide-window.pcap.zst",
    """A zstd frame header that asks for a window of 128 MiB (the limit is 32 MiB): refused with
    a sentence before anything is allocated.""",
)
def compressed_window():
    # RFC 8878 3.1.1: descriptor 0 (no single segment), window descriptor exponent 17 = 2^27 bytes, then one raw block.
    content = pcap(four())
    return struct.pack("<IBB", 0xFD2FB528, 0, 17 << 3) + struct.pack("<I", len(content) << 3 | 1)[:3] + content
