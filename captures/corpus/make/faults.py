"""Captures of what goes wrong: cut by the snaplen, lengths that lie, wrong checksums, offload artefacts, plain noise."""

import random
import struct

from files import Packet, cut
from scene import *
from wire import *


def cuts(frame, *lengths):
    return [cut(frame, length) for length in lengths]


# ---- cut by the snaplen: the capture's fault, kind `truncated` ----


@capture(
    "truncated-vxlan.pcap",
    """One VXLAN packet cut inside each header in turn: outer ethernet (10), ipv4 (30), udp (38), vxlan
    (46), inner ethernet (60), inner ipv4 (75), inner tcp (95), tcp options (110), at the exact end of a header (42, 50, 64), an empty
    record (0).""",
)
def truncated_vxlan():
    return cuts(tunnel(vxlan(77, vm(syn()))), 10, 30, 38, 46, 60, 75, 95, 110, 42, 50, 64, 0)


@capture(
    "truncated-vxlan-ipv6.pcap",
    """VXLAN over IPv6 with IPv6 inside, cut in the outer ipv6 (40), udp (58), vxlan (66), inner
    ethernet (80), inner ipv6 (100), inner tcp (130).""",
)
def truncated_vxlan6():
    return cuts(tunnel(vxlan(77, vm(syn(T6))), ends=UL6), 40, 58, 66, 80, 100, 130)


@capture(
    "truncated-geneve.pcap",
    """Geneve with two options cut in the fixed header (45), the first option's header (52), its data
    (56), the second option (62), the inner frame (70).""",
)
def truncated_geneve():
    options = geneve_option(0x0102, 0x80, struct.pack("!I", 1 << 16 | 2)) + geneve_option(0xFF00, 1, b"eightoct")
    return cuts(tunnel(geneve(77, vm(syn()), options=options, critical=1), dport=6081), 45, 52, 56, 62, 75)


@capture(
    "truncated-gre.pcap",
    """NVGRE cut in the flags (36) and the VSID (40); GRE with checksum, key and sequence cut in each word
    (37, 41, 45, 49); ERSPAN II cut in its header (44); ERSPAN III (48).""",
)
def truncated_gre():
    full = in_gre(gre(ETH_IPV4, syn(), key=5, seq=8, csum=True))
    second, third = in_gre(gre(ETH_ERSPAN, erspan2(100, 5, vm(syn())), seq=2)), in_gre(gre(ETH_ERSPAN3, erspan3(100, 1, vm(syn())), seq=3))
    return cuts(in_gre(nvgre(5001, 7, vm(syn()))), 36, 40) + cuts(full, 37, 41, 45, 49) + cuts(second, 44) + cuts(third, 48)


@capture(
    "truncated-link.pcap",
    """Cut inside a VLAN tag (first at 16, second at 20), an MPLS label (17), NSH base (18) and context
    (30), ARP (30), LLC (15), LLDP (20).""",
)
def truncated_link():
    tags = tagged(vm(syn()), (0x88A8, 200), (0x8100, 100))
    who = eth(VM1, BROADCAST, ETH_ARP, arp(1, VM1, "10.0.0.1", ZERO, "10.0.0.2"))
    bpdu = dot3(HOST1, "01:80:c2:00:00:00", llc(0x42, 0x42, 3, bytes(35)))
    lldp = eth(HOST1, "01:80:c2:00:00:0e", ETH_LLDP, b"\x02\x07\x04" + mac(HOST1) + b"\x04\x05\x05eth0\x06\x02\0\x78\0\0")
    chain = eth(HOST1, HOST2, ETH_NSH, nsh(42, 255, 1, syn()))
    return (
        cuts(tags, 16, 20)
        + cuts(eth(HOST1, HOST2, ETH_MPLS, mpls(16, 17) + syn()), 17)
        + cuts(chain, 18, 30)
        + cuts(who, 30)
        + cuts(bpdu, 15)
        + cuts(lldp, 20)
    )


