"""Captures of the layers below and beside tunnels: links, IP and its options, transport, ICMP, neighbour discovery."""

import struct

import files
from scene import *
from wire import *


@capture(
    "ethernet-arp.pcap",
    """ARP request and reply, gratuitous ARP, a probe, RARP opcode 3, hardware length 8 (malformed: addresses
    do not fit).""",
)
def ethernet_arp():
    odd = arp(1, "02:08:20:0a:00:01", "10.0.0.1", ZERO, "10.0.0.2", hlen=8)
    return [
        eth(VM1, BROADCAST, ETH_ARP, arp(1, VM1, "10.0.0.1", ZERO, "10.0.0.2"), pad=True),
        eth(VM2, VM1, ETH_ARP, arp(2, VM2, "10.0.0.2", VM1, "10.0.0.1"), pad=True),
        eth(VM1, BROADCAST, ETH_ARP, arp(1, VM1, "10.0.0.1", ZERO, "10.0.0.1")),
        eth(VM1, BROADCAST, ETH_ARP, arp(1, VM1, "0.0.0.0", ZERO, "10.0.0.9")),
        eth(VM1, BROADCAST, 0x8035, arp(3, VM1, "0.0.0.0", VM1, "0.0.0.0")),
        eth(VM1, BROADCAST, ETH_ARP, odd),
    ]


@capture(
    "ethernet-padding.pcap",
    """Padding and trailers: a short TCP ACK padded to 60 bytes (length 0, not 6), a 4-byte trailer behind
    IPv4, a trailer behind IPv6, an inner frame padded to 60 inside VXLAN, an outer trailer behind VXLAN.""",
)
def ethernet_padding():
    bare_ack = ip(T4, TCP, tcp(T4, 51000, 443, ACK, seq=1001, ack=2001))
    trailer = b"\xde\xad\xbe\xef"
    return [
        vm(bare_ack).ljust(60, b"\0"),
        vm(hello()) + trailer,
        vm(hello(T6)) + trailer,
        tunnel(vxlan(77, vm(bare_ack).ljust(60, b"\0"))),
        tunnel(vxlan(77, vm(hello()))) + trailer,
    ]


@capture(
    "ethernet-unknown-type.pcap",
    """EtherTypes nobody decodes (0x88b5 local experimental, 0x9000 loopback) and a jumbo 802.3
    length type 0x05ff: stop `unsupported`.""",
)
def ethernet_unknown():
    return [eth(VM1, VM2, kind, bytes(range(46))) for kind in (0x88B5, 0x9000, 0x05FF)]


@capture(
    "vlan-depth.pcap",
    """1 tag (802.1Q), 2 (802.1ad + 802.1Q), 3 and 4 tags, the old QinQ type 0x9100, a priority tag (id 0, PCP
    5, DEI), id 4095, an ARP behind a tag. tcpdump needs -e to show tags.""",
)
def vlan_depth():
    q, ad = 0x8100, 0x88A8
    prio = eth(VM1, VM2, q, vlan(0, ETH_IPV4, hello(), pcp=5, dei=1))
    return [
        tagged(vm(hello()), (q, 100)),
        tagged(vm(hello()), (ad, 200), (q, 100)),
        tagged(vm(hello(T6)), (ad, 300), (q, 200), (q, 100)),
        tagged(vm(hello()), (ad, 400), (ad, 300), (q, 200), (q, 100)),
        tagged(vm(hello()), (0x9100, 500), (q, 100)),
        prio,
        tagged(vm(hello()), (q, 4095)),
        tagged(eth(VM1, BROADCAST, ETH_ARP, arp(1, VM1, "10.0.0.1", ZERO, "10.0.0.2")), (q, 100)),
    ]


@capture(
    "ipv4-options.pcap",
    """IPv4 options: router alert, record route, timestamp, NOP and end of list; then an option of length 0,
    one that overruns the header (malformed).""",
)
def ipv4_options():
    route = option(7, b"\x08" + addr("10.0.0.254") + bytes(8))
    stamp = option(68, b"\x09\x00" + struct.pack("!I", 80_000_000) + bytes(4))
    u = udp(T4, 40000, 7, b"options")
    lists = [
        option(148, b"\0\0"),
        route + b"\0",
        stamp,
        NOP * 3 + b"\0",
        option(7, b"\x04", length=0) + b"\0",
        option(7, b"\x04\0", length=40),
    ]
    return [vm(ip4(T4, UDP, u, options=o)) for o in lists]


