"""How do the bytes of each header look? One small function per header, by plain struct packing.

This is a second opinion on the wire formats: it shares nothing with the Rust decoder, and it is written from the RFCs
named beside each function. Every length and checksum is computed unless the caller passes another one, which is how
the faults are made. `ends` is a pair (source, destination) of IPv4 or IPv6 addresses in text.
"""

import ipaddress
import struct
import zlib

ICMP, IGMP, IPIP, TCP, UDP, IPV6, ROUTING, FRAGMENT, GRE, ESP, AH = 1, 2, 4, 6, 17, 41, 43, 44, 47, 50, 51
ICMPV6, NO_NEXT, DSTOPTS, SCTP, MPLS_IN_IP, HOPOPTS = 58, 59, 60, 132, 137, 0
ETH_IPV4, ETH_ARP, ETH_TEB, ETH_VLAN, ETH_IPV6, ETH_MPLS, ETH_QINQ = 0x0800, 0x0806, 0x6558, 0x8100, 0x86DD, 0x8847, 0x88A8
ETH_NSH, ETH_LLDP, ETH_ERSPAN, ETH_ERSPAN3, ETH_PPP = 0x894F, 0x88CC, 0x88BE, 0x22EB, 0x880B
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR, AE = 1, 2, 4, 8, 16, 32, 64, 128, 256


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def addr(text):
    return ipaddress.ip_address(text).packed


def checksum(data):
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def transport_checksum(ends, protocol, data):
    """Pseudo-header of RFC 793 (IPv4) or RFC 8200 8.1 (IPv6)."""
    src, dst = addr(ends[0]), addr(ends[1])
    if len(src) == 4:
        pseudo = src + dst + struct.pack("!BBH", 0, protocol, len(data))
    else:
        pseudo = src + dst + struct.pack("!IHBB", len(data), 0, 0, protocol)
    return checksum(pseudo + data)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


# ---- link layer ----


def eth(src, dst, ethertype, payload, pad=False):
    """IEEE 802.3; below 0x600 the type is a length."""
    frame = mac(dst) + mac(src) + struct.pack("!H", ethertype) + payload
    return frame.ljust(60, b"\0") if pad else frame


def vlan(tag_id, ethertype, payload, pcp=0, dei=0):
    """The four bytes behind the tag's own EtherType (IEEE 802.1Q)."""
    return struct.pack("!HH", pcp << 13 | dei << 12 | tag_id, ethertype) + payload


def arp(op, sha, spa, tha, tpa, hlen=6, plen=4):
    """RFC 826."""
    return struct.pack("!HHBBH", 1, ETH_IPV4, hlen, plen, op) + mac(sha) + addr(spa) + mac(tha) + addr(tpa)


def llc(dsap, ssap, control, payload=b""):
    return struct.pack("!BBB", dsap, ssap, control) + payload


def dot3(src, dst, payload, length=None):
    """An 802.3 frame: the length in place of the EtherType, padded to 60 bytes."""
    return eth(src, dst, len(payload) if length is None else length, payload, pad=True)


# ---- network layer ----