@capture(
    "truncated-ipv6-extensions.pcap",
    """Cut inside hop-by-hop (55), the routing header (70), the fragment header (58), destination
    options (57), AH (60), and ESP (58).""",
)
def truncated_extensions():
    u = udp(T6, 40000, 7, b"extended")
    route = ip6(T6, ROUTING, srh(UDP, ["2001:db8::2", "2001:db8::9"], 0) + u)
    return (
        cuts(vm(ip6(T6, HOPOPTS, options6(UDP, b"\x05\x02\0\0") + u)), 55)
        + cuts(vm(route), 70)
        + cuts(vm(ip6(T6, FRAGMENT, fragment6(UDP, 0, 1, 1) + u)), 58)
        + cuts(vm(ip6(T6, DSTOPTS, options6(UDP, b"\x1e\x04test") + u)), 57)
        + cuts(vm(ip6(T6, AH, ah(UDP, 1, 1) + u)), 60)
        + cuts(vm(ip6(T6, ESP, esp(1, 1, bytes(32)))), 58)
    )


@capture(
    "truncated-transport.pcap",
    """Cut inside UDP (40), TCP (45), SCTP's header (40) and chunk (50), ICMP (38) and its quote (50),
    ICMPv6 (56), an ND option (82), IGMP (39), IPv4 options (36).""",
)
def truncated_transport():
    ns = ip6(T6, ICMPV6, icmp6(T6, 135, 0, bytes(4) + addr("2001:db8::2") + b"\x01\x01" + mac(VM1)), hops=255)
    assoc = vm(ip(T4, SCTP, sctp(5000, 2905, chunk(1, 0, bytes(16)))))
    group = vm(ip4(("10.0.0.1", "239.1.1.1"), IGMP, igmp(0x16, 0, addr("239.1.1.1")), ttl=1, options=option(148, b"\0\0")))
    return (
        cuts(vm(hello()), 40)
        + cuts(vm(syn()), 45)
        + cuts(assoc, 40, 50)
        + cuts(vm(ip(back(T4), ICMP, icmp(3, 3, 0, hello()))), 38, 50)
        + cuts(vm(ns), 56, 82)
        + cuts(group, 39, 36)
    )


@capture(
    "truncated-services.pcap",
    """Cut inside DNS (header at 50, name at 60), DHCP (fixed part at 100, options at 290), DHCPv6 (70),
    SVP (header at 60, payload at 76). tshark guesses RTPS for the SVP header.""",
)
def truncated_services():
    ask = vm(ip(T4, UDP, udp(T4, 53000, 53, dns(1, 0x100, [question(name("www.tenant.example"), 1)]))))
    ends, ends6, node = ("0.0.0.0", "255.255.255.255"), ("fe80::1", "ff02::1:2"), ("10.88.0.1", "10.88.0.100")
    discover = vm(ip(ends, UDP, udp(ends, 68, 67, dhcp(1, 1, VM1, b"\x35\x01\x01\x0c\x08tenant-1"))))
    solicit = vm(ip(ends6, UDP, udp(ends6, 546, 547, dhcp6(1, 1, dhcp6_option(1, struct.pack("!HH", 3, 1) + mac(VM1))))))
    vl2 = svp(3, mac(VM2) + bytes(2) + struct.pack("!I", 77))
    request = under(ip(node, TCP, tcp(node, 50001, 1296, PSH | ACK, vl2)))
    return cuts(ask, 50, 60) + cuts(discover, 100, 290) + cuts(solicit, 70) + cuts(request, 60, 76)


# ---- lengths that lie: the sender's fault, kind `malformed` ----