@capture(
    "ipv4-fragments.pcap",
    """First, middle and last fragment of one UDP datagram (the first shows ports, later ones stop with id
    and offset), a first fragment too short for its TCP header, later fragment with TCP's protocol number.""",
)
def ipv4_fragments():
    whole = udp(T4, 40000, 7, bytes(range(64)) * 2)
    t = tcp(T4, 51000, 443, SYN, options=SYN_OPTIONS)
    return [
        vm(ip4(T4, UDP, whole[:48], ident=77, flags=1)),
        vm(ip4(T4, UDP, whole[48:96], ident=77, flags=1, offset=48)),
        vm(ip4(T4, UDP, whole[96:], ident=77, offset=96)),
        vm(ip4(T4, TCP, t[:8], ident=78, flags=1)),
        vm(ip4(T4, TCP, t[8:], ident=78, offset=8)),
    ]


@capture(
    "vxlan-fragments.pcap",
    """An outer datagram in two fragments (the first decodes down to the cut inner frame; the later stops
    at the outer ipv4), inner IPv4 fragments inside VXLAN, the same with IPv6 outside and a fragment header. tshark reassembles by
    default and shows VXLAN in the last fragment only; -o ip.defragment:FALSE shows it in the first, as we do.""",
)
def vxlan_fragments():
    whole = udp(UL4, 51234, 4789, vxlan(77, vm(data())), csum=0)
    whole6 = udp(UL6, 51234, 4789, vxlan(77, vm(data())))
    inner = udp(T4, 40000, 7, bytes(64))
    return [
        under(ip4(UL4, UDP, whole[:88], ident=5, flags=1)),
        under(ip4(UL4, UDP, whole[88:], ident=5, offset=88)),
        tunnel(vxlan(77, vm(ip4(T4, UDP, inner[:40], ident=6, flags=1)))),
        tunnel(vxlan(77, vm(ip4(T4, UDP, inner[40:], ident=6, offset=40)))),
        under(ip6(UL6, FRAGMENT, fragment6(UDP, 0, 1, 9) + whole6[:88])),
        under(ip6(UL6, FRAGMENT, fragment6(UDP, 88, 0, 9) + whole6[88:])),
    ]


@capture(
    "ipv6-extensions.pcap",
    """Hop-by-hop with router alert, segment routing (type 4), destination options, atomic fragment, first
    and later fragment, all chained (hop-by-hop, destination, routing, fragment, destination, UDP), no next header (59), a header chain
    that ends in ICMPv6 (MLD).""",
)
def ipv6_extensions():
    alert = b"\x05\x02\0\0"
    u = udp(T6, 40000, 7, b"extended")
    via = ("2001:db8::1", "2001:db8::9")
    chain = (
        options6(DSTOPTS, alert)
        + options6(ROUTING, b"\x1e\x02ab")
        + srh(FRAGMENT, ["2001:db8::2"], 0)
        + fragment6(DSTOPTS, 0, 0, 3)
        + options6(UDP, b"\x1e\x01z")
        + u
    )
    report = icmp6(("fe80::1", "ff02::16"), 143, 0, struct.pack("!HHBBH", 0, 1, 4, 0, 0) + addr("ff02::fb"))
    return [
        vm(ip6(T6, HOPOPTS, options6(UDP, alert) + u)),
        vm(ip6(via, ROUTING, srh(UDP, ["2001:db8::2", "2001:db8::9"], 1) + u)),
        vm(ip6(T6, DSTOPTS, options6(UDP, b"\x1e\x04test") + u)),
        vm(ip6(T6, FRAGMENT, fragment6(UDP, 0, 0, 1) + u)),
        vm(ip6(T6, FRAGMENT, fragment6(UDP, 0, 1, 2) + u)),
        vm(ip6(T6, FRAGMENT, fragment6(UDP, 16, 0, 2) + bytes(24))),
        vm(ip6(T6, HOPOPTS, chain)),
        vm(ip6(T6, NO_NEXT, b"")),
        eth(VM1, "33:33:00:00:00:16", ETH_IPV6, ip6(("fe80::1", "ff02::16"), HOPOPTS, options6(ICMPV6, alert) + report, hops=1)),
    ]