def ip4(ends, protocol, payload, ttl=64, ident=1, flags=0, offset=0, tos=0, options=b"", total=None, ihl=None, csum=None, version=4):
    """RFC 791. `offset` in bytes."""
    options += b"\0" * (-len(options) % 4)
    length = 20 + len(options)
    total = length + len(payload) if total is None else total
    ihl = length // 4 if ihl is None else ihl
    head = struct.pack("!BBHHHBBH", version << 4 | ihl, tos, total, ident, flags << 13 | offset // 8, ttl, protocol, 0)
    head += addr(ends[0]) + addr(ends[1]) + options
    csum = checksum(head) if csum is None else csum
    return head[:10] + struct.pack("!H", csum) + head[12:] + payload


def ip6(ends, next_header, payload, hops=64, tclass=0, flow=0, plen=None, version=6):
    """RFC 8200."""
    plen = len(payload) if plen is None else plen
    return struct.pack("!IHBB", version << 28 | tclass << 20 | flow, plen, next_header, hops) + addr(ends[0]) + addr(ends[1]) + payload


def ip(ends, protocol, payload, **more):
    return (ip6 if ":" in ends[0] else ip4)(ends, protocol, payload, **more)


def ethertype_of(packet):
    return ETH_IPV4 if packet[0] >> 4 == 4 else ETH_IPV6


def options6(next_header, options):
    """Hop-by-hop or destination options header; padded with Pad1/PadN (RFC 8200 4.2)."""
    short = -(2 + len(options)) % 8
    pad = b"" if short == 0 else b"\0" if short == 1 else struct.pack("!BB", 1, short - 2) + b"\0" * (short - 2)
    body = options + pad
    return struct.pack("!BB", next_header, (2 + len(body)) // 8 - 1) + body


def fragment6(next_header, offset, more, ident):
    return struct.pack("!BBHI", next_header, 0, offset | more, ident)


def srh(next_header, segments, left):
    """Segment routing header, routing type 4 (RFC 8754)."""
    return struct.pack("!BBBBBBH", next_header, 2 * len(segments), 4, left, len(segments) - 1, 0, 0) + b"".join(map(addr, segments))


def ah(next_header, spi, seq, icv=b"\x5a" * 12):
    """RFC 4302; the length is in 4-byte words minus 2."""
    return struct.pack("!BBHII", next_header, (12 + len(icv)) // 4 - 2, 0, spi, seq) + icv


def esp(spi, seq, cipher):
    """RFC 4303."""
    return struct.pack("!II", spi, seq) + cipher


# ---- transport ----


def udp(ends, sport, dport, payload, length=None, csum=None):
    """RFC 768; pass csum=0 for "no checksum"."""
    length = 8 + len(payload) if length is None else length
    if csum is None:
        csum = transport_checksum(ends, UDP, struct.pack("!HHHH", sport, dport, length, 0) + payload) or 0xFFFF
    return struct.pack("!HHHH", sport, dport, length, csum) + payload


def tcp(ends, sport, dport, flags, payload=b"", seq=1000, ack=0, window=64240, options=b"", urgent=0, offset=None, csum=None):
    """RFC 9293. `offset` in 4-byte words."""
    options += b"\0" * (-len(options) % 4)
    words = (20 + len(options)) // 4 if offset is None else offset
    head = struct.pack("!HHIIHHHH", sport, dport, seq, ack, words << 12 | flags, window, 0, urgent) + options
    csum = transport_checksum(ends, TCP, head + payload) if csum is None else csum
    return head[:16] + struct.pack("!H", csum) + head[18:] + payload


def option(kind, data=b"", length=None):
    """A TCP or IPv4 option."""
    return struct.pack("!BB", kind, 2 + len(data) if length is None else length) + data


NOP = b"\x01"
SYN_OPTIONS = option(2, struct.pack("!H", 1410)) + option(4) + option(8, struct.pack("!II", 1000, 0)) + NOP + option(3, b"\x07")


def sctp(sport, dport, chunks, tag=0x01020304, crc=None):
    """RFC 9260; the CRC-32C stands in little-endian order."""
    body = struct.pack("!HHII", sport, dport, tag, 0) + chunks
    return body[:8] + struct.pack("<I", crc32c(body) if crc is None else crc) + body[12:]


def chunk(kind, flags, value, length=None):
    return struct.pack("!BBH", kind, flags, 4 + len(value) if length is None else length) + value + b"\0" * (-len(value) % 4)


def icmp(kind, code, rest, body=b"", csum=None):
    """RFC 792; `rest` is the second word."""
    data = struct.pack("!BBHI", kind, code, 0, rest) + body
    return data[:2] + struct.pack("!H", checksum(data) if csum is None else csum) + data[4:]


def icmp6(ends, kind, code, body, csum=None):
    """RFC 4443."""
    data = struct.pack("!BBH", kind, code, 0) + body
    csum = transport_checksum(ends, ICMPV6, data) if csum is None else csum
    return data[:2] + struct.pack("!H", csum) + data[4:]


def igmp(kind, code, body):
    """RFC 1112, 2236, 3376."""
    data = struct.pack("!BBH", kind, code, 0) + body
    return data[:2] + struct.pack("!H", checksum(data)) + data[4:]


# ---- tunnels ----


def vxlan(vni, payload, flags=0x08, group=0, gbp=0, reserved=0):
    """RFC 7348; `gbp` is the second byte (D 0x40, A 0x08) and `group` the two bytes behind it (draft-smith-vxlan-group-policy)."""
    return struct.pack("!BBHI", flags, gbp, group, vni << 8 | reserved) + payload


def gpe(vni, next_protocol, payload, flags=0x0C, reserved=0):
    """draft-ietf-nvo3-vxlan-gpe; flags 0x08 I, 0x04 P, 0x02 B, 0x01 O, version in 0x30."""
    return struct.pack("!BHBI", flags, 0, next_protocol, vni << 8 | reserved) + payload


def nsh(spi, si, next_protocol, payload, context=None, md=1, ttl=63, oam=0, length=None):
    """RFC 8300; MD type 1 has 16 bytes of context, type 2 has TLVs."""
    context = bytes(range(16)) if context is None else context
    length = 2 + len(context) // 4 if length is None else length
    return struct.pack("!HBBI", oam << 13 | ttl << 6 | length, md, next_protocol, spi << 8 | si) + context + payload


def nsh_tlv(cls, kind, data):
    return struct.pack("!HBB", cls, kind, len(data)) + data + b"\0" * (-len(data) % 4)


def geneve(vni, payload, protocol=ETH_TEB, options=b"", oam=0, critical=0, length=None, version=0):
    """RFC 8926 3.4; the option length is in 4-byte words."""
    length = len(options) // 4 if length is None else length
    return struct.pack("!BBHI", version << 6 | length, oam << 7 | critical << 6, protocol, vni << 8) + options + payload


def geneve_option(cls, kind, data=b"", length=None):
    """RFC 8926 3.5; kind 0x80 and above is critical."""
    return struct.pack("!HBB", cls, kind, len(data) // 4 if length is None else length) + data


def gre(protocol, payload, key=None, seq=None, csum=False, routing=None, bad_csum=False):
    """RFC 2784 and 2890; `routing` is the source route of RFC 1701, which brings the checksum and offset words along."""
    flags = (
        (0x8000 if csum else 0)
        | (0x4000 if routing is not None else 0)
        | (0x2000 if key is not None else 0)
        | (0x1000 if seq is not None else 0)
    )
    head = struct.pack("!HH", flags, protocol)
    if csum or routing is not None:
        head += struct.pack("!HH", 0, 0)
    head += b"" if key is None else struct.pack("!I", key)
    head += b"" if seq is None else struct.pack("!I", seq)
    head += b"" if routing is None else routing
    if csum:
        value = checksum(head + payload) ^ (0x1111 if bad_csum else 0)
        head = head[:4] + struct.pack("!H", value) + head[6:]
    return head + payload


def nvgre(vsid, flow, payload, protocol=ETH_TEB, flags=0x2000):
    """RFC 7637."""
    return struct.pack("!HHI", flags, protocol, vsid << 8 | flow) + payload


def erspan2(session, index, payload, tag=0, version=1):
    """draft-foschiano-erspan, type II (version 1)."""
    return struct.pack("!HHI", version << 12 | tag, 3 << 11 | session, index) + payload


def erspan3(session, stamp, payload, sgt=0, tag=0, sub=None):
    """Type III (version 2), `sub` is the optional platform sub-header of 8 bytes."""
    words = 0x8000 | 2 << 1 | (1 if sub else 0)  # P (a frame follows), type Ethernet, hardware id 0, granularity 2 (IEEE 1588), O
    return struct.pack("!HHIHH", 2 << 12 | tag, session, stamp, sgt, words) + (sub or b"") + payload


def mpls(*labels, bottom=True):
    """RFC 3032; labels are numbers, or (label, traffic class, ttl)."""
    out = b""
    for n, label in enumerate(labels):
        value, tc, ttl = label if isinstance(label, tuple) else (label, 0, 64)
        last = bottom and n == len(labels) - 1
        out += struct.pack("!I", value << 12 | tc << 9 | (0x100 if last else 0) | ttl)
    return out


# ---- applications ----


def name(text):
    """A DNS name without compression."""
    return b"".join(bytes([len(part)]) + part.encode() for part in text.split(".") if part) + b"\0"


def dns(ident, flags, questions=(), answers=(), authority=(), additional=()):
    """RFC 1035; each section is a list of ready bytes."""
    counts = struct.pack("!HHHHHH", ident, flags, len(questions), len(answers), len(authority), len(additional))
    return counts + b"".join([*questions, *answers, *authority, *additional])


def question(qname, kind, cls=1):
    return qname + struct.pack("!HH", kind, cls)


def record(owner, kind, data, ttl=300, cls=1):
    return owner + struct.pack("!HHIH", kind, cls, ttl, len(data)) + data


def dhcp(op, xid, hardware, options, yiaddr="0.0.0.0", giaddr="0.0.0.0", ciaddr="0.0.0.0", flags=0):
    """RFC 2131."""
    head = struct.pack("!BBBBIHH", op, 1, 6, 0, xid, 0, flags) + addr(ciaddr) + addr(yiaddr) + addr("0.0.0.0") + addr(giaddr)
    return head + mac(hardware).ljust(16, b"\0") + b"\0" * 192 + bytes.fromhex("63825363") + options + b"\xff"


def dhcp6(kind, xid, options):
    """RFC 8415."""
    return struct.pack("!I", kind << 24 | xid) + options


def dhcp6_option(code, data):
    return struct.pack("!HH", code, len(data)) + data


def svp(op, payload=b"", ident=1, version=1, size=None, crc=None):
    """SDC VXLAN Protocol: header of 16 bytes, CRC-32 over the header with a zero CRC plus the payload."""
    size = len(payload) if size is None else size
    head = struct.pack("!HHII", version, op, size, ident)
    crc = zlib.crc32(head + b"\0\0\0\0" + payload) if crc is None else crc
    return head + struct.pack("!I", crc) + payload