@capture(
    "malformed-ipv4.pcap",
    """Header length 4 words (below 5), 15 words in a short packet, total length 10 (below the header),
    total length 30 cuts the UDP payload, total length 1500 beyond the frame, version 5 by EtherType 0x0800, total length 20 (no
    payload), a frame of 14 bytes only.""",
)
def malformed_ipv4():
    u = udp(T4, 40000, 7, b"lengths lie")
    packets = [
        ip4(T4, UDP, u, ihl=4),
        ip4(T4, UDP, u, ihl=15),
        ip4(T4, UDP, u, total=10),
        ip4(T4, UDP, u, total=30),
        ip4(T4, UDP, u, total=1500),
        ip4(T4, UDP, u, version=5),
        ip4(T4, UDP, u, total=20),
        b"",
    ]
    return [eth(VM1, VM2, ETH_IPV4, p) for p in packets]


@capture(
    "malformed-ipv6.pcap",
    """Payload length beyond the frame, too short for UDP, zero without jumbo option; version 7; hop-by-hop
    length beyond the packet; a hop-by-hop header that is not first; jumbo option with a length below 65536 and with a non-zero payload
    length; an option beyond its header; 60 destination headers chained.""",
)
def malformed_ipv6():
    u = udp(T6, 40000, 7, b"lengths lie")
    small_jumbo, jumbo = options6(UDP, b"\xc2\x04" + struct.pack("!I", 100)), options6(UDP, b"\xc2\x04" + struct.pack("!I", 70000))
    endless = b"\x3c\0\x01\x04\0\0\0\0" * 59 + b"\x11\0\x01\x04\0\0\0\0"
    packets = [
        ip6(T6, UDP, u, plen=1400),
        ip6(T6, UDP, u, plen=6),
        ip6(T6, UDP, u, plen=0),
        ip6(T6, UDP, u, version=7),
        ip6(T6, HOPOPTS, b"\x11\xff" + bytes(6) + u),
        ip6(T6, DSTOPTS, options6(HOPOPTS, b"") + options6(UDP, b"") + u),
        ip6(T6, HOPOPTS, small_jumbo + u, plen=0),
        ip6(T6, HOPOPTS, jumbo + u),
        ip6(T6, HOPOPTS, b"\x11\0\x05\x40\0\0\0\0" + u),
        ip6(T6, DSTOPTS, endless + u),
    ]
    return [eth(VM1, VM2, ETH_IPV6, p) for p in packets]


@capture(
    "malformed-udp.pcap",
    """UDP length 0, 7 (below 8), 8 with payload behind it, 400 beyond the packet; VXLAN whose UDP length
    cuts the inner frame short; VXLAN of 7 bytes (runt) and of 8 (no inner frame), inner frame of 13 bytes.""",
)
def malformed_udp():
    body = b"lengths lie"
    frames = [vm(ip(T4, UDP, udp(T4, 40000, 7, body, length=n))) for n in (0, 7, 8, 400)]
    v = vxlan(77, vm(syn()))
    return frames + [tunnel(v, length=8 + 8 + 20), tunnel(v[:7]), tunnel(v[:8]), tunnel(v[:21])]


@capture(
    "malformed-tcp.pcap",
    """TCP data offset 0, 4 (below 5), 15 beyond the packet; 12 bytes of TCP only; SYN+FIN+RST; all flags; no
    flags; port 0.""",
)
def malformed_tcp():
    def t(flags=SYN, sport=51000, **more):
        return vm(ip(T4, TCP, tcp(T4, sport, 443, flags, **more)))

    return [
        t(offset=0),
        t(offset=4),
        t(offset=15),
        vm(ip(T4, TCP, tcp(T4, 51000, 443, SYN)[:12])),
        t(SYN | FIN | RST),
        t(0x1FF),
        t(0),
        t(sport=0),
    ]