@capture(
    "tcp-options.pcap",
    """Handshake with MSS, SACK permitted, timestamps, window scale; data; SACK blocks; FIN; RST; URG with
    pointer; ECN setup (ECE, CWR) and AE; MD5 and TCP Fast Open options; an unknown kind; IPv6. Last two: option length 0, option
    overruns the header (malformed).""",
)
def tcp_options():
    def t(flags, ends=T4, **more):
        return vm(ip(ends, TCP, tcp(ends, 51000, 443, flags, **more)))

    return [
        vm(syn()),
        vm(ip(back(T4), TCP, tcp(back(T4), 443, 51000, SYN | ACK, seq=2000, ack=1001, options=SYN_OPTIONS)), VM2, VM1),
        vm(data()),
        t(ACK, seq=1001, ack=2001, options=NOP * 2 + option(5, struct.pack("!IIII", 3001, 4001, 5001, 6001))),
        t(FIN | ACK, seq=1100, ack=2001),
        t(RST, seq=1100, window=0),
        t(URG | ACK, payload=b"!", urgent=1),
        t(SYN | ECE | CWR | AE, options=SYN_OPTIONS),
        t(ACK, options=NOP * 2 + option(19, bytes(range(16)))),
        t(SYN, payload=b"early", options=option(34, b"cookie12") + NOP * 2),
        t(ACK, options=option(253, b"\xf9\x89mine")),
        vm(syn(T6)),
        t(ACK, options=option(8, b"", length=0) + NOP * 2),
        t(ACK, options=NOP * 2 + option(8, b"", length=10)),
    ]


@capture(
    "sctp.pcap",
    """SCTP INIT, INIT ACK, DATA with SACK bundled, over IPv4 and IPv6; a wrong CRC-32C; a chunk of length 0 and one
    beyond the packet (malformed).""",
)
def sctp_chunks():
    init = chunk(1, 0, struct.pack("!IIHHI", 0x11111111, 65535, 10, 10, 1))
    bundle = chunk(3, 0, struct.pack("!IIHH", 1, 65535, 0, 0)) + chunk(0, 3, struct.pack("!IHHI", 2, 0, 0, 0) + b"data")
    bodies = [sctp(5000, 5001, init, tag=0), sctp(5001, 5000, chunk(2, 0, init[4:]), tag=0x11111111), sctp(5000, 5001, bundle)]
    out = [vm(ip(T4, SCTP, body)) for body in bodies] + [vm(ip(T6, SCTP, bodies[2]))]
    out += [vm(ip(T4, SCTP, sctp(5000, 5001, bundle, crc=0xBAD0BAD0)))]
    return out + [vm(ip(T4, SCTP, sctp(5000, 5001, chunk(0, 3, b"datadata", length=n)))) for n in (0, 400)]


@capture(
    "icmp.pcap",
    """Echo request and reply, port unreachable quoting UDP, fragmentation needed (MTU 1400) quoting a whole VXLAN
    packet, time exceeded quoting IP + 8 bytes of TCP, redirect, timestamp, a quote cut inside its IP header.""",
)
def icmp_kinds():
    vx = tunnel(vxlan(77, vm(syn())))[14:]
    return [
        vm(echo()),
        vm(echo(back(T4), reply=True), VM2, VM1),
        vm(ip(back(T4), ICMP, icmp(3, 3, 0, hello())), VM2, VM1),
        under(ip(("10.88.0.254", "10.88.0.1"), ICMP, icmp(3, 4, 1400, vx)), HOST2, HOST1),
        vm(ip(("10.0.0.254", "10.0.0.1"), ICMP, icmp(11, 0, 0, syn()[:28])), VM2, VM1),
        vm(ip(("10.0.0.254", "10.0.0.1"), ICMP, icmp(5, 1, int.from_bytes(addr("10.0.0.253"), "big"), syn()[:28])), VM2, VM1),
        vm(ip(T4, ICMP, icmp(13, 0, 7 << 16 | 1, struct.pack("!III", 80_000_000, 0, 0)))),
        vm(ip(back(T4), ICMP, icmp(3, 1, 0, hello()[:12])), VM2, VM1),
    ]