@capture(
    "geneve-option-overrun.pcap",
    """Option list longer than the packet; an option longer than the list (31 words in 2); a list
    that ends inside an option header is impossible in words, so a list of one word with an option that claims one more; list length 63
    in a short packet.""",
)
def geneve_overrun():
    f = vm(syn())
    return [
        tunnel(p, dport=6081)
        for p in (
            geneve(77, b"", options=bytes(4), length=40),
            geneve(77, f, options=geneve_option(0x0101, 1, b"four", length=31)),
            geneve(77, f, options=geneve_option(0x0101, 1, b"", length=1)),
            geneve(77, f, length=63),
        )
    ]


@capture(
    "icmpv6-option-zero.pcap",
    """ND option of length 0 in a solicitation (RFC 4861: discard; a careless walker loops), an option
    beyond the packet, a prefix option of 1 word, RDNSS of 2 words, an advertisement of 8 bytes.""",
)
def icmpv6_option_zero():
    def nd(kind, body):
        return eth(
            VM1, "33:33:00:00:00:01", ETH_IPV6, ip6(("fe80::1", "ff02::1"), ICMPV6, icmp6(("fe80::1", "ff02::1"), kind, 0, body), hops=255)
        )

    target, ra = bytes(4) + addr("2001:db8::2"), struct.pack("!BBHII", 64, 0, 1800, 0, 0)
    return [
        nd(135, target + b"\x01\0" + mac(VM1)),
        nd(135, target + b"\x01\x20" + mac(VM1)),
        nd(134, ra + b"\x03\x01" + bytes(6)),
        nd(134, ra + b"\x19\x02" + bytes(14)),
        nd(136, bytes(4)),
    ]


# ---- checksums ----


@capture(
    "bad-checksums.pcap",
    """Wrong checksums, one per packet: outer ipv4, inner ipv4, inner tcp, inner udp, inner icmp, inner
    icmpv6, igmp, outer udp (IPv6), inner udp over IPv6 with 0 (forbidden). Then two that are right: inner udp with 0 (none), outer udp
    that is correct. Last: inner tcp with only the pseudo-header sum (checksum offload).""",
)
def bad_checksums():
    u = udp(T4, 40000, 7, b"sum")
    outer = udp(UL4, 51234, 4789, vxlan(77, vm(syn())), csum=0)
    seg = tcp(T4, 51000, 443, SYN, options=SYN_OPTIONS, csum=0)
    partial = checksum(addr(T4[0]) + addr(T4[1]) + struct.pack("!BBH", 0, TCP, len(seg))) ^ 0xFFFF
    tunnelled = [
        ip4(T4, UDP, u, csum=0xDEAD),
        syn(csum=0xDEAD),
        hello(csum=0xDEAD),
        ip(T4, ICMP, icmp(8, 0, 7 << 16 | 1, b"ping", csum=0xDEAD)),
        ip(T6, ICMPV6, icmp6(T6, 128, 0, b"\0\x07\0\x01", csum=0xDEAD)),
    ]
    broken_igmp = igmp(0x16, 0, addr("239.1.1.1"))[:2] + b"\xde\xad" + addr("239.1.1.1")
    return (
        [under(ip4(UL4, UDP, outer, csum=0xDEAD))]
        + [tunnel(vxlan(77, vm(p))) for p in tunnelled]
        + [vm(ip(("10.0.0.1", "239.1.1.1"), IGMP, broken_igmp))]
        + [tunnel(vxlan(77, vm(syn())), ends=UL6, csum=0xDEAD), tunnel(vxlan(77, vm(hello(T6, csum=0))))]
        + [tunnel(vxlan(77, vm(hello(csum=0)))), tunnel(vxlan(77, vm(syn())), csum=None), tunnel(vxlan(77, vm(syn(csum=partial))))]
    )


# ---- offload artefacts ----


def shortened(count, mss=300, inner_too=True):
    """A frame that a GSO_PARTIAL driver was handed: `count` segments of payload, headers that speak of one."""
    body = bytes(n & 0xFF for n in range(count * mss))
    segment = tcp(T4, 51000, 80, PSH | ACK, body, seq=1001, ack=2001, options=STAMPS)
    head = len(segment) - len(body)
    inner = ip(T4, TCP, segment, total=20 + head + mss) if inner_too else ip(T4, TCP, segment)
    one = 8 + 8 + 14 + 20 + head + mss
    return under(ip(UL4, UDP, udp(UL4, 51234, 4789, vxlan(77, vm(inner)), length=one, csum=0), total=20 + one))


@capture(
    "gso-partial-vxlan.pcap",
    """GSO_PARTIAL: the frame holds 6 segments of 300 bytes, outer ipv4 and udp lengths speak of one.
    Packet 1: inner length of one segment too, as Linux writes it; packet 2: the inner length is the whole; packet 3: the second cut by
    a snaplen of 128. tcpdump 4.99.3 shows `length 300` for packet 1 and is silent about 1500 more bytes; for 2 and 3 it says
    `truncated-ip - 1500 bytes missing!`, which are there in packet 2; tshark says the inner length exceeds the packet.""",
)
def gso_partial():
    whole = shortened(6, inner_too=False)
    return [shortened(6), whole, cut(whole, 128)]


@capture(
    "big-tcp.pcap",
    """BIG TCP, cut by a snaplen of 192: frames of 80,000 bytes: plain IPv4, plain IPv6, IPv6 with a jumbo
    hop-by-hop option (RFC 2675), VXLAN with ipv4, udp and inner ipv4 lengths of 0. Packet 5: total length 0 in a short frame (TSO),
    where the rest of the frame counts. tcpdump 4.99.3 prints `bad-len 0` for 1, 4 and 5 and `[|tcp]` for 2; tshark 4.0 calls TCP of
    packet 2 malformed and stops in the udp of packet 4 (`bogus length 0`).""",
)
def big_tcp():
    size = 80_000
    head, head6 = (tcp(ends, 51000, 80, PSH | ACK, bytes(200), seq=1001, ack=2001, options=STAMPS) for ends in (T4, T6))
    jumbo = b"\x06\0\xc2\x04" + struct.pack("!I", size - 54)
    inner = vm(ip4(T4, TCP, head, total=0))
    frames = [
        vm(ip4(T4, TCP, head, total=0)),
        vm(ip6(T6, TCP, head6, plen=0)),
        vm(ip6(T6, HOPOPTS, jumbo + head6, plen=0)),
        under(ip4(UL4, UDP, udp(UL4, 51234, 4789, vxlan(77, inner), length=0, csum=0), total=0)),
    ]
    return [Packet(f[:192], orig=size) for f in frames] + [vm(ip4(T4, TCP, head, total=0))]


# ---- noise ----


@capture(
    "noise.pcap",
    """Twelve frames of random bytes behind a valid start (Ethernet, IPv4, IPv6, TCP, VXLAN, Geneve, GRE, NSH, DNS,
    DHCP, SVP, nothing). Nothing may panic or loop; fixed seed.""",
)
def noise():
    dice = random.Random(20260101)
    junk = [bytes(dice.randrange(256) for _ in range(dice.randrange(20, 120))) for _ in range(12)]
    node = ("10.88.0.1", "10.88.0.100")
    return [
        eth(VM1, VM2, 0x88B5, junk[0]),
        eth(VM1, VM2, ETH_IPV4, b"\x4f" + junk[1]),
        eth(VM1, VM2, ETH_IPV6, b"\x60" + junk[2]),
        vm(ip(T4, TCP, junk[3])),
        tunnel(vxlan(77, junk[4])),
        tunnel(junk[5], dport=6081),
        in_gre(junk[6]),
        eth(VM1, VM2, ETH_NSH, junk[7]),
        vm(ip(T4, UDP, udp(T4, 53000, 53, junk[8]))),
        vm(ip(T4, UDP, udp(T4, 68, 67, junk[9]))),
        under(ip(node, TCP, tcp(node, 50001, 1296, PSH | ACK, junk[10]))),
        junk[11],
    ]