def nd_option(kind, body):
    return struct.pack("!BB", kind, (2 + len(body)) // 8) + body


@capture(
    "icmpv6-nd.pcap",
    """Neighbour solicitation and advertisement with link-layer options, DAD from ::, router solicitation, router
    advertisement with prefix, MTU, RDNSS, DNSSL, route information, redirect with a redirected header, echo, packet too big and port
    unreachable with quotes, MLDv1 report, MLDv2 query.""",
)
def icmpv6_nd():
    router, all_nodes, solicited = "fe80::fe", "ff02::1", "ff02::1:ff00:2"
    slla, tlla = nd_option(1, mac(VM1)), nd_option(2, mac(VM2))
    prefix = nd_option(3, struct.pack("!BBIII", 64, 0xC0, 86400, 14400, 0) + addr("2001:db8::"))
    mtu = nd_option(5, struct.pack("!HI", 0, 1450))
    rdnss = nd_option(25, struct.pack("!HI", 0, 600) + addr("2001:db8::53") + addr("2001:db8::54"))
    dnssl = nd_option(31, struct.pack("!HI", 0, 600) + name("tenant.example"))
    route = nd_option(24, struct.pack("!BBI", 48, 0x08, 1800) + addr("2001:db8:1::")[:8])
    ra = struct.pack("!BBHII", 64, 0xC0, 1800, 0, 0) + slla + prefix + mtu + rdnss + dnssl + route
    quoted = nd_option(4, bytes(6) + hello(T6)[:48])

    def nd(ends, kind, body, dst="33:33:00:00:00:01", code=0, hops=255):
        return eth(VM1, dst, ETH_IPV6, ip6(ends, ICMPV6, icmp6(ends, kind, code, body), hops=hops))

    return [
        nd(("2001:db8::1", solicited), 135, bytes(4) + addr("2001:db8::2") + slla, dst="33:33:ff:00:00:02"),
        nd(back(T6), 136, struct.pack("!I", 0x60000000) + addr("2001:db8::2") + tlla, dst=VM1),
        nd(("::", solicited), 135, bytes(4) + addr("2001:db8::2"), dst="33:33:ff:00:00:02"),
        nd(("fe80::1", "ff02::2"), 133, bytes(4) + slla, dst="33:33:00:00:00:02"),
        nd((router, all_nodes), 134, ra),
        nd((router, "2001:db8::1"), 137, bytes(4) + addr("2001:db8::2") + addr("2001:db8::2") + tlla + quoted, dst=VM1),
        vm(echo(T6)),
        nd(T6, 2, struct.pack("!I", 1400) + hello(back(T6)), dst=VM2, hops=64),
        nd(T6, 1, bytes(4) + hello(back(T6)), dst=VM2, code=4, hops=64),
        nd(("fe80::1", "ff02::fb"), 131, bytes(4) + addr("ff02::fb"), dst="33:33:00:00:00:fb", hops=1),
        nd((router, all_nodes), 130, struct.pack("!HH", 10000, 0) + bytes(16) + struct.pack("!BBH", 2, 125, 0), hops=1),
    ]


@capture(
    "igmp.pcap",
    """IGMPv1 report, v2 query, v2 report, leave, v3 query with two sources, v3 report with two group records; all
    with router alert.""",
)
def igmp_versions():
    def g(dst, message):
        return eth(VM1, "01:00:5e:00:00:01", ETH_IPV4, ip4(("10.0.0.1", dst), IGMP, message, ttl=1, options=option(148, b"\0\0")))

    group = "239.1.1.1"
    records = (
        struct.pack("!HH", 0, 2)
        + struct.pack("!BBH", 1, 0, 1)
        + addr(group)
        + addr("10.0.0.5")
        + struct.pack("!BBH", 4, 0, 0)
        + addr("239.1.1.2")
    )
    return [
        g(group, igmp(0x12, 0, addr(group))),
        g("224.0.0.1", igmp(0x11, 100, addr("0.0.0.0"))),
        g(group, igmp(0x16, 0, addr(group))),
        g("224.0.0.2", igmp(0x17, 0, addr(group))),
        g(group, igmp(0x11, 100, addr(group) + struct.pack("!BBH", 2, 125, 2) + addr("10.0.0.5") + addr("10.0.0.6"))),
        g("224.0.0.22", igmp(0x22, 0, records)),
    ]


@capture(
    "llc-stp.pcap",
    """802.3 frames: STP configuration BPDU, RSTP BPDU with proposal, topology change, SNAP with IPv4, LLC test
    frame; last: an 802.3 length beyond the frame (malformed).""",
)
def llc_stp():
    bridge = struct.pack("!H", 0x8000) + mac(HOST1)

    def bpdu(version, kind, flags, extra=b""):
        return (
            struct.pack("!HBBB", 0, version, kind, flags)
            + bridge
            + struct.pack("!I", 20000)
            + bridge
            + struct.pack("!HHHHH", 0x8001, 0, 20 * 256, 2 * 256, 15 * 256)
            + extra
        )

    stp = "01:80:c2:00:00:00"
    return [
        dot3(HOST1, stp, llc(0x42, 0x42, 3, bpdu(0, 0, 0))),
        dot3(HOST1, stp, llc(0x42, 0x42, 3, bpdu(2, 2, 0x0E, b"\0"))),
        dot3(HOST1, stp, llc(0x42, 0x42, 3, struct.pack("!HBB", 0, 0, 0x80))),
        dot3(VM1, VM2, llc(0xAA, 0xAA, 3, bytes(3) + struct.pack("!H", ETH_IPV4) + hello())),
        dot3(VM1, VM2, llc(0x00, 0x00, 0xE3)),
        dot3(HOST1, stp, llc(0x42, 0x42, 3, bpdu(0, 0, 0)), length=200),
    ]


@capture(
    "lldp.pcap",
    """LLDP with chassis, port, TTL, names, capabilities, management address, an 802.1 organisation TLV; second: a TLV
    longer than the frame (malformed).""",
)
def lldp():
    def tlv(kind, value, length=None):
        return struct.pack("!H", kind << 9 | (len(value) if length is None else length)) + value

    first = tlv(1, b"\x04" + mac(HOST1)) + tlv(2, b"\x05eth0") + tlv(3, struct.pack("!H", 120))
    more = tlv(4, b"uplink") + tlv(5, b"host1") + tlv(6, b"overlay test host") + tlv(7, struct.pack("!HH", 0x14, 0x04))
    more += tlv(8, b"\x05\x01" + addr("10.88.0.1") + b"\x02" + struct.pack("!I", 2) + b"\0") + tlv(
        127, bytes.fromhex("0080c2") + b"\x01\0\x64"
    )
    to = "01:80:c2:00:00:0e"
    return [eth(HOST1, to, ETH_LLDP, first + more + tlv(0, b"")), eth(HOST1, to, ETH_LLDP, first + tlv(5, b"host1", length=300))]


@capture(
    "sll.pcap", """Linux cooked capture v1: incoming, outgoing and broadcast packets; VXLAN inside; ARP; an 802.1Q tag.""", link=files.SLL
)
def sll():
    def cooked(kind, protocol, payload):
        return struct.pack("!HHH", kind, 1, 6) + mac(HOST1) + b"\0\0" + struct.pack("!H", protocol) + payload

    who = arp(1, HOST1, "10.88.0.1", ZERO, "10.88.0.2")
    return [
        cooked(0, ETH_IPV4, tunnel(vxlan(77, vm(syn())))[14:]),
        cooked(4, ETH_IPV6, echo(T6)),
        cooked(1, ETH_ARP, who),
        cooked(0, ETH_VLAN, vlan(100, ETH_IPV4, hello())),
    ]


@capture(
    "sll2.pcap",
    """Linux cooked capture v2 with interface index 3: VXLAN, IPv6, ARP, one packet without a link-layer address
    (loopback style).""",
    link=files.SLL2,
)
def sll2():
    def cooked(kind, protocol, payload, address=mac(HOST1), hardware=1):
        return struct.pack("!HHIHBB", protocol, 0, 3, hardware, kind, len(address)) + address.ljust(8, b"\0") + payload

    who = arp(1, HOST1, "10.88.0.1", ZERO, "10.88.0.2")
    return [
        cooked(0, ETH_IPV4, tunnel(vxlan(77, vm(syn())))[14:]),
        cooked(4, ETH_IPV6, echo(T6)),
        cooked(1, ETH_ARP, who),
        cooked(0, ETH_IPV4, hello(), address=b"", hardware=65534),
    ]


def null_frames(order):
    return [
        struct.pack(order + "I", family) + packet
        for family, packet in ((2, hello()), (24, hello(T6)), (28, hello(T6)), (30, hello(T6)), (99, b"\0" * 8))
    ]


@capture(
    "null-little-endian.pcap",
    """BSD loopback, family in little-endian order: IPv4 (2), IPv6 as 24, 28 and 30 (the BSDs differ),
    an unknown family 99.""",
    link=files.NULL,
)
def null_little():
    return null_frames("<")


@capture("null-big-endian.pcap", "The same as null-little-endian, all of it from a big-endian host.", link=files.NULL, order=">")
def null_big():
    return null_frames(">")


@capture("loop.pcap", "OpenBSD loopback: the family always in network order, in a little-endian file.", link=files.LOOP)
def loop():
    return null_frames(">")


@capture(
    "raw-ip.pcap", """Link type 101: IPv4, IPv6, VXLAN without an outer Ethernet header, a first nibble of 7 (malformed).""", link=files.RAW
)
def raw_ip():
    return [hello(), hello(T6), tunnel(vxlan(77, vm(syn())))[14:], b"\x70" + bytes(20)]


@capture(
    "raw-ipv4.pcap", """Link type 228: IPv4 packets only; the second has version 6 (malformed; tshark reads it as IPv6).""", link=files.IPV4
)
def raw_ipv4():
    return [hello(), hello(T6)]


@capture("raw-ipv6.pcap", "Link type 229: IPv6 packets only; the second has version 4 (malformed).", link=files.IPV6)
def raw_ipv6():
    return [hello(T6), hello()]
